//! A place in the order of a table's rows that holds across snapshots, sealing and compaction.

use std::fmt;
use std::str::FromStr;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::TimestampNanosecondType;
use hindcast_model::{TableId, TimeRange, Timestamp, event_id};

/// A row's place: its time, and among rows of the same time its event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The row's time.
    pub time: Timestamp,
    /// The row's id.
    pub id: u64,
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: take it from the page before as it stands")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:016x}", self.time.as_nanos(), self.id)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (time, id) = text.split_once('.').ok_or(CursorError)?;
        Ok(Self {
            time: Timestamp::from_nanos(time.parse().map_err(|_error| CursorError)?),
            id: u64::from_str_radix(id, 16).map_err(|_error| CursorError)?,
        })
    }
}

/// An id for each row, the same for equal rows wherever they are kept.
pub(super) fn row_ids(table: TableId, records: &RecordBatch) -> Vec<u64> {
    if event_id::columns(table).is_some() {
        return event_id::event_ids(table, records);
    }
    let mut ids = vec![0_u64; records.num_rows()];
    for (position, column) in (1_u64..).zip(records.columns()) {
        let options = arrow::util::display::FormatOptions::default();
        let Ok(formatter) = arrow::util::display::ArrayFormatter::try_new(column, &options) else { continue };
        for (row, id) in ids.iter_mut().enumerate() {
            let hash = event_id::uuid_hash(&formatter.value(row).to_string());
            *id = event_id::with_uuid(*id, hash.rotate_left(u32::try_from(position % 64).unwrap_or(0)));
        }
    }
    ids
}

/// The times of rows in nanoseconds.
pub(crate) fn times<'a>(records: &'a RecordBatch, column: &str) -> &'a [i64] {
    records
        .column_by_name(column)
        .and_then(|array| array.as_primitive_opt::<TimestampNanosecondType>())
        .map_or(&[], |array| array.values())
}

/// The rows of a batch that lie in a range.
pub(crate) fn inside(records: &RecordBatch, time: &str, range: TimeRange) -> BooleanBuffer {
    let times = times(records, time);
    let (start, end) = (range.start().as_nanos(), range.end().as_nanos());
    BooleanBuffer::collect_bool(times.len(), |row| times.get(row).is_some_and(|time| start <= *time && *time < end))
}
