//! The segments and snapshots that the catalogue names, read without opening the store.

use std::collections::BTreeMap;

use hindcast_model::{TableId, Timestamp};
use hindcast_storage::inspect::SegmentReport;
use hindcast_storage::{ValidConfig, inspect};
use serde_json::{Value, json};

use super::Part;
use crate::human;

/// Lists the segments of every table; with `verify` each file is read and its checksum compared.
pub(super) async fn inspect(config: &ValidConfig, verify: bool) -> anyhow::Result<Part> {
    let segments = inspect::list_segments(config, verify).await?;
    let whole = if verify { "whole" } else { "-" };
    let state = |segment: &SegmentReport| segment.problem.clone().unwrap_or_else(|| whole.to_owned());
    let row = |segment: &SegmentReport| {
        vec![
            segment.path.clone(),
            segment.table.name().to_owned(),
            human::count(segment.n_rows),
            human::size(segment.n_bytes),
            human::time(segment.min_time),
            human::time(segment.max_time),
            state(segment),
        ]
    };
    let document = |segment: &SegmentReport| {
        json!({
            "id": segment.id.get(), "table": segment.table.name(), "path": segment.path, "rows": segment.n_rows,
            "bytes": segment.n_bytes, "from": human::time(segment.min_time), "to": human::time(segment.max_time),
            "state": state(segment),
        })
    };
    Ok(Part {
        name: "segments",
        titles: vec!["segment", "table", "rows", "size", "from", "to", "state"],
        rows: segments.iter().map(row).collect(),
        notes: if segments.is_empty() { vec!["no segments".to_owned()] } else { Vec::new() },
        document: segments.iter().map(document).collect(),
        is_damaged: segments.iter().any(|segment| segment.problem.is_some()),
    })
}

/// What a table holds in segments.
#[derive(Clone, Copy, Debug)]
struct Held {
    n_segments: u64,
    n_rows: u64,
    n_bytes: u64,
    from: Timestamp,
    to: Timestamp,
}

/// The tables by what the latest snapshot of the catalogue says of them.
pub(super) async fn catalog(config: &ValidConfig) -> anyhow::Result<Part> {
    let snapshots = inspect::snapshots(config)?;
    let mut tables: BTreeMap<TableId, Held> = BTreeMap::new();
    for segment in inspect::list_segments(config, false).await? {
        let (from, to) = (segment.min_time, segment.max_time);
        let held = tables.entry(segment.table).or_insert(Held { n_segments: 0, n_rows: 0, n_bytes: 0, from, to });
        held.n_segments += 1;
        held.n_rows += segment.n_rows;
        held.n_bytes += segment.n_bytes;
        held.from = held.from.min(from);
        held.to = held.to.max(to);
    }
    let rows = tables.iter().map(|(table, held)| {
        vec![
            table.name().to_owned(),
            human::count(held.n_rows),
            human::count(held.n_segments),
            human::size(held.n_bytes),
            human::time(held.from),
            human::time(held.to),
        ]
    });
    let documents: Vec<Value> = tables
        .iter()
        .map(|(table, held)| {
            json!({
                "table": table.name(), "rows": held.n_rows, "segments": held.n_segments, "bytes": held.n_bytes,
                "from": human::time(held.from), "to": human::time(held.to),
            })
        })
        .collect();
    let latest = snapshots.last();
    let note = latest.map_or_else(
        || "no snapshots".to_owned(),
        |latest| {
            format!("{} snapshots, the latest is {} of {}: {}", snapshots.len(), latest.id, latest.time, latest.changes)
        },
    );
    Ok(Part {
        name: "catalog",
        titles: vec!["table", "rows", "segments", "on disk", "from", "to"],
        rows: rows.collect(),
        notes: vec![note],
        document: json!({
            "tables": documents,
            "snapshots": snapshots.len(),
            "latest": latest.map(|latest| json!({ "id": latest.id, "time": latest.time, "changes": latest.changes })),
        }),
        is_damaged: false,
    })
}
