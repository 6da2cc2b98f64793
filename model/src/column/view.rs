//! Columns being read. A view of a column that the batch does not hold reads as null in every row.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Int32Array, PrimitiveArray, StringArray,
    StringViewArray,
};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Int32Type};

/// Numbers or instants.
#[derive(Clone, Copy, Debug)]
pub struct PrimitiveView<'a, T: ArrowPrimitiveType>(Option<&'a PrimitiveArray<T>>);

impl<'a, T: ArrowPrimitiveType> PrimitiveView<'a, T> {
    /// A view of `array`, `None` if it has another type.
    #[must_use]
    pub fn of(array: Option<&'a ArrayRef>) -> Option<Self> {
        match array {
            None => Some(Self(None)),
            Some(array) => array.as_primitive_opt::<T>().map(|typed| Self(Some(typed))),
        }
    }

    /// The value of `row`.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<T::Native> {
        let array = self.0?;
        if row >= array.len() || array.is_null(row) { None } else { Some(array.value(row)) }
    }
}

/// Truth values.
#[derive(Clone, Copy, Debug)]
pub struct BoolView<'a>(Option<&'a BooleanArray>);

impl<'a> BoolView<'a> {
    /// A view of `array`, `None` if it has another type.
    #[must_use]
    pub fn of(array: Option<&'a ArrayRef>) -> Option<Self> {
        match array {
            None => Some(Self(None)),
            Some(array) => array.as_boolean_opt().map(|typed| Self(Some(typed))),
        }
    }

    /// The value of `row`.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<bool> {
        let array = self.0?;
        if row >= array.len() || array.is_null(row) { None } else { Some(array.value(row)) }
    }
}

/// Texts, in whichever of Arrow's forms.
#[derive(Clone, Copy, Debug)]
pub enum TextView<'a> {
    /// The batch has no such column.
    Absent,
    /// Keys into a dictionary.
    Dict(&'a Int32Array, &'a StringArray),
    /// Texts behind one another.
    Plain(&'a StringArray),
    /// Texts by reference.
    View(&'a StringViewArray),
}

impl<'a> TextView<'a> {
    /// A view of `array`, `None` if it has another type.
    #[must_use]
    pub fn of(array: Option<&'a ArrayRef>) -> Option<Self> {
        let Some(array) = array else { return Some(Self::Absent) };
        if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
            return Some(Self::Dict(dictionary.keys(), dictionary.values().as_string_opt::<i32>()?));
        }
        if matches!(array.data_type(), DataType::Utf8View) {
            return array.as_string_view_opt().map(Self::View);
        }
        array.as_string_opt::<i32>().map(Self::Plain)
    }

    /// The value of `row`.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Absent => None,
            Self::Dict(keys, values) => {
                if row >= keys.len() || keys.is_null(row) {
                    return None;
                }
                let key = usize::try_from(keys.value(row)).ok()?;
                if key < values.len() && values.is_valid(key) { Some(values.value(key)) } else { None }
            }
            Self::Plain(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
            Self::View(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
        }
    }
}

/// Bytes, in whichever of Arrow's forms.
#[derive(Clone, Copy, Debug)]
pub enum BytesView<'a> {
    /// The batch has no such column.
    Absent,
    /// Keys into a dictionary.
    Dict(&'a Int32Array, &'a BinaryArray),
    /// Byte strings behind one another.
    Plain(&'a BinaryArray),
    /// Byte strings by reference.
    View(&'a BinaryViewArray),
}

impl<'a> BytesView<'a> {
    /// A view of `array`, `None` if it has another type.
    #[must_use]
    pub fn of(array: Option<&'a ArrayRef>) -> Option<Self> {
        let Some(array) = array else { return Some(Self::Absent) };
        if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
            return Some(Self::Dict(dictionary.keys(), dictionary.values().as_binary_opt::<i32>()?));
        }
        if matches!(array.data_type(), DataType::BinaryView) {
            return array.as_binary_view_opt().map(Self::View);
        }
        array.as_binary_opt::<i32>().map(Self::Plain)
    }

    /// The value of `row`.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::Absent => None,
            Self::Dict(keys, values) => {
                if row >= keys.len() || keys.is_null(row) {
                    return None;
                }
                let key = usize::try_from(keys.value(row)).ok()?;
                if key < values.len() && values.is_valid(key) { Some(values.value(key)) } else { None }
            }
            Self::Plain(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
            Self::View(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
        }
    }
}
