//! Flows folded into edges: what summing the flows of one key in one bucket of time gives.
//!
//! `flows`, `errors` and the sums of bytes and packets count a folded flow as often as its wire does; a latency counts
//! once per row that has one. A sum over no value is null.

mod table;

use arrow::array::{Array as _, AsArray as _, PrimitiveArray, RecordBatch};
use arrow::datatypes::{TimestampNanosecondType, UInt16Type, UInt64Type};
use arrow::error::ArrowError;
use hashbrown::HashMap;
use hindcast_model::tables::{edges, flows};
use hindcast_model::{TableId, TimeRange, Timestamp, latency};

use super::merge::{Column, Merged};
use super::order::{Keys, numbers, whole_keys};

/// Width of a bucket of `edges_1m`, in nanoseconds.
pub const MINUTE_NS: i64 = 60_000_000_000;
/// Width of a bucket of `edges_1h`, in nanoseconds.
pub const HOUR_NS: i64 = crate::ids::HOUR_NS;

/// The time of the flows whose buckets begin in `range`: a bucket counts whole or not at all.
#[must_use]
pub fn of_buckets(range: TimeRange, width: i64) -> TimeRange {
    let next = |time: Timestamp| {
        let start = time.bucket(width);
        if start == time { time } else { Timestamp::from_nanos(start.as_nanos().saturating_add(width)) }
    };
    TimeRange::new(next(range.start()), next(range.end())).unwrap_or(TimeRange::ALL)
}

/// Folds batches of `flows` into the named columns of `edges`, with buckets of `width` nanoseconds; [`i64::MAX`] for
/// one bucket of all time. Edges are told apart only by columns that the flows have: of flows with just the columns
/// that [`inputs`] names, each row sums several edges. Requires: `width` > 0.
///
/// # Errors
/// A batch does not have the columns of `flows`.
pub fn fold(flows: &[RecordBatch], width: i64, columns: &[&str]) -> Result<RecordBatch, ArrowError> {
    let merged = Merged::new(TableId::Flows, flows)?;
    let keys = Keys::of_edges(&merged)?;
    let wanted = edges::COLUMNS.iter().filter(|column| columns.contains(&column.name));
    table::build(&keys, &sums(&merged, &keys, width), wanted)
}

/// The columns of `flows` that a column of `edges` is folded from.
#[must_use]
pub fn inputs(column: &str) -> &'static [&'static str] {
    match column {
        "first_seen" | "last_seen" => &["time"],
        "src_identity" => &["src_identity", "src_workload"],
        "src_name" => &["src_names", "src_workload"],
        "dst_identity" => &["dst_identity", "dst_workload"],
        "dst_name" => &["dst_names", "dst_workload"],
        "port" => &["src_port", "dst_port", "is_reply"],
        "http_status_class" => &["http_status"],
        "flows" => &["flow_count"],
        "errors" => &["flow_count", "http_status", "dns_rcode"],
        _ if column.starts_with("latency_") => &["latency_ns"],
        _ => {
            let same = flows::COLUMNS.iter().find(|known| known.name == column);
            same.map_or(&[], |same| std::slice::from_ref(&same.name))
        }
    }
}

/// Joins edges of one key and bucket. Requires: batches in the columns of `edges`, with buckets of the same width.
pub(crate) fn refold(table: TableId, edges: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let merged = Merged::new(table, edges)?;
    let keys = Keys::by(&merged, whole_keys(&merged)?);
    let inputs = table::Measures::of(&merged);
    let mut joined: Vec<Edge> = Vec::new();
    let mut found: HashMap<(u32, i64), usize> = HashMap::default();
    for (row, key) in keys.of_row.iter().enumerate() {
        let (bucket, sums) = inputs.row(row);
        match found.entry((*key, bucket)) {
            hashbrown::hash_map::Entry::Vacant(entry) => {
                entry.insert(joined.len());
                joined.push((*key, bucket, sums));
            }
            hashbrown::hash_map::Entry::Occupied(entry) => {
                if let Some((_, _, total)) = joined.get_mut(*entry.get()) {
                    total.merge(&sums);
                }
            }
        }
    }
    joined.sort_unstable_by_key(|(key, bucket, _)| (*key, *bucket));
    table::build(&keys, &joined, edges::COLUMNS)
}

/// What one edge sums up to in one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) flows: u64,
    pub(super) rows: u64,
    /// Bytes sent and received, packets sent and received.
    pub(super) traffic: [Option<u64>; 4],
    pub(super) errors: u64,
    pub(super) first_seen: i64,
    pub(super) last_seen: i64,
    pub(super) latency_count: u64,
    pub(super) latency_sum: u64,
    pub(super) latency_max: Option<u64>,
    pub(super) latency: [u32; latency::BUCKETS],
}

/// An edge in a bucket: position of its key, start of the bucket, sums.
pub(super) type Edge = (u32, i64, Sums);

/// The edges of a segment by minute.
#[derive(Debug)]
pub(crate) struct Rolled(Vec<Edge>);

impl Rolled {
    /// Folds flows.
    pub(crate) fn of(merged: &Merged, keys: &Keys) -> Self {
        Self(sums(merged, keys, MINUTE_NS))
    }

    /// Rows of `edges_1m`.
    pub(crate) const fn n_minutes(&self) -> usize {
        self.0.len()
    }

    /// The rows of a roll-up table.
    pub(crate) fn table(&self, table: TableId, keys: &Keys) -> Result<RecordBatch, ArrowError> {
        if table == TableId::Edges1h {
            return table::build(keys, &widen(&self.0, HOUR_NS), edges::COLUMNS);
        }
        table::build(keys, &self.0, edges::COLUMNS)
    }
}

/// The columns that are summed.
struct Inputs<'a> {
    time: Option<&'a PrimitiveArray<TimestampNanosecondType>>,
    flow_count: Option<&'a PrimitiveArray<UInt64Type>>,
    traffic: [Option<&'a PrimitiveArray<UInt64Type>>; 4],
    http_status: Option<&'a PrimitiveArray<UInt16Type>>,
    dns_rcode: Option<&'a PrimitiveArray<UInt16Type>>,
    latency: Option<&'a PrimitiveArray<UInt64Type>>,
}

impl<'a> Inputs<'a> {
    fn of(merged: &'a Merged) -> Self {
        let time = match merged.column("time") {
            Some(Column::Plain(array)) => array.as_primitive_opt(),
            _ => None,
        };
        Self {
            time,
            flow_count: numbers(merged, "flow_count"),
            traffic: ["bytes_sent", "bytes_received", "packets_sent", "packets_received"]
                .map(|name| numbers(merged, name)),
            http_status: numbers(merged, "http_status"),
            dns_rcode: numbers(merged, "dns_rcode"),
            latency: numbers(merged, "latency_ns"),
        }
    }

    fn add(&self, row: usize, time: i64, sums: &mut Sums) {
        let flows = value(self.flow_count, row).unwrap_or(1);
        if sums.rows == 0 {
            (sums.first_seen, sums.last_seen) = (time, time);
        }
        sums.rows += 1;
        sums.flows = sums.flows.saturating_add(flows);
        for (sum, column) in sums.traffic.iter_mut().zip(self.traffic) {
            add(sum, value(column, row));
        }
        let is_error = value(self.http_status, row).is_some_and(|status| status >= 500)
            || value(self.dns_rcode, row).is_some_and(|rcode| rcode != 0);
        if is_error {
            sums.errors = sums.errors.saturating_add(flows);
        }
        sums.first_seen = sums.first_seen.min(time);
        sums.last_seen = sums.last_seen.max(time);
        if let Some(nanos) = value(self.latency, row) {
            sums.latency_count += 1;
            sums.latency_sum = sums.latency_sum.saturating_add(nanos);
            sums.latency_max = sums.latency_max.max(Some(nanos));
            if let Some(bucket) = sums.latency.get_mut(latency::bucket(nanos)) {
                *bucket = bucket.saturating_add(1);
            }
        }
    }
}

fn value<T: arrow::datatypes::ArrowPrimitiveType>(column: Option<&PrimitiveArray<T>>, row: usize) -> Option<T::Native> {
    column.filter(|array| array.is_valid(row)).map(|array| array.value(row))
}

fn add(sum: &mut Option<u64>, value: Option<u64>) {
    if let Some(value) = value {
        *sum = Some(sum.unwrap_or(0).saturating_add(value));
    }
}

impl Sums {
    fn merge(&mut self, other: &Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.rows += other.rows;
        for (sum, value) in self.traffic.iter_mut().zip(other.traffic) {
            add(sum, value);
        }
        self.errors = self.errors.saturating_add(other.errors);
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.latency_count += other.latency_count;
        self.latency_sum = self.latency_sum.saturating_add(other.latency_sum);
        self.latency_max = self.latency_max.max(other.latency_max);
        for (bucket, more) in self.latency.iter_mut().zip(other.latency) {
            *bucket = bucket.saturating_add(more);
        }
    }
}

/// Edges by key and bucket, in ascending order of both. Without a time all rows lie in one bucket.
fn sums(merged: &Merged, keys: &Keys, width: i64) -> Vec<Edge> {
    let inputs = Inputs::of(merged);
    let times = inputs.time.map(|times| times.values());
    let mut edges: Vec<Edge> = Vec::new();
    let mut found: HashMap<(u32, i64), usize> = HashMap::default();
    // Rows of one edge stand together, so the next row mostly goes where the last one went.
    let mut last: Option<((u32, i64), usize)> = None;
    for (row, key) in keys.of_row.iter().enumerate() {
        let time = times.and_then(|times| times.get(row)).copied().unwrap_or(0);
        let place = (*key, Timestamp::from_nanos(time).bucket(width).as_nanos());
        let at = match last {
            Some((last, at)) if last == place => at,
            _ => *found.entry(place).or_insert_with(|| {
                edges.push((place.0, place.1, Sums::default()));
                edges.len() - 1
            }),
        };
        last = Some((place, at));
        if let Some((_, _, sums)) = edges.get_mut(at) {
            inputs.add(row, time, sums);
        }
    }
    edges.sort_unstable_by_key(|(key, bucket, _)| (*key, *bucket));
    edges
}

/// Edges in wider buckets, from edges in the order of [`sums`].
fn widen(edges: &[Edge], width: i64) -> Vec<Edge> {
    let mut wide: Vec<Edge> = Vec::new();
    for (key, bucket, sums) in edges {
        let bucket = Timestamp::from_nanos(*bucket).bucket(width).as_nanos();
        match wide.last_mut() {
            Some((last_key, last_bucket, total)) if last_key == key && *last_bucket == bucket => total.merge(sums),
            _ => wide.push((*key, bucket, *sums)),
        }
    }
    wide
}

#[cfg(test)]
mod tests;
