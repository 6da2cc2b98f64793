//! Rows that are logged and not sealed.
//!
//! [`prepare()`] does the work per row outside of any lock: it checks, splits by partition and encodes. [`State`] only
//! links batches in, so a snapshot is a few reference counts.

mod dictionary;
mod prepare;
mod state;

pub use dictionary::shrink_dictionary;
pub(crate) use prepare::{Prepared, conform, null_column, prepare};
pub(crate) use state::{Frozen, Limits, State};

use arrow::array::RecordBatch;
use hindcast_model::Timestamp;

use crate::ids::Lsn;

/// Rows of one append in one partition, in the order in which they were appended.
#[derive(Clone, Debug)]
pub struct MemoryBatch {
    /// The rows, in the table's schema.
    pub records: RecordBatch,
    /// The append that brought them.
    pub lsn: Lsn,
    /// Earliest time.
    pub min_time: Timestamp,
    /// Latest time.
    pub max_time: Timestamp,
}
