//! Sees what the kernel of this machine does, and says what it missed: processes, privileges, files, connections, dropped
//! packets and the beginnings of DNS, HTTP and TLS, as batches of `runtime_events`, `flows` and `losses`.
//!
//! [`start`] loads the probes and hands batches to a [`Sink`]; [`check`] says what the kernel lets us see. `probes/` holds
//! the programs of the kernel's side, compiled and committed.
//!
//! Not here: storing, ingesting, wires, configuration files, the system's clock, and async: one thread empties the kernel's
//! rings by a timer.
#![forbid(unsafe_code)]

pub mod capability;
pub mod cgroup;
mod clock;
mod config;
mod decode;
mod delivery;
mod kernel;
mod privilege;
mod process;
mod recorder;
mod rows;
mod sensor;
mod sink;
mod wire;

pub use capability::Report;
pub use config::{Config, FileConfig, PayloadConfig, ProcessConfig, RedactionConfig, Sides, SocketConfig};
pub use kernel::LoadError;
pub use rows::Origin;
pub use sensor::{Sensors, StartError, check, start};
pub use sink::{Counters, Sink};
