//! From an append's batches to partitioned rows.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, RecordBatch, TimestampNanosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, TimestampNanosecondType};
use arrow::error::ArrowError;
use hindcast_model::{Batch, ColumnKind, SchemaError, TableId, Timestamp};

use super::shrink_dictionary;
use crate::ids::{Hour, PartitionKey, time_column};

/// Rows of one partition with what the memory wants to know of them.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) key: PartitionKey,
    pub(crate) records: RecordBatch,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) n_bytes: usize,
}

/// Rows a shared null column has.
const SHARED_NULLS: usize = 1 << 16;

static NULLS: LazyLock<Vec<(DataType, ArrayRef)>> = LazyLock::new(|| {
    let kinds = [
        ColumnKind::Time,
        ColumnKind::Bool,
        ColumnKind::U8,
        ColumnKind::U16,
        ColumnKind::U32,
        ColumnKind::U64,
        ColumnKind::I32,
        ColumnKind::I64,
        ColumnKind::Dict,
        ColumnKind::Text,
        ColumnKind::Bytes,
        ColumnKind::DictBytes,
    ];
    kinds.iter().map(|kind| (kind.data_type(), new_null_array(&kind.data_type(), SHARED_NULLS))).collect()
});

/// A column of nulls; short ones of one type share their memory.
pub(crate) fn null_column(data_type: &DataType, n_rows: usize) -> ArrayRef {
    NULLS
        .iter()
        .find(|(known, _)| n_rows <= SHARED_NULLS && known == data_type)
        .map_or_else(|| new_null_array(data_type, n_rows), |(_, nulls)| nulls.slice(0, n_rows))
}

/// Checks a batch against its table and puts its columns in the table's order. Absent columns become nulls, and nulls
/// take no memory.
pub(crate) fn normalize(batch: &Batch) -> Result<Batch, SchemaError> {
    let table = batch.table;
    let records = &batch.records;
    let definitions = table.columns();
    let schema = records.schema();
    if let Some(field) =
        schema.fields().iter().find(|field| !definitions.iter().any(|known| known.name == field.name()))
    {
        return Err(SchemaError::UnknownColumn { table: table.name(), column: field.name().clone() });
    }
    let n_rows = records.num_rows();
    let mut columns = Vec::with_capacity(definitions.len());
    for column in definitions {
        let data_type = column.kind.data_type();
        let array = records.column_by_name(column.name);
        if let Some(array) = array
            && *array.data_type() != data_type
        {
            let found = array.data_type().to_string();
            return Err(SchemaError::WrongType { table: table.name(), column: column.name, found });
        }
        let n_nulls = array.map_or(n_rows, |array| array.logical_null_count());
        if column.required && n_nulls > 0 {
            return Err(SchemaError::MissingRequired { table: table.name(), column: column.name });
        }
        columns.push(match array {
            Some(array) if n_nulls < n_rows => shrink_dictionary(array),
            _ => null_column(&data_type, n_rows),
        });
    }
    let records = RecordBatch::try_new(table.schema(), columns)
        .map_err(|error| SchemaError::UnknownColumn { table: table.name(), column: error.to_string() })?;
    Ok(Batch { table, records })
}

/// Rows as a segment holds them, in the table's schema: absent columns become nulls, texts become dictionaries.
pub(crate) fn conform(table: TableId, records: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = table.columns().iter().map(|column| {
        let data_type = column.kind.data_type();
        match records.column_by_name(column.name) {
            Some(array) if *array.data_type() == data_type => Ok(ArrayRef::clone(array)),
            Some(array) => cast(array, &data_type),
            None => Ok(null_column(&data_type, records.num_rows())),
        }
    });
    RecordBatch::try_new(table.schema(), columns.collect::<Result<_, _>>()?)
}

/// Splits a normalized batch by partition.
pub(crate) fn split(batch: &Batch) -> Result<Vec<Prepared>, SchemaError> {
    let table = batch.table;
    let column = time_column(table);
    let times = batch
        .records
        .column_by_name(column)
        .and_then(|array| array.as_primitive_opt::<TimestampNanosecondType>())
        .ok_or(SchemaError::MissingRequired { table: table.name(), column })?;
    let Some((min_time, max_time)) = bounds(times) else { return Ok(Vec::new()) };
    if Hour::of(min_time) == Hour::of(max_time) {
        return Ok(vec![prepared(table, batch.records.clone(), min_time, max_time)]);
    }
    let mut rows: BTreeMap<Hour, Vec<u32>> = BTreeMap::new();
    for (row, time) in times.values().iter().enumerate() {
        rows.entry(Hour::of(Timestamp::from_nanos(*time))).or_default().push(u32::try_from(row).unwrap_or(u32::MAX));
    }
    let mut parts = Vec::with_capacity(rows.len());
    for rows in rows.into_values() {
        let records = take_record_batch(&batch.records, &UInt32Array::from(rows))
            .map_err(|error| SchemaError::UnknownColumn { table: table.name(), column: error.to_string() })?;
        // Taking copied the nulls; share them again.
        let records = normalize(&Batch { table, records })?.records;
        let times =
            records.column_by_name(column).and_then(|array| array.as_primitive_opt::<TimestampNanosecondType>());
        if let Some((min_time, max_time)) = times.and_then(bounds) {
            parts.push(prepared(table, records, min_time, max_time));
        }
    }
    Ok(parts)
}

/// Checks and splits all batches of an append.
pub(crate) fn prepare(batches: &[Batch]) -> Result<(Vec<Batch>, Vec<Prepared>), (TableId, SchemaError)> {
    let mut normalized = Vec::with_capacity(batches.len());
    let mut parts = Vec::with_capacity(batches.len());
    for batch in batches.iter().filter(|batch| batch.n_rows() > 0) {
        let batch = normalize(batch).map_err(|error| (batch.table, error))?;
        parts.extend(split(&batch).map_err(|error| (batch.table, error))?);
        normalized.push(batch);
    }
    Ok((normalized, parts))
}

fn prepared(table: TableId, records: RecordBatch, min_time: Timestamp, max_time: Timestamp) -> Prepared {
    let n_bytes = n_bytes(&records);
    Prepared { key: PartitionKey { table, hour: Hour::of(min_time) }, records, min_time, max_time, n_bytes }
}

fn bounds(times: &TimestampNanosecondArray) -> Option<(Timestamp, Timestamp)> {
    let values = times.values();
    let min = values.iter().min()?;
    let max = values.iter().max()?;
    Some((Timestamp::from_nanos(*min), Timestamp::from_nanos(*max)))
}

/// Memory of the columns that hold anything.
fn n_bytes(records: &RecordBatch) -> usize {
    let held = records.columns().iter().filter(|array| array.null_count() < array.len());
    held.map(|array| array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()))
        .sum::<usize>()
        + size_of::<Arc<()>>() * records.num_columns() * 4
}
