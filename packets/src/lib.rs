//! Packets, and what other programs say of packets: bytes of a capture, of a flow-export datagram or of a cloud's
//! flow log, turned into rows of the table `flows`; and the parsers of DNS, HTTP and TLS that this needs.
//!
//! The parsers are pure functions and small state machines over byte slices. None panics on any bytes, each has a
//! bound on what it keeps, and an error says what was wrong at which byte. What the bytes do not say stays absent
//! (EV-3): no direction without a SYN, no status without a response, no name that had to be guessed.
//!
//! Not here: sockets, files by name, threads, async, and the clock. Time comes from the packets. Who an address
//! belonged to is the business of `ingest`.
#![forbid(unsafe_code)]

mod app;
pub mod capture;
mod connection;
pub mod dns;
pub mod export;
mod fault;
pub mod flow_logs;
pub mod http1;
pub mod http2;
pub mod import;
pub mod layers;
pub mod order;
pub mod redact;
mod rows;
#[cfg(test)]
mod testing;
pub mod tls;

pub use fault::Malformed;
pub use import::PcapImport;
pub use rows::Origin;
