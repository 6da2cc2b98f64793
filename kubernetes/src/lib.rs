//! Watches a cluster's API and says what its objects are over time: which pod had an address, what owned it, which
//! service an address leads to, and which policies were in force.
//!
//! [`Watch`] asks the API and changes the [`Directory`]; what changed goes out as rows of `workloads`, `policies` and
//! `losses`. [`Reader::name`] gives the rows of
//! sensors the names that held at the time of each.
//!
//! Not here: storing, wires of events, and the system clock.
#![forbid(unsafe_code)]

mod claims;
mod config;
mod directory;
mod fact;
mod kind;
mod names;
mod object;
mod rows;
mod watch;

pub use config::{Config, Enabled};
pub use directory::{Counts, Directory, Reader};
pub use fact::{Fact, Port, ServiceAt};
pub use kind::Kind;
pub use rows::Reason;
pub use watch::{ConnectError, Standing, Standings, Watch};
