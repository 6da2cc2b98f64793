//! Answers questions about a snapshot of the store and never changes anything (QU-1).
//!
//! [`filter`] decides which rows are meant, [`Engine`] finds them in exact order of time. Every result obeys its
//! [`Limits`] and says when it was cut (QU-3).
//!
//! Not here: transport words, clients' formats, and the system clock.
#![forbid(unsafe_code)]

#[cfg(test)]
mod docs;
mod engine;
mod error;
pub mod filter;
mod fold;
mod limits;
mod nearest;
mod remote;
pub mod sql;

pub use engine::{Config, Cursor, CursorError, Engine, EventQuery, EventStream, FollowStream, Followed, Order, Pick};
pub use error::{FilterError, QueryError};
pub use filter::Filter;
pub use fold::{Bucketed, CountedValue, Counts, Edges, Histogram, HistogramQuery, Series, TopQuery, Weight};
pub use hindcast_storage::Lsn;
pub use limits::{Cut, CutReason, Limits};
pub use sql::SqlStream;
