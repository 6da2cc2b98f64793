//! Batches to bytes.

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, GenericByteArray, Int32Array, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, ByteArrayType, Int32Type, Int64Type, TimestampNanosecondType, ToByteSlice as _, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use hindcast_model::{Batch, ColumnKind};

use super::{key_width, kind_code};

/// Encodes batches whose schemas are their tables'.
pub fn encode<'a>(batches: impl ExactSizeIterator<Item = &'a Batch>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    put_u16(&mut out, batches.len());
    for batch in batches {
        encode_part(batch, &mut out);
    }
    out
}

fn encode_part(batch: &Batch, out: &mut Vec<u8>) {
    let records: &RecordBatch = &batch.records;
    out.push(batch.table.code());
    put_u32(out, records.num_rows());
    let held: Vec<_> = batch
        .table
        .columns()
        .iter()
        .filter_map(|column| records.column_by_name(column.name).map(|array| (column, array)))
        .filter(|(_, array)| array.null_count() < array.len())
        .collect();
    put_u16(out, held.len());
    for (column, array) in held {
        out.push(u8::try_from(column.name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(column.name.as_bytes());
        out.push(kind_code(column.kind));
        encode_column(column.kind, array, out);
    }
}

fn encode_column(kind: ColumnKind, array: &ArrayRef, out: &mut Vec<u8>) {
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => {
            out.push(1);
            put_bits(out, nulls.inner());
        }
        None => out.push(0),
    }
    match kind {
        ColumnKind::Time => put_primitive::<TimestampNanosecondType>(array, out),
        ColumnKind::I64 => put_primitive::<Int64Type>(array, out),
        ColumnKind::U64 => put_primitive::<UInt64Type>(array, out),
        ColumnKind::U32 => put_primitive::<UInt32Type>(array, out),
        ColumnKind::I32 => put_primitive::<Int32Type>(array, out),
        ColumnKind::U16 => put_primitive::<UInt16Type>(array, out),
        ColumnKind::U8 => put_primitive::<UInt8Type>(array, out),
        ColumnKind::Bool => put_bits(out, array.as_boolean_opt().map_or(&empty_bits(), BooleanArray::values)),
        ColumnKind::Text => put_bytes(array.as_string::<i32>(), out),
        ColumnKind::Bytes => put_bytes(array.as_binary::<i32>(), out),
        ColumnKind::Dict | ColumnKind::DictBytes => put_dictionary(kind, array, out),
    }
}

fn empty_bits() -> BooleanBuffer {
    BooleanBuffer::new_unset(0)
}

fn put_primitive<T: ArrowPrimitiveType>(array: &ArrayRef, out: &mut Vec<u8>) {
    out.extend_from_slice(array.as_primitive::<T>().values().to_byte_slice());
}

/// A bitmap that starts at a byte's first bit.
fn put_bits(out: &mut Vec<u8>, bits: &BooleanBuffer) {
    let sliced = bits.sliced();
    out.extend_from_slice(sliced.get(..bits.len().div_ceil(8)).unwrap_or(&sliced));
}

fn put_bytes<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>, out: &mut Vec<u8>) {
    let offsets = array.value_offsets();
    for length in array.offsets().lengths() {
        put_u32(out, length);
    }
    let bounds = offsets.first().zip(offsets.last());
    let held = bounds
        .and_then(|(first, last)| array.value_data().get(usize::try_from(*first).ok()?..usize::try_from(*last).ok()?));
    out.extend_from_slice(held.unwrap_or_default());
}

fn put_dictionary(kind: ColumnKind, array: &ArrayRef, out: &mut Vec<u8>) {
    let dictionary = array.as_dictionary::<Int32Type>();
    let (keys, values) = (dictionary.keys(), dictionary.values());
    // A slice of a batch shares the dictionary of the whole; the log keeps what the slice uses.
    if values.len() > keys.len() || values.null_count() > 0 {
        let (keys, values) = compact(keys, values);
        put_values(kind, &values, out);
        put_keys(&keys, values.len(), out);
        return;
    }
    put_values(kind, values, out);
    put_keys(keys, values.len(), out);
}

/// Keys and values without the values no key uses.
fn compact(keys: &Int32Array, values: &ArrayRef) -> (Int32Array, ArrayRef) {
    let mut new_keys: Vec<Option<i32>> = vec![None; values.len()];
    let mut used: Vec<i32> = Vec::new();
    let renumbered: Vec<i32> = (0..keys.len())
        .map(|row| {
            if keys.is_null(row) {
                return 0;
            }
            let old = keys.value(row);
            let Some(slot) = usize::try_from(old).ok().and_then(|old| new_keys.get_mut(old)) else { return 0 };
            *slot.get_or_insert_with(|| {
                used.push(old);
                i32::try_from(used.len() - 1).unwrap_or(0)
            })
        })
        .collect();
    let taken = arrow::compute::take(values, &Int32Array::from(used), None);
    match taken {
        Ok(taken) => (Int32Array::new(renumbered.into(), keys.nulls().cloned()), taken),
        // Cannot happen: the indices were just read from keys of these values.
        Err(_) => (keys.clone(), ArrayRef::clone(values)),
    }
}

fn put_values(kind: ColumnKind, values: &ArrayRef, out: &mut Vec<u8>) {
    put_u32(out, values.len());
    if matches!(kind, ColumnKind::Dict) {
        put_bytes(values.as_string::<i32>(), out);
    } else {
        put_bytes(values.as_binary::<i32>(), out);
    }
}

fn put_keys(keys: &Int32Array, n_values: usize, out: &mut Vec<u8>) {
    let width = key_width(n_values);
    out.push(u8::try_from(width).unwrap_or(4));
    // The key of a null row may be anything; it is cut like the others and masked by the bitmap.
    match width {
        0 => {}
        1 => out.extend(keys.values().iter().map(|key| key.to_le_bytes()[0])),
        2 => out.extend(keys.values().iter().flat_map(|key| {
            let [low, high, ..] = key.to_le_bytes();
            [low, high]
        })),
        _ => out.extend_from_slice(keys.values().to_byte_slice()),
    }
}

fn put_u16(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}
