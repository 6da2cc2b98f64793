//! Edges that no segment holds: flows in memory, and for minutes those of segments that have no roll-up by the minute,
//! folded when they are asked for. Parts are folded one by one, so an edge and bucket may come several times, as it
//! may in segments.

use std::collections::BTreeSet;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use hindcast_model::{TableId, TimeRange};
use hindcast_storage::{Snapshot, rollup};

use super::part::Part;
use super::read::{Reader, Sealed, parts, read_part};
use super::{inside, time_column};
use crate::{Filter, QueryError};

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

/// Columns of flows that these columns of a roll-up are folded from.
pub(crate) fn folded_from(columns: &[&str]) -> Vec<&'static str> {
    columns.iter().flat_map(|column| rollup::inputs(column)).copied().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Parts of flows whose edges with a bucket that begins in `range` no segment of a roll-up holds; none for other
/// tables.
pub(crate) async fn unrolled(
    reader: &Reader,
    snapshot: &Snapshot,
    table: TableId,
    range: TimeRange,
) -> Result<Vec<Part>, QueryError> {
    let Some((width, sealed)) = lacking(table) else { return Ok(Vec::new()) };
    parts(reader, snapshot, TableId::Flows, rollup::of_buckets(range, width), &Filter::True, (sealed, true)).await
}

/// The edges of a part of flows, in some columns of the roll-up and with buckets that begin in `range`. Edges that
/// these columns do not tell apart come as one, and without the time so do all buckets.
pub(crate) async fn read_folded(
    part: &Part,
    table: TableId,
    range: TimeRange,
    columns: &[&str],
) -> Result<RecordBatch, QueryError> {
    let step = QueryError::internal("fold flows into edges");
    let width = lacking(table).map_or(rollup::HOUR_NS, |(width, _)| width);
    let range = rollup::of_buckets(range, width);
    let time = time_column(TableId::Flows);
    let is_inside = part.lies_in(TableId::Flows, range);
    let mut from = folded_from(columns);
    if !is_inside && !from.contains(&time) {
        from.push(time);
    }
    let found = read_part(part, TableId::Flows, &Filter::True, &from).await?;
    let mut flows = found.unwrap_or_else(|| RecordBatch::new_empty(TableId::Flows.schema()));
    if !is_inside {
        let mask = BooleanArray::new(inside(&flows, time, range), None);
        flows = filter_record_batch(&flows, &mask).map_err(&step)?;
    }
    // What is in memory comes with all its columns, and every column of a key tells edges apart.
    let schema = flows.schema();
    let kept = schema.fields().iter().enumerate().filter(|(_, field)| from.contains(&field.name().as_str()));
    flows = flows.project(&kept.map(|(at, _)| at).collect::<Vec<_>>()).map_err(&step)?;
    let width = if columns.contains(&time_column(table)) { width } else { i64::MAX };
    rollup::fold(&[flows], width, columns).map_err(&step)
}

#[cfg(test)]
mod tests;
