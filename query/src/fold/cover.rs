//! How a question about flows is divided between roll-ups and rows.

use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_storage::Snapshot;

use super::{Scan, held};
use crate::engine::Sealed;
use crate::filter::Filter;
use crate::remote::Grouping;

/// Width of a bucket of `edges_1m`, in nanoseconds.
const MINUTE_NS: i64 = 60_000_000_000;
/// Width of a bucket of `edges_1h`, in nanoseconds.
const HOUR_NS: i64 = 60 * MINUTE_NS;
/// Columns that mean in a roll-up just what they mean in a flow.
const SAME: [&str; 15] = [
    "cluster",
    "src_namespace",
    "src_workload",
    "src_workload_kind",
    "dst_namespace",
    "dst_workload",
    "dst_workload_kind",
    "protocol",
    "verdict",
    "drop_reason",
    "direction",
    "is_reply",
    "trace_observation_point",
    "l7_protocol",
    "l7_type",
];

/// Whether a roll-up can answer for these columns.
pub(super) fn rolls_up(filter: &Filter, columns: &[&str]) -> bool {
    let known = |column: &str| SAME.contains(&column);
    filter.columns().into_iter().all(known) && columns.iter().all(|column| known(column)) && !has_rows(filter)
}

fn has_rows(filter: &Filter) -> bool {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(has_rows),
        Filter::Not(inner) => has_rows(inner),
        Filter::Rows(_) => true,
        Filter::True
        | Filter::Text { .. }
        | Filter::Number { .. }
        | Filter::Bool { .. }
        | Filter::BytesPresent { .. } => false,
    }
}

/// What a scan reads of which kind of table.
pub(super) struct Needs<'a> {
    /// Columns of flows.
    pub(super) raw: &'a [&'static str],
    /// Columns of roll-ups.
    pub(super) rolled: &'a [&'static str],
    /// What of flows is not told apart.
    pub(super) raw_grouping: Option<Grouping>,
    /// What of roll-ups is not told apart.
    pub(super) rolled_grouping: Grouping,
}

/// The scans that together see every flow of `range` once. `width` is that of the answer's buckets, which begin at
/// its multiples: roll-ups must not lie across two.
pub(super) fn scans(
    snapshot: &Snapshot,
    range: TimeRange,
    filter: &Filter,
    needs: &Needs<'_>,
    width: Option<i64>,
) -> Vec<Scan> {
    let raw = |range: TimeRange, sealed: Sealed, unsealed: bool| Scan {
        table: TableId::Flows,
        range,
        filter: filter.clone(),
        columns: needs.raw.to_vec(),
        sealed,
        unsealed,
        grouping: needs.raw_grouping.clone(),
    };
    let Some(within) = held(snapshot, &[TableId::Flows, TableId::Edges1m, TableId::Edges1h], range) else {
        return Vec::new();
    };
    let fits = |bucket: i64| width.is_none_or(|width| width % bucket == 0);
    let minutes = whole(within, MINUTE_NS, minutes_since(snapshot));
    let Some(minutes) = minutes.filter(|_| fits(MINUTE_NS)) else { return vec![raw(within, Sealed::All, true)] };
    let hours = snapshot.held_range(TableId::Edges1h).and_then(|held| whole(minutes, HOUR_NS, held.0));
    let rolled = |table: TableId, range: TimeRange| Scan {
        table,
        range,
        filter: filter.clone(),
        columns: needs.rolled.to_vec(),
        sealed: Sealed::All,
        unsealed: false,
        grouping: Some(needs.rolled_grouping.clone()),
    };
    let mut by_minute = Vec::new();
    let mut scans = Vec::new();
    match hours.filter(|_| fits(HOUR_NS)) {
        Some(hours) => {
            scans.push(rolled(TableId::Edges1h, hours));
            by_minute.extend(around(minutes, hours));
        }
        None => by_minute.push(minutes),
    }
    for range in by_minute {
        scans.push(rolled(TableId::Edges1m, range));
        scans.push(raw(range, Sealed::WithoutMinutes, false));
    }
    scans.extend(around(within, minutes).map(|range| raw(range, Sealed::All, false)));
    scans.push(raw(within, Sealed::None, true));
    scans
}

/// From when on `edges_1m`, with the segments of flows that are not folded in it, has every sealed flow.
fn minutes_since(snapshot: &Snapshot) -> Timestamp {
    let first = snapshot.held_range(TableId::Edges1m).map_or(Timestamp::MAX, |held| held.0);
    // In ClickHouse every flow is folded when it comes, but minutes may be kept for a shorter time than flows.
    let there = |table| snapshot.remote(table, TimeRange::ALL).map(|remote| remote.bounds().0.bucket(MINUTE_NS));
    let kept = match (there(TableId::Flows), there(TableId::Edges1m)) {
        (Some(flows), Some(minutes)) if flows < minutes => minutes,
        (Some(_), None) => Timestamp::MAX,
        _ => Timestamp::MIN,
    };
    // A segment that was folded and whose roll-up is before the first one kept has lost it to retention.
    let lost = snapshot
        .segments(TableId::Flows, TimeRange::ALL)
        .into_iter()
        .filter(|segment| segment.has_minutes && segment.min_time < first)
        .map(|segment| segment.max_time.as_nanos());
    let here = lost.max().map_or(Timestamp::MIN, |last| Timestamp::from_nanos(last.saturating_add(MINUTE_NS)));
    here.max(kept)
}

/// The whole buckets inside of a range, not before the one in which the roll-ups begin.
fn whole(range: TimeRange, width: i64, first: Timestamp) -> Option<TimeRange> {
    let first = first.as_nanos();
    let start = range.start().as_nanos();
    let start = if start.rem_euclid(width) == 0 { start } else { (start.div_euclid(width) + 1).checked_mul(width)? };
    // The bucket that holds the very first row begins before it.
    let start = start.max(first.div_euclid(width).saturating_mul(width));
    let end = range.end().as_nanos().div_euclid(width).checked_mul(width)?;
    let found = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end)).ok()?;
    (!found.is_empty()).then_some(found)
}

/// What is left of a range before and behind an inner one.
fn around(outer: TimeRange, inner: TimeRange) -> impl Iterator<Item = TimeRange> {
    let before = TimeRange::new(outer.start(), inner.start()).ok();
    let behind = TimeRange::new(inner.end(), outer.end()).ok();
    [before, behind].into_iter().flatten().filter(|range| !range.is_empty())
}
