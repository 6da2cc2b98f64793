//! Parquet bytes of a segment.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, UInt32Array};
use arrow::compute::{max, min};
use arrow::datatypes::{
    ArrowPrimitiveType, Int32Type, Int64Type, Schema, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow::error::ArrowError;
use hashbrown::HashSet;
use hindcast_model::{ColumnDef, ColumnKind, TableId, Timestamp};
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::merge::{Column, Merged, gather};
use super::pages::{self, ChunkOptions, PAGE_ROWS};
use crate::catalog::{ColumnStats, time_text};

/// Columns people look for one value of; their values are many, so bounds do not help.
const NEEDLES: &[&str] = &[
    "src_pod",
    "dst_pod",
    "src_ip",
    "dst_ip",
    "src_exec_id",
    "dst_exec_id",
    "exec_id",
    "parent_exec_id",
    "pod",
    "container_id",
    "trace_id",
    "uuid",
    "dns_query",
    "ip",
];
/// Below this many distinct values a bloom filter costs more than the dictionary it stands before.
const MIN_BLOOM_VALUES: usize = 64;
/// Share of absent values that a bloom filter lets through.
const BLOOM_FPP: f64 = 0.01;
/// Columns whose pages are told apart by bounds: those rows are sorted by.
const PAGED: &[&str] = &[
    "time",
    "valid_from",
    "src_namespace",
    "src_workload",
    "src_pod",
    "dst_namespace",
    "dst_workload",
    "namespace",
    "workload",
    "pod",
];
/// Longest text whose bounds the catalogue keeps.
const MAX_BOUND: usize = 128;

/// Why a segment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The columns could not be merged or sorted.
    #[error("cannot arrange the rows of a segment")]
    Arrange(#[from] ArrowError),
    /// They could not be written.
    #[error("cannot encode a segment")]
    Encode(#[from] ParquetError),
}

/// The bytes of a segment and what the catalogue says of it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) footer_bytes: u64,
    pub(crate) columns: Vec<ColumnStats>,
}

/// How segments are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteOptions<'a> {
    pub(crate) zstd_level: i32,
    /// Field ids by position of the table's column.
    pub(crate) field_ids: &'a [i64],
}

/// Encodes row groups, each given as the rows it takes.
pub(crate) fn write(
    merged: &Merged,
    row_groups: &[UInt32Array],
    options: WriteOptions<'_>,
) -> Result<Written, WriteError> {
    let held: Vec<(usize, &ColumnDef, &Column)> = merged
        .table
        .columns()
        .iter()
        .zip(&merged.columns)
        .enumerate()
        .filter_map(|(at, (definition, column))| column.as_ref().map(|column| (at, definition, column)))
        .collect();
    let fields: Vec<_> = held
        .iter()
        .map(|(at, definition, _)| {
            let field_id = options.field_ids.get(*at).copied().unwrap_or_default().to_string();
            definition.field().with_metadata([(PARQUET_FIELD_ID_META_KEY.to_owned(), field_id)].into())
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let group_rows = row_groups.first().map_or(0, UInt32Array::len);
    let properties = properties(merged.table, &held, group_rows, options.zstd_level)?;
    let mut bytes = Vec::with_capacity(1 << 20);
    let writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), Some(properties))?;
    let (mut file, writers) = writer.into_serialized_writer()?;
    for (index, rows) in row_groups.iter().enumerate() {
        let descriptions = file.schema_descr().columns().to_vec();
        let mut group = file.next_row_group()?;
        let columns = held.iter().zip(schema.fields()).zip(writers.create_column_writers(index)?).zip(&descriptions);
        for ((((_, definition, column), field), mut writer), description) in columns {
            if let Column::Dict { keys, values } = column
                && pages::fits(values)
            {
                let options = chunk_options(definition, values.len(), options.zstd_level);
                let chunk = pages::encode(description, &gather(keys, rows), values, options)?;
                group.append_column(&chunk.bytes, chunk.close)?;
                continue;
            }
            for leaf in compute_leaves(field, &column.take(rows)?)? {
                writer.write(&leaf)?;
            }
            writer.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
    }
    let metadata = file.finish()?;
    drop(file);
    let tail = bytes.len().checked_sub(8).and_then(|at| bytes.get(at..)?.first_chunk::<4>());
    let footer_bytes = u64::from(tail.map_or(0, |length| u32::from_le_bytes(*length)));
    let columns = held
        .iter()
        .enumerate()
        .map(|(leaf, (at, definition, column))| stats(*at, definition, column, leaf, merged.n_rows, &metadata))
        .collect();
    Ok(Written { bytes, footer_bytes, columns })
}

fn chunk_options(definition: &ColumnDef, n_values: usize, zstd_level: i32) -> ChunkOptions {
    ChunkOptions {
        zstd_level,
        has_page_bounds: PAGED.contains(&definition.name),
        bloom_fpp: has_bloom(definition, n_values).then_some(BLOOM_FPP),
    }
}

fn has_bloom(definition: &ColumnDef, n_values: usize) -> bool {
    NEEDLES.contains(&definition.name) && n_values >= MIN_BLOOM_VALUES
}

fn properties(
    table: TableId,
    held: &[(usize, &ColumnDef, &Column)],
    group_rows: usize,
    zstd_level: i32,
) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(zstd_level)?))
        .set_created_by(concat!("hindcast ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(1 << 13);
    for (_, definition, column) in held {
        builder = column_properties(builder, table, definition, column, group_rows);
    }
    Ok(builder.build())
}

fn column_properties(
    mut builder: WriterPropertiesBuilder,
    table: TableId,
    definition: &ColumnDef,
    column: &Column,
    group_rows: usize,
) -> WriterPropertiesBuilder {
    let path = || ColumnPath::from(definition.name);
    if PAGED.contains(&definition.name) {
        builder = builder.set_column_statistics_enabled(path(), EnabledStatistics::Page);
    }
    let is_raw = !matches!(table, TableId::Edges1m | TableId::Edges1h);
    let is_ascending = matches!(definition.name, "time" | "valid_from") && is_raw;
    // Nearly as many values as rows, and often near to the one before: the steps are small, and a dictionary is as
    // large as what it stands for.
    if is_ascending || matches!(definition.name, "first_seen" | "last_seen") || is_various(column, group_rows) {
        builder = builder
            .set_column_dictionary_enabled(path(), false)
            .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
    }
    if matches!(definition.kind, ColumnKind::Text | ColumnKind::Bytes) {
        builder = builder.set_column_dictionary_enabled(path(), false);
    }
    let n_values = match column {
        Column::Dict { values, .. } => values.len(),
        Column::Plain(array) => array.len() - array.null_count(),
    };
    if has_bloom(definition, n_values) {
        let n_values = u64::try_from(n_values).unwrap_or(u64::MAX);
        builder = builder
            .set_column_bloom_filter_enabled(path(), true)
            .set_column_bloom_filter_fpp(path(), BLOOM_FPP)
            .set_column_bloom_filter_max_ndv(path(), n_values);
    }
    builder
}

/// Whether a column of numbers has so many different ones in a row group that a dictionary would not pay.
fn is_various(column: &Column, group_rows: usize) -> bool {
    /// Long numbers looked at.
    const SAMPLE: usize = 4096;
    let Column::Plain(array) = column else { return false };
    let valid = |row: &usize| array.is_valid(*row);
    if let Some(numbers) = array.as_primitive_opt::<UInt64Type>() {
        let step = array.len().div_ceil(SAMPLE).max(1);
        let sample: Vec<usize> = (0..array.len()).step_by(step).filter(valid).collect();
        let distinct: HashSet<u64> = sample.iter().map(|row| numbers.value(*row)).collect();
        return distinct.len().saturating_mul(4) > sample.len();
    }
    if let Some(numbers) = array.as_primitive_opt::<UInt16Type>() {
        let mut seen = vec![false; 1 << 16];
        for row in (0..array.len()).filter(valid) {
            if let Some(seen) = seen.get_mut(usize::from(numbers.value(row))) {
                *seen = true;
            }
        }
        return seen.into_iter().filter(|seen| *seen).count().saturating_mul(4) > group_rows;
    }
    false
}

fn stats(
    at: usize,
    definition: &ColumnDef,
    column: &Column,
    leaf: usize,
    n_rows: usize,
    metadata: &ParquetMetaData,
) -> ColumnStats {
    let chunks = metadata.row_groups().iter().filter_map(|group| group.columns().get(leaf));
    let n_bytes = chunks.map(|chunk| u64::try_from(chunk.compressed_size()).unwrap_or(0)).sum();
    let n_nulls = match column {
        Column::Plain(array) => array.null_count(),
        Column::Dict { keys, .. } => keys.iter().filter(|key| **key < 0).count(),
    };
    let (min, max) = bounds(definition.kind, column);
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    ColumnStats { column: at, n_bytes, n_values: count(n_rows - n_nulls), n_nulls: count(n_nulls), min, max }
}

fn bounds(kind: ColumnKind, column: &Column) -> (Option<String>, Option<String>) {
    fn numbers<T: ArrowPrimitiveType>(array: &ArrayRef) -> (Option<String>, Option<String>)
    where
        T::Native: ToString,
    {
        let Some(array) = array.as_primitive_opt::<T>() else { return (None, None) };
        (min(array).map(|value| value.to_string()), max(array).map(|value| value.to_string()))
    }
    match column {
        Column::Plain(array) => match kind {
            ColumnKind::Time => {
                let text = |time: i64| time_text(Timestamp::from_nanos(time));
                let Some(array) = array.as_primitive_opt::<TimestampNanosecondType>() else { return (None, None) };
                (min(array).map(text), max(array).map(text))
            }
            ColumnKind::U8 => numbers::<UInt8Type>(array),
            ColumnKind::U16 => numbers::<UInt16Type>(array),
            ColumnKind::U32 => numbers::<UInt32Type>(array),
            ColumnKind::U64 => numbers::<UInt64Type>(array),
            ColumnKind::I32 => numbers::<Int32Type>(array),
            ColumnKind::I64 => numbers::<Int64Type>(array),
            ColumnKind::Bool | ColumnKind::Dict | ColumnKind::Text | ColumnKind::Bytes | ColumnKind::DictBytes => {
                (None, None)
            }
        },
        Column::Dict { values, .. } => {
            let Some(texts) = values.as_string_opt::<i32>() else { return (None, None) };
            let short = |text: Option<&str>| text.filter(|text| text.len() <= MAX_BOUND).map(str::to_owned);
            (short(texts.iter().flatten().min()), short(texts.iter().flatten().max()))
        }
    }
}
