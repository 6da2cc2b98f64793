//! Rejected lines as rows of table `losses`, so that they can be asked about.
//!
//! A row's time is that of the events around it, never the time of reading, and its text names file and line: reading
//! a block again gives the same row, which is then known already.

use hindcast_model::tables::losses;
use hindcast_model::{Batch, SchemaError, SourceKind, TableId, Timestamp};

use super::summary::Rejected;
use crate::pipeline::Prepared;

/// The stage in the column `stage`.
const STAGE: &str = "ingest";

/// Where rejected lines stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportArgs<'a> {
    /// The name in the column `source`.
    pub(crate) source: &'a str,
    /// Which wire the lines came by.
    pub(crate) kind: SourceKind,
    /// The time of the events around them.
    pub(crate) time: Timestamp,
    /// When the log accepts the report.
    pub(crate) recorded_at: Timestamp,
}

/// One row per reason; `None` for nothing rejected.
pub(crate) fn report(rejected: &Rejected, args: ReportArgs<'_>) -> Result<Option<Prepared>, SchemaError> {
    if rejected.is_empty() {
        return Ok(None);
    }
    let mut builder = losses::Builder::default();
    for (reason, lines) in rejected {
        let row = builder.row();
        builder.time.set(row, args.time.as_nanos());
        builder.recorded_at.set(row, args.recorded_at.as_nanos());
        builder.source_kind.set(row, args.kind.as_str());
        builder.source.set(row, args.source);
        builder.stage.set(row, STAGE);
        builder.reason.set(row, reason.as_str());
        builder.count.set(row, lines.count);
        if let Some(first) = lines.samples.first() {
            let lines = match (first.line, lines.count) {
                // An input without lines.
                (0, _) => String::new(),
                (line, 1) => format!(":{line}"),
                (line, _) => format!(":{line}-{}", lines.last_line),
            };
            builder.detail.set(row, &format!("{}{lines}: {}", args.source, first.detail));
        }
        builder.commit();
    }
    Ok(Some(Prepared::new(Batch { table: TableId::Losses, records: builder.finish()? })))
}
