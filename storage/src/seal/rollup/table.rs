//! Edges as a batch of the `edges` tables.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, TimestampNanosecondArray, UInt8Array, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use hindcast_model::tables::edges;
use hindcast_model::{ColumnDef, ColumnKind};

use super::{Edge, Sums, value};
use crate::memory::null_column;
use crate::seal::merge::{Merged, NULL_KEY, dictionary};
use crate::seal::order::{KeyColumn, Keys, numbers, unfold};

/// Names of the latency columns start with this.
const LATENCY: &str = "latency_le_";

/// Rows in some columns of `edges`, in the table's order.
pub(super) fn build<'a>(
    keys: &Keys,
    rows: &[Edge],
    wanted: impl IntoIterator<Item = &'a ColumnDef>,
) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for column in wanted {
        let bucket = buckets().position(|known| known.name == column.name);
        let array = match (bucket, measure(column.name, rows)) {
            (Some(bucket), _) => latency(rows, bucket),
            (None, Some(array)) => array,
            (None, None) => key(keys, column, rows)?,
        };
        fields.push(column.field());
        columns.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

/// The columns of the latency histogram, in the order of its buckets.
fn buckets() -> impl Iterator<Item = &'static ColumnDef> {
    edges::COLUMNS.iter().filter(|column| column.name.starts_with(LATENCY))
}

/// The sums of rows of `edges`.
pub(super) struct Measures<'a> {
    times: [Option<&'a TimestampNanosecondArray>; 3],
    counts: [Option<&'a UInt64Array>; 10],
    latency: Vec<Option<&'a UInt32Array>>,
}

impl<'a> Measures<'a> {
    pub(super) fn of(merged: &'a Merged) -> Self {
        Self {
            times: ["time", "first_seen", "last_seen"].map(|name| numbers(merged, name)),
            counts: [
                "flows",
                "rows",
                "errors",
                "latency_count",
                "latency_sum_ns",
                "latency_max_ns",
                "bytes_sent",
                "bytes_received",
                "packets_sent",
                "packets_received",
            ]
            .map(|name| numbers(merged, name)),
            latency: buckets().map(|column| numbers(merged, column.name)).collect(),
        }
    }

    /// Start of a row's bucket, and its sums.
    pub(super) fn row(&self, row: usize) -> (i64, Sums) {
        let [time, first_seen, last_seen] = self.times.map(|times| value(times, row).unwrap_or(0));
        let [flows, rows, errors, latency_count, latency_sum, latency_max, traffic @ ..] =
            self.counts.map(|counts| value(counts, row));
        let mut sums = Sums {
            flows: flows.unwrap_or(0),
            rows: rows.unwrap_or(0),
            traffic,
            errors: errors.unwrap_or(0),
            first_seen,
            last_seen,
            latency_count: latency_count.unwrap_or(0),
            latency_sum: latency_sum.unwrap_or(0),
            latency_max,
            ..Sums::default()
        };
        for (bucket, counts) in sums.latency.iter_mut().zip(&self.latency) {
            *bucket = value(*counts, row).unwrap_or(0);
        }
        (time, sums)
    }
}

fn latency(rows: &[Edge], bucket: usize) -> ArrayRef {
    let count = |sums: &Sums| (sums.latency_count > 0).then(|| sums.latency.get(bucket).copied()).flatten();
    Arc::new(rows.iter().map(|(_, _, sums)| count(sums)).collect::<UInt32Array>())
}

fn measure(name: &str, rows: &[Edge]) -> Option<ArrayRef> {
    let count = |of: fn(&Sums) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, _, sums)| of(sums))))
    };
    let optional = |of: fn(&Sums) -> Option<u64>| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, _, sums)| of(sums)).collect::<UInt64Array>())
    };
    let time = |of: fn(&Edge) -> i64| -> ArrayRef {
        let array = TimestampNanosecondArray::from_iter_values(rows.iter().map(of));
        Arc::new(array.with_data_type(ColumnKind::Time.data_type()))
    };
    Some(match name {
        "time" => time(|(_, bucket, _)| *bucket),
        "first_seen" => time(|(_, _, sums)| sums.first_seen),
        "last_seen" => time(|(_, _, sums)| sums.last_seen),
        "flows" => count(|sums| sums.flows),
        "rows" => count(|sums| sums.rows),
        "errors" => count(|sums| sums.errors),
        "latency_count" => count(|sums| sums.latency_count),
        "latency_sum_ns" => count(|sums| sums.latency_sum),
        "latency_max_ns" => optional(|sums| sums.latency_max),
        "bytes_sent" => optional(|sums| sums.traffic[0]),
        "bytes_received" => optional(|sums| sums.traffic[1]),
        "packets_sent" => optional(|sums| sums.traffic[2]),
        "packets_received" => optional(|sums| sums.traffic[3]),
        _ => return None,
    })
}

fn key(keys: &Keys, column: &ColumnDef, rows: &[Edge]) -> Result<ArrayRef, ArrowError> {
    let from = if column.name == "http_status_class" { "port" } else { column.name };
    let Some((at, source)) = keys.columns.iter().enumerate().find(|(_, known)| known.name == from) else {
        return Ok(null_column(&column.kind.data_type(), rows.len()));
    };
    let codes = rows.iter().map(|(key, _, _)| {
        let key = usize::try_from(*key).ok().and_then(|key| keys.distinct.get(key));
        key.and_then(|key| key.get(at)).copied().unwrap_or(0)
    });
    Ok(match column.name {
        "port" => Arc::new(codes.map(|code| number(unfold(code).0)?.try_into().ok()).collect::<UInt16Array>()),
        "http_status_class" => {
            Arc::new(codes.map(|code| number(unfold(code).1)?.try_into().ok()).collect::<UInt8Array>())
        }
        "is_reply" => Arc::new(codes.map(|code| number(code).map(|flag| flag == 1)).collect::<BooleanArray>()),
        "src_identity" | "dst_identity" => Arc::new(codes.map(number).collect::<UInt32Array>()),
        _ => text(source, codes)?,
    })
}

/// The number a code stands for: 0 is null, else one more than the number.
const fn number(code: u32) -> Option<u32> {
    code.checked_sub(1)
}

fn text(source: &KeyColumn, codes: impl Iterator<Item = u32>) -> Result<ArrayRef, ArrowError> {
    let keys = codes.map(|code| number(code).and_then(|rank| i32::try_from(rank).ok()).unwrap_or(NULL_KEY)).collect();
    let Some(values) = &source.values else {
        return Err(ArrowError::SchemaError(format!("key column {} has no texts", source.name)));
    };
    dictionary(keys, values)
}
