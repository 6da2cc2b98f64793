//! One value of a column as JSON or as plain text.
//!
//! Times are RFC 3339 in UTC with nine digits, bytes base64, decimals texts; integers of 64 bits are numbers, and a
//! float that JSON cannot hold is null.

use std::io::Write as _;

use arrow::array::{Array, ArrayRef, AsArray as _, GenericListArray, MapArray, OffsetSizeTrait, StructArray};
use arrow::datatypes as types;
use arrow::datatypes::ArrowNativeType as _;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hindcast_model::list;

use super::RenderError;
use crate::when;

/// The values of one column, ready to be written.
pub(crate) enum Cells<'a> {
    /// No row has a value.
    Null,
    Bool(&'a arrow::array::BooleanArray),
    I8(&'a arrow::array::Int8Array),
    I16(&'a arrow::array::Int16Array),
    I32(&'a arrow::array::Int32Array),
    I64(&'a arrow::array::Int64Array),
    U8(&'a arrow::array::UInt8Array),
    U16(&'a arrow::array::UInt16Array),
    U32(&'a arrow::array::UInt32Array),
    U64(&'a arrow::array::UInt64Array),
    F32(&'a arrow::array::Float32Array),
    F64(&'a arrow::array::Float64Array),
    Text(&'a arrow::array::StringArray),
    LargeText(&'a arrow::array::LargeStringArray),
    TextView(&'a arrow::array::StringViewArray),
    Bytes(&'a arrow::array::BinaryArray),
    LargeBytes(&'a arrow::array::LargeBinaryArray),
    BytesView(&'a arrow::array::BinaryViewArray),
    /// Instants: the array's values times the factor are nanoseconds.
    Time(Vec<Option<i64>>),
    /// Keys into other cells.
    Dict(Vec<Option<usize>>, Box<Cells<'a>>),
    /// Lists as offsets into other cells.
    List(Vec<Option<(usize, usize)>>, Box<Cells<'a>>),
    Struct(&'a StructArray, Vec<(&'a str, Cells<'a>)>),
    Map(&'a MapArray, Box<Cells<'a>>, Box<Cells<'a>>),
    /// Anything else, as Arrow prints it.
    Display(&'a ArrayRef, ArrayFormatter<'a>),
}

impl<'a> Cells<'a> {
    /// The cells of a column.
    pub(crate) fn new(name: &str, array: &'a ArrayRef) -> Result<Self, RenderError> {
        if array.null_count() == array.len() {
            return Ok(Self::Null);
        }
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Int8 => Self::I8(array.as_primitive()),
            DataType::Int16 => Self::I16(array.as_primitive()),
            DataType::Int32 => Self::I32(array.as_primitive()),
            DataType::Int64 => Self::I64(array.as_primitive()),
            DataType::UInt8 => Self::U8(array.as_primitive()),
            DataType::UInt16 => Self::U16(array.as_primitive()),
            DataType::UInt32 => Self::U32(array.as_primitive()),
            DataType::UInt64 => Self::U64(array.as_primitive()),
            DataType::Float32 => Self::F32(array.as_primitive()),
            DataType::Float64 => Self::F64(array.as_primitive()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::LargeUtf8 => Self::LargeText(array.as_string()),
            DataType::Utf8View => Self::TextView(array.as_string_view()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::LargeBinary => Self::LargeBytes(array.as_binary()),
            DataType::BinaryView => Self::BytesView(array.as_binary_view()),
            DataType::Timestamp(unit, _) => Self::times(array, *unit),
            DataType::Dictionary(_, _) => Self::dictionary(name, array)?,
            DataType::List(_) => Self::list(name, array.as_list::<i32>())?,
            DataType::LargeList(_) => Self::list(name, array.as_list::<i64>())?,
            DataType::Struct(fields) => {
                let parts = array.as_struct();
                let cells = fields.iter().zip(parts.columns());
                let cells = cells.map(|(field, column)| Ok((field.name().as_str(), Self::new(field.name(), column)?)));
                Self::Struct(parts, cells.collect::<Result<_, RenderError>>()?)
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                Self::Map(map, Box::new(Self::new(name, map.keys())?), Box::new(Self::new(name, map.values())?))
            }
            other => Self::display(name, array, other)?,
        })
    }

    fn display(name: &str, array: &'a ArrayRef, data_type: &DataType) -> Result<Self, RenderError> {
        static OPTIONS: FormatOptions<'static> = FormatOptions::new();
        let formatter = ArrayFormatter::try_new(array.as_ref(), &OPTIONS)
            .map_err(|_unprintable| RenderError::Type { column: name.to_owned(), data_type: data_type.to_string() })?;
        Ok(Self::Display(array, formatter))
    }

    fn times(array: &ArrayRef, unit: types::TimeUnit) -> Self {
        macro_rules! scaled {
            ($type:ty, $factor:literal) => {
                array.as_primitive::<$type>().iter().map(|value| value.map(|v| v.saturating_mul($factor))).collect()
            };
        }
        Self::Time(match unit {
            types::TimeUnit::Second => scaled!(types::TimestampSecondType, 1_000_000_000),
            types::TimeUnit::Millisecond => scaled!(types::TimestampMillisecondType, 1_000_000),
            types::TimeUnit::Microsecond => scaled!(types::TimestampMicrosecondType, 1_000),
            types::TimeUnit::Nanosecond => scaled!(types::TimestampNanosecondType, 1),
        })
    }

    fn dictionary(name: &str, array: &'a ArrayRef) -> Result<Self, RenderError> {
        let dictionary = array.as_any_dictionary();
        let values = Self::new(name, dictionary.values())?;
        if matches!(values, Self::Null) {
            return Ok(Self::Null);
        }
        let keys = dictionary.normalized_keys();
        let keys = keys.into_iter().enumerate();
        let nulls = dictionary.keys();
        Ok(Self::Dict(keys.map(|(row, key)| nulls.is_valid(row).then_some(key)).collect(), Box::new(values)))
    }

    fn list<O: OffsetSizeTrait>(name: &str, list: &'a GenericListArray<O>) -> Result<Self, RenderError> {
        let offsets = list.value_offsets();
        let ends = offsets.iter().zip(offsets.iter().skip(1)).enumerate();
        let ranges = ends.map(|(row, (start, end))| list.is_valid(row).then(|| (start.as_usize(), end.as_usize())));
        Ok(Self::List(ranges.collect(), Box::new(Self::new(name, list.values())?)))
    }

    /// Whether the row has no value.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(array) => array.is_null(row),
            Self::I8(array) => array.is_null(row),
            Self::I16(array) => array.is_null(row),
            Self::I32(array) => array.is_null(row),
            Self::I64(array) => array.is_null(row),
            Self::U8(array) => array.is_null(row),
            Self::U16(array) => array.is_null(row),
            Self::U32(array) => array.is_null(row),
            Self::U64(array) => array.is_null(row),
            Self::F32(array) => array.is_null(row),
            Self::F64(array) => array.is_null(row),
            Self::Text(array) => array.is_null(row),
            Self::LargeText(array) => array.is_null(row),
            Self::TextView(array) => array.is_null(row),
            Self::Bytes(array) => array.is_null(row),
            Self::LargeBytes(array) => array.is_null(row),
            Self::BytesView(array) => array.is_null(row),
            Self::Time(values) => values.get(row).is_none_or(Option::is_none),
            Self::Dict(keys, values) => keys.get(row).copied().flatten().is_none_or(|key| values.is_null(key)),
            Self::List(ranges, _) => ranges.get(row).is_none_or(Option::is_none),
            Self::Struct(array, _) => array.is_null(row),
            Self::Map(array, _, _) => array.is_null(row),
            Self::Display(array, _) => array.is_null(row),
        }
    }

    /// The text of the row, where the column holds texts.
    pub(crate) fn text(&self, row: usize) -> Option<&str> {
        if self.is_null(row) {
            return None;
        }
        match self {
            Self::Text(array) => Some(array.value(row)),
            Self::LargeText(array) => Some(array.value(row)),
            Self::TextView(array) => Some(array.value(row)),
            Self::Dict(keys, values) => values.text(keys.get(row).copied().flatten()?),
            _ => None,
        }
    }

    /// Appends the row's value as JSON.
    pub(crate) fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match self {
            Self::Null => {}
            Self::F32(array) => write_float(f64::from(array.value(row)), out),
            Self::F64(array) => write_float(array.value(row), out),
            Self::Dict(keys, values) => {
                if let Some(key) = keys.get(row).copied().flatten() {
                    values.write_json(key, out);
                }
            }
            Self::List(ranges, values) => {
                let (start, end) = ranges.get(row).copied().flatten().unwrap_or_default();
                write_array(out, start..end, |item, out| values.write_json(item, out));
            }
            Self::Struct(_, fields) => write_object(out, fields.iter(), |(name, cells), out| {
                write_text(name, out);
                out.push(b':');
                cells.write_json(row, out);
            }),
            Self::Map(array, keys, values) => write_array(out, offsets(array, row), |item, out| {
                out.push(b'[');
                keys.write_json(item, out);
                out.push(b',');
                values.write_json(item, out);
                out.push(b']');
            }),
            Self::Text(_) | Self::LargeText(_) | Self::TextView(_) => write_text(self.text(row).unwrap_or(""), out),
            Self::Time(_) | Self::Bytes(_) | Self::LargeBytes(_) | Self::BytesView(_) => {
                out.push(b'"');
                self.write_plain(row, out);
                out.push(b'"');
            }
            Self::Display(_, formatter) => write_text(&formatter.value(row).to_string(), out),
            Self::Bool(_) | Self::I8(_) | Self::I16(_) | Self::I32(_) | Self::I64(_) => self.write_plain(row, out),
            Self::U8(_) | Self::U16(_) | Self::U32(_) | Self::U64(_) => self.write_plain(row, out),
        }
    }

    /// Appends the row's value as an array of the texts that a list column holds.
    pub(crate) fn write_list(&self, row: usize, out: &mut Vec<u8>) {
        match self.text(row) {
            Some(text) => write_array(out, list::split(text), |item, out| write_text(&item, out)),
            None => self.write_json(row, out),
        }
    }

    /// Appends the row's value as bare text; nothing where there is none.
    pub(crate) fn write_plain(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return;
        }
        // Writing into memory cannot fail.
        let _infallible = match self {
            Self::Null => Ok(()),
            Self::Bool(array) => write!(out, "{}", array.value(row)),
            Self::I8(array) => write!(out, "{}", array.value(row)),
            Self::I16(array) => write!(out, "{}", array.value(row)),
            Self::I32(array) => write!(out, "{}", array.value(row)),
            Self::I64(array) => write!(out, "{}", array.value(row)),
            Self::U8(array) => write!(out, "{}", array.value(row)),
            Self::U16(array) => write!(out, "{}", array.value(row)),
            Self::U32(array) => write!(out, "{}", array.value(row)),
            Self::U64(array) => write!(out, "{}", array.value(row)),
            Self::F32(array) => write!(out, "{}", array.value(row)),
            Self::F64(array) => write!(out, "{}", array.value(row)),
            Self::Text(_) | Self::LargeText(_) | Self::TextView(_) => {
                out.write_all(self.text(row).unwrap_or("").as_bytes())
            }
            Self::Bytes(array) => out.write_all(STANDARD.encode(array.value(row)).as_bytes()),
            Self::LargeBytes(array) => out.write_all(STANDARD.encode(array.value(row)).as_bytes()),
            Self::BytesView(array) => out.write_all(STANDARD.encode(array.value(row)).as_bytes()),
            Self::Time(values) => {
                when::write(out, values.get(row).copied().flatten().unwrap_or_default());
                Ok(())
            }
            Self::Dict(keys, values) => {
                if let Some(key) = keys.get(row).copied().flatten() {
                    values.write_plain(key, out);
                }
                Ok(())
            }
            Self::List(..) | Self::Struct(..) | Self::Map(..) => {
                self.write_json(row, out);
                Ok(())
            }
            Self::Display(_, formatter) => write!(out, "{}", formatter.value(row)),
        };
    }
}

/// Where the entries of a map's row lie.
fn offsets(map: &MapArray, row: usize) -> std::ops::Range<usize> {
    let at = |index: usize| map.value_offsets().get(index).map_or(0, |offset| offset.as_usize());
    at(row)..at(row + 1)
}

fn write_float(value: f64, out: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *out, &value).is_err() {
        out.extend_from_slice(b"null");
    }
}

fn write_array<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, each: impl FnMut(T, &mut Vec<u8>)) {
    out.push(b'[');
    write_joined(out, items, each);
    out.push(b']');
}

fn write_object<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, each: impl FnMut(T, &mut Vec<u8>)) {
    out.push(b'{');
    write_joined(out, items, each);
    out.push(b'}');
}

fn write_joined<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut each: impl FnMut(T, &mut Vec<u8>)) {
    for (n_before, item) in items.into_iter().enumerate() {
        if n_before > 0 {
            out.push(b',');
        }
        each(item, out);
    }
}

/// Appends a JSON string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a text into memory cannot fail.
    let _infallible = serde_json::to_writer(&mut *out, text);
}
