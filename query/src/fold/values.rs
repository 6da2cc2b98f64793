//! The values of a column as texts, numbered.

use std::collections::HashMap;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, Int32Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::QueryError;

/// A number for each row, and the text of each number.
pub(super) struct Numbered {
    pub(super) of_row: Vec<usize>,
    pub(super) names: Vec<Option<String>>,
}

/// Numbers the values of a column; an absent column is null in every row.
pub(super) fn numbered(array: Option<&ArrayRef>, n_rows: usize) -> Result<Numbered, QueryError> {
    let Some(array) = array else { return Ok(Numbered { of_row: vec![0; n_rows], names: vec![None] }) };
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>()
        && let Some(values) = dictionary.values().as_string_opt::<i32>()
    {
        let null = values.len();
        let of_row = dictionary.keys().iter().map(|key| key.and_then(|key| usize::try_from(key).ok()).unwrap_or(null));
        let of_row = of_row.collect();
        let mut names = values.iter().map(|value| value.map(str::to_owned)).collect::<Vec<_>>();
        names.push(None);
        return Ok(Numbered { of_row, names });
    }
    if matches!(array.data_type(), DataType::Dictionary(_, _) | DataType::Binary) {
        return Err(QueryError::Invalid("bytes are not counted by value".to_owned()));
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options).map_err(QueryError::internal("write values as text"))?;
    let mut known: HashMap<Option<String>, usize> = HashMap::new();
    let mut names = Vec::new();
    let of_row = (0..n_rows)
        .map(|row| {
            let name = array.is_valid(row).then(|| formatter.value(row).to_string());
            *known.entry(name.clone()).or_insert_with(|| {
                names.push(name);
                names.len() - 1
            })
        })
        .collect();
    Ok(Numbered { of_row, names })
}
