//! Dictionaries cut down to the values that are used: an answer of twenty rows must not drag along the dictionary of
//! a whole row group.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, DictionaryArray, Int32Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;

/// A dictionary this small is kept as it is.
const SMALL: usize = 64;

/// The same rows with small dictionaries.
pub(super) fn compact(records: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = records.columns().iter().map(compact_column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(records.schema(), columns)
}

fn compact_column(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !matches!(array.data_type(), DataType::Dictionary(_, _)) {
        return Ok(Arc::clone(array));
    }
    let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() else { return Ok(Arc::clone(array)) };
    let n_values = dictionary.values().len();
    if n_values <= SMALL || n_values <= array.len() {
        return Ok(Arc::clone(array));
    }
    let mut used = dictionary.keys().iter().flatten().collect::<Vec<_>>();
    used.sort_unstable();
    used.dedup();
    let keys = dictionary
        .keys()
        .iter()
        .map(|key| key.and_then(|key| used.binary_search(&key).ok()).and_then(|new| i32::try_from(new).ok()))
        .collect::<Int32Array>();
    let positions = used.iter().filter_map(|key| u32::try_from(*key).ok()).collect::<UInt32Array>();
    let values = take(dictionary.values(), &positions, None)?;
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values)?))
}
