//! The sealed segments, and with `--verify` every row of them.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::{max, min};
use arrow::datatypes::TimestampNanosecondType;
use futures::TryStreamExt as _;
use hindcast_model::{TableId, TimeRange, report};
use hindcast_storage::Segment;
use serde_json::json;

use super::Part;
use crate::ask::Local;
use crate::human;

/// Lists the segments of every table, newest first.
pub(super) async fn inspect(local: &Local, verify: bool) -> anyhow::Result<Part> {
    let snapshot = local.store().snapshot();
    let mut part = Part {
        name: "segments",
        titles: vec!["segment", "table", "rows", "size", "from", "to", "state"],
        rows: Vec::new(),
        notes: Vec::new(),
        document: json!([]),
        is_damaged: false,
    };
    let mut documents = Vec::new();
    for table in TableId::ALL {
        for segment in snapshot.segments(table, TimeRange::ALL) {
            let problem = if verify { check(&segment).await.err() } else { None };
            part.is_damaged |= problem.is_some();
            let state = problem.unwrap_or_else(|| if verify { "whole" } else { "-" }.to_owned());
            documents.push(json!({
                "id": segment.id.get(), "table": table.name(), "path": segment.path.to_string(),
                "rows": segment.n_rows, "bytes": segment.n_bytes,
                "from": human::time(segment.min_time), "to": human::time(segment.max_time), "state": state,
            }));
            part.rows.push(vec![
                segment.path.to_string(),
                table.name().to_owned(),
                human::count(segment.n_rows),
                human::size(segment.n_bytes),
                human::time(segment.min_time),
                human::time(segment.max_time),
                state,
            ]);
        }
    }
    if part.rows.is_empty() {
        part.notes.push("no segments".to_owned());
    }
    part.document = documents.into();
    Ok(part)
}

/// Reads a segment whole; on trouble says what is wrong.
async fn check(segment: &Arc<Segment>) -> Result<(), String> {
    segment.check_size().await.map_err(|error| report(&error))?;
    let columns: Vec<&str> = segment.table.columns().iter().map(|column| column.name).collect();
    let mut rows = segment.scan(TimeRange::ALL, &columns).await.map_err(|error| report(&error))?;
    let mut n_rows = 0_u64;
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    while let Some(records) = rows.try_next().await.map_err(|error| report(&error))? {
        n_rows += records.num_rows() as u64;
        let times = records.column_by_name("time").or_else(|| records.column_by_name("valid_from"));
        let Some(times) = times.and_then(|times| times.as_primitive_opt::<TimestampNanosecondType>()) else {
            return Err("it has no column of times".to_owned());
        };
        if times.null_count() > 0 {
            return Err("it has rows without a time".to_owned());
        }
        first = first.min(min(times).unwrap_or(i64::MAX));
        last = last.max(max(times).unwrap_or(i64::MIN));
    }
    if n_rows != segment.n_rows {
        return Err(format!("it has {n_rows} rows, the catalogue says {}", segment.n_rows));
    }
    if (first, last) != (segment.min_time.as_nanos(), segment.max_time.as_nanos()) {
        return Err("its times are not those of the catalogue".to_owned());
    }
    Ok(())
}
