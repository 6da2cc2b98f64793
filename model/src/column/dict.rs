//! Builder columns whose repeated values stand once in a dictionary.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Int32Type;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::Column;

/// The key of a row without a value.
const NULL_KEY: i32 = -1;

/// Distinct byte strings, numbered in order of first appearance.
#[derive(Debug, Default)]
struct Interner {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    keys: HashTable<i32>,
    hasher: DefaultHashBuilder,
}

fn value_of<'a>(bytes: &'a [u8], ends: &[usize], key: i32) -> &'a [u8] {
    let Ok(index) = usize::try_from(key) else { return &[] };
    let start = index.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    let end = ends.get(index).copied().unwrap_or(start);
    bytes.get(start..end).unwrap_or(&[])
}

impl Interner {
    /// Requires: fewer than `i32::MAX` distinct values; a batch is finished long before.
    fn intern(&mut self, value: &[u8]) -> i32 {
        let Self { bytes, ends, keys, hasher } = self;
        let hash = hasher.hash_one(value);
        if let Some(key) = keys.find(hash, |key| value_of(bytes, ends, *key) == value) {
            return *key;
        }
        let key = i32::try_from(ends.len()).unwrap_or(i32::MAX);
        bytes.extend_from_slice(value);
        ends.push(bytes.len());
        keys.insert_unique(hash, key, |key| hasher.hash_one(value_of(bytes, ends, *key)));
        key
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let mut start = 0;
        let lengths: Vec<usize> =
            self.ends.iter().map(|end| end.saturating_sub(std::mem::replace(&mut start, *end))).collect();
        self.ends.clear();
        self.keys.clear();
        (OffsetBuffer::from_lengths(lengths), Buffer::from_vec(std::mem::take(&mut self.bytes)))
    }
}

#[derive(Debug, Default)]
struct Keyed {
    keys: Vec<i32>,
    interner: Interner,
}

impl Keyed {
    fn set(&mut self, row: usize, value: &[u8]) {
        self.keys.truncate(row);
        // Neighbouring rows often agree; comparing is cheaper than hashing.
        let key = match self.keys.last() {
            Some(&last) if last != NULL_KEY && value_of(&self.interner.bytes, &self.interner.ends, last) == value => {
                last
            }
            _ => self.interner.intern(value),
        };
        self.keys.resize(row, NULL_KEY);
        self.keys.push(key);
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        let key = *self.keys.get(row)?;
        if key == NULL_KEY { None } else { Some(value_of(&self.interner.bytes, &self.interner.ends, key)) }
    }

    fn take_keys(&mut self, n_rows: usize) -> Int32Array {
        self.keys.resize(n_rows, NULL_KEY);
        let mut keys = std::mem::take(&mut self.keys);
        if !keys.contains(&NULL_KEY) {
            return Int32Array::new(ScalarBuffer::from(keys), None);
        }
        let nulls: NullBuffer = keys.iter().map(|key| *key != NULL_KEY).collect::<Vec<bool>>().into();
        for key in &mut keys {
            *key = (*key).max(0);
        }
        Int32Array::new(ScalarBuffer::from(keys), Some(nulls))
    }
}

/// Assembles keys and values. The keys are within the values by construction; an all-null column has no values and
/// keys that are masked.
fn dictionary(keys: Int32Array, values: ArrayRef) -> ArrayRef {
    match DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(&values)) {
        Ok(array) => Arc::new(array),
        Err(error) => {
            debug_assert!(false, "dictionary keys outside of their values: {error}");
            arrow::array::new_null_array(
                &arrow::datatypes::DataType::Dictionary(
                    Box::new(arrow::datatypes::DataType::Int32),
                    Box::new(values.data_type().clone()),
                ),
                0,
            )
        }
    }
}

/// A column of texts that repeat.
#[derive(Debug, Default)]
pub struct DictColumn(Keyed);

impl DictColumn {
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

impl Column for DictColumn {
    fn len(&self) -> usize {
        self.0.keys.len()
    }

    fn truncate(&mut self, n_rows: usize) {
        self.0.keys.truncate(n_rows);
    }

    fn finish(&mut self, n_rows: usize) -> ArrayRef {
        let keys = self.0.take_keys(n_rows);
        let (offsets, bytes) = self.0.interner.take();
        dictionary(keys, Arc::new(StringArray::new(offsets, bytes, None)))
    }
}

/// A column of byte strings that repeat.
#[derive(Debug, Default)]
pub struct DictBytesColumn(Keyed);

impl DictBytesColumn {
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

impl Column for DictBytesColumn {
    fn len(&self) -> usize {
        self.0.keys.len()
    }

    fn truncate(&mut self, n_rows: usize) {
        self.0.keys.truncate(n_rows);
    }

    fn finish(&mut self, n_rows: usize) -> ArrayRef {
        let keys = self.0.take_keys(n_rows);
        let (offsets, bytes) = self.0.interner.take();
        dictionary(keys, Arc::new(BinaryArray::new(offsets, bytes, None)))
    }
}
