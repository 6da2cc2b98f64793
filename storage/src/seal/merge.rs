//! Many batches of one table as one set of columns with one dictionary each.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BinaryBuilder, DictionaryArray, Int32Array, RecordBatch, StringBuilder,
    UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use hashbrown::hash_map::RawEntryMut;
use hashbrown::{DefaultHashBuilder, HashMap};
use hindcast_model::{ColumnKind, TableId};

/// The key of a row without a value.
pub(crate) const NULL_KEY: i32 = -1;

/// A column of all rows.
#[derive(Debug)]
pub(crate) enum Column {
    /// Keys into distinct values; [`NULL_KEY`] where there is none.
    Dict { keys: Vec<i32>, values: ArrayRef },
    /// Values in the array itself.
    Plain(ArrayRef),
}

/// All rows of a segment to be. Columns that are null in every row are `None`.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) table: TableId,
    pub(crate) n_rows: usize,
    /// In the order of the table's columns.
    pub(crate) columns: Vec<Option<Column>>,
}

impl Merged {
    /// The columns of batches that have the table's schema.
    pub(crate) fn new(table: TableId, batches: &[RecordBatch]) -> Result<Self, ArrowError> {
        let definitions = table.columns();
        let mut columns = Vec::with_capacity(definitions.len());
        for definition in definitions {
            let arrays: Vec<&ArrayRef> =
                batches.iter().filter_map(|batch| batch.column_by_name(definition.name)).collect();
            columns.push(merge_column(definition.kind, &arrays)?);
        }
        Ok(Self { table, n_rows: batches.iter().map(RecordBatch::num_rows).sum(), columns })
    }

    /// A column by name, if any row has a value.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        let position = self.table.columns().iter().position(|column| column.name == name)?;
        self.columns.get(position)?.as_ref()
    }
}

fn merge_column(kind: ColumnKind, arrays: &[&ArrayRef]) -> Result<Option<Column>, ArrowError> {
    if arrays.iter().all(|array| array.null_count() == array.len()) {
        return Ok(None);
    }
    if matches!(kind, ColumnKind::Dict | ColumnKind::DictBytes) {
        return merge_dictionaries(kind, arrays).map(Some);
    }
    if let [array] = arrays {
        return Ok(Some(Column::Plain(ArrayRef::clone(array))));
    }
    let arrays: Vec<_> = arrays.iter().map(|array| array.as_ref()).collect();
    Ok(Some(Column::Plain(concat(&arrays)?)))
}

fn value_bytes(kind: ColumnKind, values: &ArrayRef, at: usize) -> &[u8] {
    if matches!(kind, ColumnKind::Dict) {
        values.as_string::<i32>().value(at).as_bytes()
    } else {
        values.as_binary::<i32>().value(at)
    }
}

fn merge_dictionaries(kind: ColumnKind, arrays: &[&ArrayRef]) -> Result<Column, ArrowError> {
    let n_rows = arrays.iter().map(|array| array.len()).sum();
    let mut keys: Vec<i32> = Vec::with_capacity(n_rows);
    let mut known: HashMap<&[u8], i32, DefaultHashBuilder> = HashMap::default();
    let mut renumbered: Vec<i32> = Vec::new();
    for array in arrays {
        let dictionary = array
            .as_dictionary_opt::<Int32Type>()
            .ok_or_else(|| ArrowError::SchemaError(format!("a dictionary column has type {}", array.data_type())))?;
        let (old_keys, values) = (dictionary.keys(), dictionary.values());
        // Renumbered when first used: a slice shares a dictionary with values it does not use.
        renumbered.clear();
        renumbered.resize(values.len(), NULL_KEY);
        let mut renumber = |old: i32| -> i32 {
            let Ok(at) = usize::try_from(old) else { return NULL_KEY };
            let Some(slot) = renumbered.get_mut(at) else { return NULL_KEY };
            if *slot == NULL_KEY {
                let next = i32::try_from(known.len()).unwrap_or(i32::MAX);
                *slot = match known.raw_entry_mut().from_key(value_bytes(kind, values, at)) {
                    RawEntryMut::Occupied(entry) => *entry.get(),
                    RawEntryMut::Vacant(entry) => *entry.insert(value_bytes(kind, values, at), next).1,
                };
            }
            *slot
        };
        match old_keys.nulls() {
            None => keys.extend(old_keys.values().iter().map(|key| renumber(*key))),
            Some(nulls) => keys.extend(
                old_keys.values().iter().zip(nulls).map(|(key, valid)| if valid { renumber(*key) } else { NULL_KEY }),
            ),
        }
    }
    let mut ordered: Vec<(&[u8], i32)> = known.into_iter().collect();
    ordered.sort_unstable_by_key(|(_, key)| *key);
    Ok(Column::Dict { keys, values: values_array(kind, ordered.iter().map(|(value, _)| *value))? })
}

/// Distinct values as an array.
pub(crate) fn values_array<'a>(
    kind: ColumnKind,
    values: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Result<ArrayRef, ArrowError> {
    if matches!(kind, ColumnKind::Dict) {
        let mut builder = StringBuilder::with_capacity(values.len(), values.len() * 16);
        for value in values {
            let text = std::str::from_utf8(value).map_err(|error| ArrowError::ParseError(error.to_string()))?;
            builder.append_value(text);
        }
        return Ok(Arc::new(builder.finish()));
    }
    let mut builder = BinaryBuilder::with_capacity(values.len(), values.len() * 16);
    values.for_each(|value| builder.append_value(value));
    Ok(Arc::new(builder.finish()))
}

/// Keys with [`NULL_KEY`]s and their values as an array.
pub(crate) fn dictionary(keys: Vec<i32>, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let nulls = keys
        .contains(&NULL_KEY)
        .then(|| NullBuffer::from(keys.iter().map(|key| *key != NULL_KEY).collect::<Vec<bool>>()));
    let keys: Vec<i32> = if nulls.is_some() { keys.into_iter().map(|key| key.max(0)).collect() } else { keys };
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::new(keys.into(), nulls), ArrayRef::clone(values))?))
}

/// The keys of some rows, in their order.
pub(crate) fn gather(keys: &[i32], rows: &UInt32Array) -> Vec<i32> {
    let key = |row: u32| usize::try_from(row).ok().and_then(|row| keys.get(row)).copied().unwrap_or(NULL_KEY);
    rows.values().iter().map(|row| key(*row)).collect()
}

impl Column {
    /// The rows at `rows`, in that order.
    pub(crate) fn take(&self, rows: &UInt32Array) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Plain(array) => take(array, rows, None),
            Self::Dict { keys, values } => dictionary(gather(keys, rows), values),
        }
    }
}
