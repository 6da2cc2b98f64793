//! Dictionaries cut down to the values that are used: a slice of a long column drags the whole dictionary along, and
//! would be logged and counted with it.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, DictionaryArray, Int32Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type};

/// A dictionary this small is kept as it is.
const SMALL: usize = 64;

/// The same column, without the values that no row has if there are more values than rows.
#[must_use]
pub fn shrink_dictionary(array: &ArrayRef) -> ArrayRef {
    shrunk(array).unwrap_or_else(|| Arc::clone(array))
}

/// `None` where there is nothing to gain.
fn shrunk(array: &ArrayRef) -> Option<ArrayRef> {
    if !matches!(array.data_type(), DataType::Dictionary(_, _)) {
        return None;
    }
    let dictionary = array.as_dictionary_opt::<Int32Type>()?;
    let (keys, values) = (dictionary.keys(), dictionary.values());
    if values.len() <= SMALL || values.len() <= keys.len() {
        return None;
    }
    let mut renumbered = vec![None; values.len()];
    let mut kept: Vec<u32> = Vec::with_capacity(keys.len());
    let mut renumber = |key: i32| {
        let slot = renumbered.get_mut(usize::try_from(key).ok()?)?;
        if slot.is_none() {
            *slot = i32::try_from(kept.len()).ok();
            kept.push(key.cast_unsigned());
        }
        *slot
    };
    let keys: Int32Array = keys.iter().map(|key| renumber(key?)).collect();
    let values = take(values, &UInt32Array::from(kept), None).ok()?;
    Some(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values).ok()?))
}

#[cfg(test)]
mod tests;
