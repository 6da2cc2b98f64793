//! Turns what sources say into durable batches, and accounts for what it could not keep.
//!
//! [`Pipeline`] is the only way into the store: it checks, tells repeats, learns who is who, appends and acknowledges.
//! Sources bring events: [`mod@file`] reads and follows recordings, [`hubble_client`] and [`tetragon_client`] listen to
//! agents, [`netflow`] to routers, [`Pipeline::push`] takes Arrow batches.
//!
//! Must hold, for every source once nothing is under way (AC-1):
//! `received = recorded + deduplicated + rejected{reason} + lost{stage}`.
//!
//! Not here: how bytes become columns (`proto`), durability (`storage`), the Flight and HTTP doors (`web-api`).
#![forbid(unsafe_code)]

mod config;
mod directory;
pub mod file;
mod history;
pub mod hubble_client;
mod metrics;
pub mod netflow;
mod pipeline;
mod progress;
mod rename;
mod seen;
mod source;
mod stream;
#[cfg(test)]
mod testing;
pub mod tetragon_client;
mod validate;

pub use config::{Config, ConfigError, PipelineConfig, ValidConfig};
pub use directory::Fact;
pub use pipeline::{IntakeError, Outcome, Pipeline, StartError, SubmitError};
pub use source::{LostStage, Source, SourceState, SourceStatus, Warning};
pub use stream::{AuthConfig, ConnectConfig, Secret, StreamConfig, TlsConfig};
pub use validate::PushError;
