//! Builder columns whose values stand in the array itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::ArrowPrimitiveType;

use super::Column;

/// Which rows hold a value: one flag per row, turned into a bitmap at the end.
#[derive(Debug, Default)]
pub(super) struct Validity(Vec<bool>);

impl Validity {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn pad(&mut self, n_rows: usize) {
        if self.0.len() < n_rows {
            self.0.resize(n_rows, false);
        }
    }

    fn take(&mut self) -> Option<NullBuffer> {
        let flags = std::mem::take(&mut self.0);
        if flags.iter().all(|valid| *valid) { None } else { Some(NullBuffer::from(flags)) }
    }
}

/// A column of fixed-width numbers or instants.
#[derive(Debug)]
pub struct PrimitiveColumn<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    validity: Validity,
}

impl<T: ArrowPrimitiveType> Default for PrimitiveColumn<T> {
    fn default() -> Self {
        Self { values: Vec::new(), validity: Validity::default() }
    }
}

impl<T: ArrowPrimitiveType> PrimitiveColumn<T> {
    /// Sets the value of `row`. Requires: `row` >= the last row set.
    pub fn set(&mut self, row: usize, value: T::Native) {
        self.truncate(row);
        self.pad(row);
        self.values.push(value);
        self.validity.0.push(true);
    }

    /// The value of `row`, if it was set.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<T::Native> {
        if *self.validity.0.get(row)? { self.values.get(row).copied() } else { None }
    }

    fn pad(&mut self, n_rows: usize) {
        if self.values.len() < n_rows {
            self.values.resize(n_rows, T::Native::default());
        }
        self.validity.pad(n_rows);
    }
}

impl<T: ArrowPrimitiveType> Column for PrimitiveColumn<T> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn truncate(&mut self, n_rows: usize) {
        self.values.truncate(n_rows);
        self.validity.0.truncate(n_rows);
    }

    fn finish(&mut self, n_rows: usize) -> ArrayRef {
        self.pad(n_rows);
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        let array = PrimitiveArray::<T>::new(values, self.validity.take());
        if matches!(T::DATA_TYPE, arrow::datatypes::DataType::Timestamp(_, _)) {
            return Arc::new(array.with_data_type(crate::ColumnKind::Time.data_type()));
        }
        Arc::new(array)
    }
}

/// A column of truth values.
#[derive(Debug, Default)]
pub struct BoolColumn {
    values: Vec<bool>,
    validity: Validity,
}

impl BoolColumn {
    /// Sets the value of `row`. Requires: `row` >= the last row set.
    pub fn set(&mut self, row: usize, value: bool) {
        self.truncate(row);
        self.pad(row);
        self.values.push(value);
        self.validity.0.push(true);
    }

    /// The value of `row`, if it was set.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<bool> {
        if *self.validity.0.get(row)? { self.values.get(row).copied() } else { None }
    }

    fn pad(&mut self, n_rows: usize) {
        if self.values.len() < n_rows {
            self.values.resize(n_rows, false);
        }
        self.validity.pad(n_rows);
    }
}

impl Column for BoolColumn {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn truncate(&mut self, n_rows: usize) {
        self.values.truncate(n_rows);
        self.validity.0.truncate(n_rows);
    }

    fn finish(&mut self, n_rows: usize) -> ArrayRef {
        self.pad(n_rows);
        Arc::new(BooleanArray::new(std::mem::take(&mut self.values).into(), self.validity.take()))
    }
}

/// Values of any length behind one another, with the offsets between them.
#[derive(Debug, Default)]
struct VarColumn {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    validity: Validity,
}

impl VarColumn {
    fn set(&mut self, row: usize, value: &[u8]) {
        self.truncate(row);
        self.pad(row);
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        self.validity.0.push(true);
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        if !*self.validity.0.get(row)? {
            return None;
        }
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..*self.ends.get(row)?)
    }

    fn pad(&mut self, n_rows: usize) {
        if self.ends.len() < n_rows {
            self.ends.resize(n_rows, self.bytes.len());
        }
        self.validity.pad(n_rows);
    }

    fn truncate(&mut self, n_rows: usize) {
        if self.ends.len() > n_rows {
            self.ends.truncate(n_rows);
            self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
            self.validity.0.truncate(n_rows);
        }
    }

    /// Offsets, bytes and nulls. Bytes past `i32::MAX` cannot occur: a batch is sealed long before.
    fn take(&mut self, n_rows: usize) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        self.pad(n_rows);
        let mut start = 0;
        let lengths: Vec<usize> =
            self.ends.iter().map(|end| end.saturating_sub(std::mem::replace(&mut start, *end))).collect();
        self.ends.clear();
        (OffsetBuffer::from_lengths(lengths), Buffer::from_vec(std::mem::take(&mut self.bytes)), self.validity.take())
    }
}

/// A column of texts that seldom repeat.
#[derive(Debug, Default)]
pub struct TextColumn(VarColumn);

impl TextColumn {
    /// Sets the value of `row`. Requires: `row` >= the last row set.
    pub fn set(&mut self, row: usize, value: &str) {
        self.0.set(row, value.as_bytes());
    }

    /// The value of `row`, if it was set.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        std::str::from_utf8(self.0.get(row)?).ok()
    }
}

impl Column for TextColumn {
    fn len(&self) -> usize {
        self.0.validity.len()
    }

    fn truncate(&mut self, n_rows: usize) {
        self.0.truncate(n_rows);
    }

    fn finish(&mut self, n_rows: usize) -> ArrayRef {
        let (offsets, bytes, nulls) = self.0.take(n_rows);
        Arc::new(StringArray::new(offsets, bytes, nulls))
    }
}

/// A column of bytes that seldom repeat.
#[derive(Debug, Default)]
pub struct BytesColumn(VarColumn);

impl BytesColumn {
    /// Sets the value of `row`. Requires: `row` >= the last row set.
    pub fn set(&mut self, row: usize, value: &[u8]) {
        self.0.set(row, value);
    }

    /// The value of `row`, if it was set.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        self.0.get(row)
    }
}

impl Column for BytesColumn {
    fn len(&self) -> usize {
        self.0.validity.len()
    }

    fn truncate(&mut self, n_rows: usize) {
        self.0.truncate(n_rows);
    }

    fn finish(&mut self, n_rows: usize) -> ArrayRef {
        let (offsets, bytes, nulls) = self.0.take(n_rows);
        Arc::new(BinaryArray::new(offsets, bytes, nulls))
    }
}
