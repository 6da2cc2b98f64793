//! The only door: REST, event streams, gRPC for the clients of Hubble and Tetragon, and Arrow Flight.
//!
//! What is here maps questions to the engine and its answers to bytes, page by page; a client that does not read
//! pauses the scan behind its answer. Not here: SQL text, filters (`query`), wires (`proto`), recording (the binary
//! passes an [`Intake`]).
#![forbid(unsafe_code)]
#![expect(unused_qualifications, reason = "what utoipa derives names everything in full")]

mod answer;
mod ask;
mod auth;
mod columns;
mod config;
mod doors;
mod fault;
mod grpc;
mod intake;
mod metrics;
mod openapi;
mod params;
mod problem;
mod render;
mod rest;
mod secret;
mod server;
#[cfg(test)]
mod testing;
mod tls;
mod when;

pub use config::{AuthConfig, Config, ConfigError, LimitsConfig, TlsConfig, ValidConfig};
pub use doors::Parts;
pub use intake::{BoxFuture, Intake, Push, PushError, PushReceipt, SourceState, SourceStatus};
pub use metrics::Metrics;
pub use secret::Secret;
pub use server::{OpenError, ServeError, Server};
pub use tls::TlsError;
