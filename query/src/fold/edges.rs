//! Who talked with whom: flows folded by edge over a whole range.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, RecordBatch, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, TimestampNanosecondType};
use arrow::row::{OwnedRow, RowConverter, SortField};
use hindcast_model::tables::edges;
use hindcast_model::{TableId, TimeRange};
use hindcast_storage::rollup;

use super::cover::{Needs, rolls_up, scans};
use super::{Accumulator, Scan, fold};
use crate::engine::{Sealed, folded_from, shape, time_column};
use crate::filter::Filter;
use crate::remote::{Aggregate, Grouping};
use crate::{Cut, Engine, Limits, QueryError};

/// Columns of `edges` that tell edges apart: those between the bucket's time and the first sum.
const KEYS: std::ops::Range<usize> = 1..22;

/// The edges of a range, in the columns of the tables `edges_1m` and `edges_1h`. `time` is the first observation.
#[derive(Clone, Debug)]
pub struct Edges {
    /// The rows, in order of their keys.
    pub records: RecordBatch,
    /// Whether something was left out.
    pub cut: Option<Cut>,
}

/// How a measure of several rows becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    Sum,
    Least,
    Greatest,
}

const fn joining(column: &str) -> Joining {
    match column.as_bytes() {
        b"first_seen" => Joining::Least,
        b"last_seen" | b"latency_max_ns" => Joining::Greatest,
        _ => Joining::Sum,
    }
}

/// How rows of `edges` that ClickHouse has are joined there.
fn grouping() -> Grouping {
    let measures = edges::COLUMNS.iter().skip(KEYS.end).map(|column| match joining(column.name) {
        Joining::Sum => (column.name, Aggregate::Sum),
        Joining::Least => (column.name, Aggregate::Least),
        Joining::Greatest => (column.name, Aggregate::Greatest),
    });
    // Buckets are not told apart either.
    let buckets = std::iter::once((time_column(TableId::Edges1h), Aggregate::Least));
    Grouping { aggregates: buckets.chain(measures).collect(), bucket: None }
}

/// The names of all columns of `edges`.
fn columns() -> Vec<&'static str> {
    edges::COLUMNS.iter().map(|column| column.name).collect()
}

struct Folded {
    /// One for all threads: what one converter wrote another cannot read.
    converter: Arc<RowConverter>,
    edges: HashMap<OwnedRow, Vec<Option<u64>>>,
    /// Memory taken, about.
    n_bytes: usize,
}

/// Reads and writes the keys of edges.
fn key_converter() -> Result<RowConverter, QueryError> {
    let fields = edges::schema();
    let sorts = fields.fields().iter().skip(KEYS.start).take(KEYS.len()).map(|field| {
        SortField::new(match field.data_type() {
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other.clone(),
        })
    });
    RowConverter::new(sorts.collect()).map_err(QueryError::internal("prepare the keys of edges"))
}

impl Folded {
    fn new(converter: Arc<RowConverter>) -> Self {
        Self { converter, edges: HashMap::new(), n_bytes: 0 }
    }

    /// Adds rows in the columns of `edges`.
    fn add_edges(&mut self, records: &RecordBatch) -> Result<(), QueryError> {
        let records = shape(records, &edges::schema())?;
        let plain = |array: &ArrayRef| match array.data_type() {
            DataType::Dictionary(_, values) => cast(array, values),
            _ => Ok(Arc::clone(array)),
        };
        let keys = records.columns().iter().skip(KEYS.start).take(KEYS.len()).map(plain);
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(QueryError::internal("read the keys of edges"))?;
        let rows = self.converter.convert_columns(&keys).map_err(QueryError::internal("read the keys of edges"))?;
        let measures = edges::COLUMNS.iter().zip(records.columns()).skip(KEYS.end);
        let measures = measures.map(|(column, array)| Ok((joining(column.name), numbers(array)?)));
        let measures = measures.collect::<Result<Vec<_>, QueryError>>()?;
        for (at, row) in rows.iter().enumerate() {
            let key = row.owned();
            let n_bytes = &mut self.n_bytes;
            let totals = self.edges.entry(key).or_insert_with_key(|key| {
                *n_bytes += key.as_ref().len() + measures.len() * size_of::<Option<u64>>();
                vec![None; measures.len()]
            });
            for (total, (joining, values)) in totals.iter_mut().zip(&measures) {
                let value = values.is_valid(at).then(|| values.value(at));
                *total = joined(*joining, *total, value);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<RecordBatch, QueryError> {
        let step = QueryError::internal("put edges together");
        let mut found = self.edges.into_iter().collect::<Vec<_>>();
        found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let keys = self.converter.convert_rows(found.iter().map(|(key, _)| key.row())).map_err(&step)?;
        let schema = edges::schema();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        let measure = |position: usize| {
            found.iter().map(|(_, totals)| totals.get(position).copied().flatten()).collect::<UInt64Array>()
        };
        let n_measures = schema.fields().len().saturating_sub(KEYS.end);
        let first_seen = edges::COLUMNS.iter().position(|column| column.name == "first_seen").unwrap_or(KEYS.end);
        columns.push(typed(&measure(first_seen - KEYS.end), schema.field(0).data_type())?);
        for (array, field) in keys.iter().zip(schema.fields().iter().skip(KEYS.start)) {
            columns.push(cast(array, field.data_type()).map_err(&step)?);
        }
        for (position, field) in (0..n_measures).zip(schema.fields().iter().skip(KEYS.end)) {
            columns.push(typed(&measure(position), field.data_type())?);
        }
        RecordBatch::try_new(schema, columns).map_err(&step)
    }
}

impl Accumulator for Folded {
    fn add(&mut self, _scan: usize, records: &RecordBatch, selected: &BooleanBuffer) -> Result<(), QueryError> {
        if selected.count_set_bits() == 0 {
            return Ok(());
        }
        let step = QueryError::internal("fold flows into edges");
        let mask = arrow::array::BooleanArray::new(selected.clone(), None);
        let records = filter_record_batch(records, &mask).map_err(&step)?;
        if records.column_by_name("flow_count").is_some() {
            return self.add_edges(&rollup::fold(&[records], i64::MAX, &columns()).map_err(&step)?);
        }
        self.add_edges(&records)
    }

    fn merge(&mut self, other: Self) {
        self.n_bytes += other.n_bytes;
        let measures = edges::COLUMNS.iter().skip(KEYS.end).map(|column| joining(column.name)).collect::<Vec<_>>();
        for (key, values) in other.edges {
            let totals = self.edges.entry(key).or_insert_with(|| vec![None; measures.len()]);
            for ((total, value), joining) in totals.iter_mut().zip(values).zip(&measures) {
                *total = joined(*joining, *total, value);
            }
        }
    }

    fn size(&self) -> usize {
        self.n_bytes
    }
}

fn joined(joining: Joining, total: Option<u64>, value: Option<u64>) -> Option<u64> {
    match (total, value) {
        (Some(total), Some(value)) => Some(match joining {
            Joining::Sum => total.saturating_add(value),
            Joining::Least => total.min(value),
            Joining::Greatest => total.max(value),
        }),
        (one, other) => one.or(other),
    }
}

/// A time in an order that unsigned numbers keep.
const fn unsigned(time: i64) -> u64 {
    time.cast_unsigned() ^ (1 << 63)
}

fn numbers(array: &ArrayRef) -> Result<UInt64Array, QueryError> {
    if let Some(times) = array.as_primitive_opt::<TimestampNanosecondType>() {
        return Ok(times.unary(unsigned));
    }
    let wide = cast(array, &DataType::UInt64).map_err(QueryError::internal("read the sums of edges"))?;
    wide.as_primitive_opt::<arrow::datatypes::UInt64Type>()
        .cloned()
        .ok_or_else(|| QueryError::Invalid("a sum of edges is no number".to_owned()))
}

fn typed(values: &UInt64Array, to: &DataType) -> Result<ArrayRef, QueryError> {
    match to {
        DataType::Timestamp(_, _) => {
            let times: TimestampNanosecondArray = values.unary(|value| (value ^ (1 << 63)).cast_signed());
            Ok(Arc::new(times.with_data_type(to.clone())))
        }
        DataType::UInt32 => {
            let counts = values.iter().map(|value| value.map(|value| u32::try_from(value).unwrap_or(u32::MAX)));
            Ok(Arc::new(counts.collect::<UInt32Array>()))
        }
        other => cast(values, other).map_err(QueryError::internal("put edges together")),
    }
}

impl Engine {
    /// The edges of a range: flows folded by source, destination, port, protocol, verdict and application protocol.
    ///
    /// # Errors
    /// The filter does not fit flows, or a part of the store cannot be read.
    pub async fn edges(&self, range: TimeRange, filter: Filter, limits: Limits) -> Result<Edges, QueryError> {
        let snapshot = self.store().snapshot();
        let rolled = columns();
        let raw = folded_from(&rolled);
        let scans = if rolls_up(&filter, &[]) {
            scans(
                &snapshot,
                range,
                &filter,
                &Needs { raw: &raw, rolled: &rolled, raw_grouping: None, rolled_grouping: grouping() },
                None,
            )
        } else {
            let columns = raw;
            vec![Scan {
                table: TableId::Flows,
                range,
                filter,
                columns,
                sealed: Sealed::All,
                unsealed: true,
                grouping: None,
            }]
        };
        let converter = Arc::new(key_converter()?);
        let make = move || Folded::new(Arc::clone(&converter));
        let (folded, cut) = fold(self, snapshot, scans, limits, make).await?;
        Ok(Edges { records: folded.finish()?, cut })
    }
}
