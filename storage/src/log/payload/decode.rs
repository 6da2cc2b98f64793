//! Bytes to batches. The bytes passed a checksum, yet nothing here trusts them: a wrong length is an error.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Int32Array, PrimitiveArray, RecordBatch,
    StringArray, TimestampNanosecondArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use hindcast_model::{Batch, ColumnKind, TableId};

use super::{key_width, kind_code};
use crate::log::Damage;

/// Decodes a payload into batches of their tables' schemas.
///
/// # Errors
/// The bytes are not a payload, or hold a table or a column this build does not know.
pub fn decode(payload: &[u8]) -> Result<Vec<Batch>, Damage> {
    let mut input = Input { bytes: payload };
    let n_parts = input.u16()?;
    let mut batches = Vec::with_capacity(n_parts.min(64));
    for _ in 0..n_parts {
        batches.push(decode_part(&mut input)?);
    }
    if input.bytes.is_empty() { Ok(batches) } else { Err(Damage::Payload("bytes follow the last part")) }
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) =
            self.bytes.split_at_checked(n_bytes).ok_or(Damage::Payload("it ends inside of a column"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Damage> {
        self.take(1)?.first().copied().ok_or(Damage::Payload("it ends inside of a column"))
    }

    fn u16(&mut self) -> Result<usize, Damage> {
        let bytes = self.take(2)?;
        Ok(bytes.first_chunk().map_or(0, |chunk| usize::from(u16::from_le_bytes(*chunk))))
    }

    fn u32(&mut self) -> Result<usize, Damage> {
        let bytes = self.take(4)?;
        let number = bytes.first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk));
        usize::try_from(number).map_err(|_too_large| Damage::Payload("a length is too large"))
    }
}

fn decode_part(input: &mut Input<'_>) -> Result<Batch, Damage> {
    let table = TableId::from_code(input.u8()?).ok_or(Damage::Payload("a table is unknown"))?;
    let n_rows = input.u32()?;
    let n_columns = input.u16()?;
    let definitions = table.columns();
    let mut columns: Vec<Option<ArrayRef>> = vec![None; definitions.len()];
    for _ in 0..n_columns {
        let name_len = usize::from(input.u8()?);
        let name = input.take(name_len)?;
        let position = definitions
            .iter()
            .position(|column| column.name.as_bytes() == name)
            .ok_or(Damage::Payload("a column is unknown"))?;
        let kind = definitions.get(position).ok_or(Damage::Payload("a column is unknown"))?.kind;
        if input.u8()? != kind_code(kind) {
            return Err(Damage::Payload("a column has another kind"));
        }
        let array = decode_column(kind, n_rows, input)?;
        if let Some(slot) = columns.get_mut(position) {
            *slot = Some(array);
        }
    }
    let columns = columns
        .into_iter()
        .zip(definitions)
        .map(|(array, column)| array.unwrap_or_else(|| new_null_array(&column.kind.data_type(), n_rows)))
        .collect();
    let records = RecordBatch::try_new(table.schema(), columns)
        .map_err(|_wrong| Damage::Payload("columns do not make a batch of the table"))?;
    Ok(Batch { table, records })
}

fn decode_column(kind: ColumnKind, n_rows: usize, input: &mut Input<'_>) -> Result<ArrayRef, Damage> {
    let nulls = if input.u8()? == 0 { None } else { Some(NullBuffer::new(bits(n_rows, input)?)) };
    Ok(match kind {
        ColumnKind::Time => {
            let array = TimestampNanosecondArray::new(scalars(n_rows, input)?, nulls);
            Arc::new(array.with_data_type(ColumnKind::Time.data_type()))
        }
        ColumnKind::I64 => primitive::<Int64Type>(n_rows, nulls, input)?,
        ColumnKind::U64 => primitive::<UInt64Type>(n_rows, nulls, input)?,
        ColumnKind::U32 => primitive::<UInt32Type>(n_rows, nulls, input)?,
        ColumnKind::I32 => primitive::<Int32Type>(n_rows, nulls, input)?,
        ColumnKind::U16 => primitive::<UInt16Type>(n_rows, nulls, input)?,
        ColumnKind::U8 => primitive::<UInt8Type>(n_rows, nulls, input)?,
        ColumnKind::Bool => Arc::new(BooleanArray::new(bits(n_rows, input)?, nulls)),
        ColumnKind::Text => text(n_rows, nulls, input)?,
        ColumnKind::Bytes => binary(n_rows, nulls, input)?,
        ColumnKind::Dict | ColumnKind::DictBytes => dictionary(kind, n_rows, nulls, input)?,
    })
}

fn bits(n_rows: usize, input: &mut Input<'_>) -> Result<BooleanBuffer, Damage> {
    Ok(BooleanBuffer::new(Buffer::from_slice_ref(input.take(n_rows.div_ceil(8))?), 0, n_rows))
}

fn scalars<N: arrow::datatypes::ArrowNativeType>(
    n_rows: usize,
    input: &mut Input<'_>,
) -> Result<ScalarBuffer<N>, Damage> {
    let bytes = input.take(n_rows.saturating_mul(size_of::<N>()))?;
    // A fresh buffer is aligned for every native type.
    Ok(ScalarBuffer::new(Buffer::from_slice_ref(bytes), 0, n_rows))
}

fn primitive<T: ArrowPrimitiveType>(
    n_rows: usize,
    nulls: Option<NullBuffer>,
    input: &mut Input<'_>,
) -> Result<ArrayRef, Damage> {
    Ok(Arc::new(PrimitiveArray::<T>::new(scalars(n_rows, input)?, nulls)))
}

fn var(n_rows: usize, input: &mut Input<'_>) -> Result<(OffsetBuffer<i32>, Buffer), Damage> {
    let lengths: ScalarBuffer<u32> = scalars(n_rows, input)?;
    let mut offsets = Vec::with_capacity(n_rows + 1);
    let mut end = 0_i32;
    offsets.push(0);
    for length in &lengths {
        end = i32::try_from(*length)
            .ok()
            .and_then(|length| end.checked_add(length))
            .ok_or(Damage::Payload("texts are too long"))?;
        offsets.push(end);
    }
    let bytes = input.take(usize::try_from(end).unwrap_or(0))?;
    Ok((OffsetBuffer::new(offsets.into()), Buffer::from_slice_ref(bytes)))
}

fn text(n_rows: usize, nulls: Option<NullBuffer>, input: &mut Input<'_>) -> Result<ArrayRef, Damage> {
    let (offsets, bytes) = var(n_rows, input)?;
    let array = StringArray::try_new(offsets, bytes, nulls).map_err(|_wrong| Damage::Payload("a text is not UTF-8"))?;
    Ok(Arc::new(array))
}

fn binary(n_rows: usize, nulls: Option<NullBuffer>, input: &mut Input<'_>) -> Result<ArrayRef, Damage> {
    let (offsets, bytes) = var(n_rows, input)?;
    let array =
        BinaryArray::try_new(offsets, bytes, nulls).map_err(|_wrong| Damage::Payload("bytes have no bounds"))?;
    Ok(Arc::new(array))
}

fn dictionary(
    kind: ColumnKind,
    n_rows: usize,
    nulls: Option<NullBuffer>,
    input: &mut Input<'_>,
) -> Result<ArrayRef, Damage> {
    let n_values = input.u32()?;
    let values =
        if matches!(kind, ColumnKind::Dict) { text(n_values, None, input)? } else { binary(n_values, None, input)? };
    let width = usize::from(input.u8()?);
    if width != key_width(n_values) {
        return Err(Damage::Payload("keys have another width"));
    }
    let bytes = input.take(n_rows.saturating_mul(width))?;
    let mut keys: Vec<i32> = match width {
        0 => vec![0; n_rows],
        1 => bytes.iter().map(|byte| i32::from(*byte)).collect(),
        2 => bytes.as_chunks().0.iter().map(|chunk| i32::from(u16::from_le_bytes(*chunk))).collect(),
        _ => bytes.as_chunks().0.iter().map(|chunk| i32::from_le_bytes(*chunk)).collect(),
    };
    if let Some(nulls) = &nulls {
        for (row, key) in keys.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *key = 0;
            }
        }
    }
    let keys = Int32Array::new(keys.into(), nulls);
    if values.is_empty() && keys.null_count() < n_rows {
        return Err(Damage::Payload("a key has no value"));
    }
    let array =
        DictionaryArray::<Int32Type>::try_new(keys, values).map_err(|_wrong| Damage::Payload("a key has no value"))?;
    Ok(Arc::new(array))
}
