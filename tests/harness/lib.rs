//! What the integration tests and the benchmark share: the built binary, servers on temporary directories, HTTP,
//! the folder of recordings, programs in `.venv`, and the list of what was skipped.
//!
//! Everything goes through the doors a user has: the command line, HTTP, gRPC and Flight.
#![forbid(unsafe_code)]

pub mod bucket;
pub mod chaos;
pub mod clickhouse;
pub mod flight;
pub mod http;
pub mod measure;
mod pause;
pub mod postgres;
pub mod repository;
mod sensor;
mod server;
pub mod skip;
pub mod tool;

pub use pause::{pause, wait_until};
pub use sensor::Sensor;
pub use server::{Options, Server};
