//! What a recorded thing *is*: tables with their columns, builders and views, event ids, time and error kinds.
//!
//! A batch of events is a set of Arrow columns from the first hop. A decoder appends borrowed values to a table's
//! `Builder`; a reader looks at a `RecordBatch` through the table's `View`. There is no struct per event.
//!
//! Not here: bytes on a wire (`proto`), files (`storage`), questions (`query`), and the system clock (`cli`).
#![forbid(unsafe_code)]

pub mod column;
pub mod event_id;
mod fault;
pub mod latency;
pub mod list;
mod macros;
pub mod rest;
mod source;
mod table;
pub mod tables;
mod time;

pub use fault::{Kind, report};
pub use source::SourceKind;
pub use table::{Batch, ColumnDef, ColumnKind, SchemaError, TableId};
pub use time::{Clock, ManualClock, TimeRange, TimeRangeError, Timestamp, TimestampError};
