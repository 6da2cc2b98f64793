//! Owns durability: an append is logged and synced, joins the memory of its partition, and is sealed into an immutable
//! Parquet segment that a DuckLake catalogue names.
//!
//! [`Store`] is the front door. A reader takes a [`Snapshot`], which never changes. Words: a *partition* is a table and
//! an hour of its time column; a *segment* is a sealed file inside one partition; an *lsn* is the position of an append
//! in the log.
//!
//! Not here: sources and their accounting (`ingest`), questions (`query`), HTTP, the system clock.
#![forbid(unsafe_code)]

mod catalog;
mod clickhouse;
pub mod config;
mod error;
#[cfg(test)]
mod fixtures;
mod ids;
pub mod inspect;
mod lake;
pub mod log;
mod maintain;
mod memory;
mod metrics;
pub mod objects;
mod seal;
mod segment;
mod snapshot;
mod spool;
mod status;
mod store;
mod tail;
mod tier;

pub use catalog::CatalogError;
pub use clickhouse::{
    ClickHouseError, Column as RemoteColumn, KeepConfig as ClickHouseKeepConfig, Limit as RemoteLimit, Remote,
    RemoteRows, Schema as ClickHouseSchema, SchemaError as ClickHouseSchemaError, Select as RemoteSelect,
    Unkept as ClickHouseUnkept,
};
pub use config::{Config, ConfigError, OnCorruption, ValidConfig};
pub use error::{AppendError, MoveError, OpenError, ReadError, ReleaseError, SealError};
pub use ids::{Hour, Lsn, PartitionKey, SegmentId};
pub use lake::{
    Claim, LakeConfig, LakeError, LakeStatus, LakeView, RecorderStatus, Share, SharedSource, lake_view, retire,
};
pub use maintain::MovedOut;
pub use memory::{MemoryBatch, shrink_dictionary};
pub use seal::rollup;
pub use seal::write::WriteError;
pub use segment::Segment;
pub use snapshot::{Snapshot, TableStats};
pub use spool::{Spool, SpoolError, SpoolStatus, Spooled};
pub use status::{StoreStatus, TableStatus};
pub use store::{Append, Receipt, Store};
pub use tail::{Appended, Tail, TailItem};
pub use tier::TierError;
