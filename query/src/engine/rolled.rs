//! Edges that no segment holds: flows in memory, and for minutes those of segments that have no roll-up by the minute,
//! folded when they are asked for. Parts are folded one by one, so an edge and bucket may come several times, as it
//! may in segments.

use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_storage::{Snapshot, rollup};

use arrow::array::RecordBatch;

use super::part::Part;
use super::read::{Reader, Sealed, parts, read_part};
use crate::{Filter, QueryError};

/// Columns of flows that folding reads.
pub(crate) const FOLDED: &[&str] = &[
    "time",
    "cluster",
    "src_namespace",
    "src_workload",
    "src_workload_kind",
    "src_identity",
    "src_names",
    "dst_namespace",
    "dst_workload",
    "dst_workload_kind",
    "dst_identity",
    "dst_names",
    "protocol",
    "src_port",
    "dst_port",
    "verdict",
    "drop_reason",
    "direction",
    "is_reply",
    "trace_observation_point",
    "l7_protocol",
    "l7_type",
    "http_status",
    "dns_rcode",
    "latency_ns",
    "flow_count",
    "bytes_sent",
    "bytes_received",
    "packets_sent",
    "packets_received",
];

/// The width of a roll-up's buckets in nanoseconds, and which segments of flows it lacks.
const fn lacking(table: TableId) -> Option<(i64, Sealed)> {
    match table {
        TableId::Edges1m => Some((rollup::MINUTE_NS, Sealed::WithoutMinutes)),
        TableId::Edges1h => Some((rollup::HOUR_NS, Sealed::None)),
        TableId::Flows
        | TableId::RuntimeEvents
        | TableId::AgentEvents
        | TableId::Workloads
        | TableId::Policies
        | TableId::Losses
        | TableId::Ingested => None,
    }
}

/// Parts of flows whose edges with a bucket in `range` no segment of a roll-up holds; none for other tables.
pub(crate) async fn unrolled(
    reader: &Reader,
    snapshot: &Snapshot,
    table: TableId,
    range: TimeRange,
) -> Result<Vec<Part>, QueryError> {
    let Some((width, sealed)) = lacking(table) else { return Ok(Vec::new()) };
    // A bucket counts whole, however much of it lies in the range.
    let start = range.start().as_nanos().div_euclid(width).saturating_mul(width);
    let end = range.end().as_nanos().div_euclid(width).saturating_add(1).saturating_mul(width);
    let whole = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end)).unwrap_or(TimeRange::ALL);
    parts(reader, snapshot, TableId::Flows, whole, &Filter::True, (sealed, true)).await
}

/// The edges of a part of flows.
pub(crate) async fn read_folded(part: &Part, table: TableId) -> Result<RecordBatch, QueryError> {
    let width = lacking(table).map_or(rollup::HOUR_NS, |(width, _)| width);
    let flows = read_part(part, TableId::Flows, &Filter::True, FOLDED).await?;
    rollup::fold(&[flows], width).map_err(QueryError::internal("fold flows into edges"))
}

#[cfg(test)]
mod tests;
