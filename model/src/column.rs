//! Columns under construction and columns being read.
//!
//! A builder column is told the row it sets a value for. Rows it is not told about are null: a decoder names only
//! what the wire held, and a column that no event fills costs nothing per row. Setting the same row twice keeps the
//! later value, as protobuf does with a repeated singular field. [`Column::truncate`] takes back a row that turned
//! out to be bad.

mod build;
mod dict;
mod view;

pub use build::{BoolColumn, BytesColumn, PrimitiveColumn, TextColumn};
pub use dict::{DictBytesColumn, DictColumn};
pub use view::{BoolView, BytesView, PrimitiveView, TextView};

use arrow::array::ArrayRef;
use arrow::datatypes::{Int32Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};

/// A column under construction.
pub trait Column {
    /// How many rows it knows of.
    fn len(&self) -> usize;
    /// Whether it knows of none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Forgets all rows from `n_rows` on.
    fn truncate(&mut self, n_rows: usize);
    /// The column as an array of `n_rows` rows; the builder starts over. Requires: `n_rows` >= `len`.
    fn finish(&mut self, n_rows: usize) -> ArrayRef;
}

/// Instants in nanoseconds, UTC.
pub type TimeColumn = PrimitiveColumn<TimestampNanosecondType>;
/// 8-bit counts and codes.
pub type U8Column = PrimitiveColumn<UInt8Type>;
/// 16-bit counts and codes.
pub type U16Column = PrimitiveColumn<UInt16Type>;
/// 32-bit counts and codes.
pub type U32Column = PrimitiveColumn<UInt32Type>;
/// 64-bit counts.
pub type U64Column = PrimitiveColumn<UInt64Type>;
/// 32-bit signed numbers.
pub type I32Column = PrimitiveColumn<Int32Type>;
/// 64-bit signed numbers.
pub type I64Column = PrimitiveColumn<Int64Type>;

/// Instants being read.
pub type TimeView<'a> = PrimitiveView<'a, TimestampNanosecondType>;
/// 8-bit numbers being read.
pub type U8View<'a> = PrimitiveView<'a, UInt8Type>;
/// 16-bit numbers being read.
pub type U16View<'a> = PrimitiveView<'a, UInt16Type>;
/// 32-bit numbers being read.
pub type U32View<'a> = PrimitiveView<'a, UInt32Type>;
/// 64-bit numbers being read.
pub type U64View<'a> = PrimitiveView<'a, UInt64Type>;
/// 32-bit signed numbers being read.
pub type I32View<'a> = PrimitiveView<'a, Int32Type>;
/// 64-bit signed numbers being read.
pub type I64View<'a> = PrimitiveView<'a, Int64Type>;

#[cfg(test)]
mod tests;
