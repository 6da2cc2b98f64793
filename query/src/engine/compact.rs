//! Dictionaries cut down to the values that are used: an answer of twenty rows must not drag along the dictionary of
//! a whole row group.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use hindcast_storage::shrink_dictionary;

/// The same rows with small dictionaries.
pub(super) fn compact(records: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = records.columns().iter().map(shrink_dictionary).collect();
    RecordBatch::try_new(records.schema(), columns)
}
