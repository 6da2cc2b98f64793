//! Takes from the shared catalogue what is new: for a server that only answers.

use std::sync::Arc;

use hindcast_model::{TableId, Timestamp, report};
use object_store::path::Path;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;

use super::client::Lake;
use super::{LakeError, lease, schema};
use crate::ids::{Hour, Lsn, SegmentId};
use crate::segment::Segment;
use crate::store::Shared;

/// A connection that reads, and what it has read.
#[derive(Debug)]
struct Reader {
    lake: Lake,
    /// The latest snapshot that was taken over; `None` before the first.
    snapshot: Option<i64>,
}

/// Reads once, for whoever opens: what there is is known from the first question on.
///
/// # Errors
/// The catalogue is none that this build can read. One that does not answer is asked again later.
pub(crate) async fn first_read(shared: &Arc<Shared>) -> Result<(), LakeError> {
    let done = round(shared, &mut None).await;
    note(shared, &done);
    match done {
        Err(error) if error.kind() == hindcast_model::Kind::Invalid => Err(error),
        _ => Ok(()),
    }
}

/// Takes over what is there by now.
pub(crate) async fn read_now(shared: &Arc<Shared>) -> Result<(), LakeError> {
    round(shared, &mut None).await
}

/// Reads until cancelled.
pub(crate) async fn read_loop(shared: Arc<Shared>, cancel: CancellationToken) {
    let mut reader = None;
    loop {
        // Losing arm: reading changes nothing there, and here all at once.
        let done = tokio::select! {
            () = cancel.cancelled() => return,
            done = round(&shared, &mut reader) => done,
        };
        note(&shared, &done);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(shared.config.lake.interval) => {}
        }
    }
}

fn note(shared: &Shared, done: &Result<(), LakeError>) {
    let mut faults = shared.faults.lock();
    match done {
        Ok(()) => {
            if faults.lake.take().is_some() {
                tracing::info!("the shared catalogue answers again");
            }
        }
        Err(error) => {
            shared.metrics.lake_errors.inc();
            let text = report(error);
            if faults.lake.as_ref() != Some(&text) {
                tracing::warn!(error = text, "what is new in the lake is out of reach");
            }
            faults.lake = Some(text);
        }
    }
}

/// Takes over what is new. After an error the connection is given up.
async fn round(shared: &Arc<Shared>, held: &mut Option<Reader>) -> Result<(), LakeError> {
    let work = async {
        let mut reader = match held.take() {
            Some(reader) => reader,
            None => {
                let lake = Lake::connect(&shared.config.lake).await?;
                schema::check(&lake, &shared.config.lake_path()).await?;
                Reader { lake, snapshot: None }
            }
        };
        reader.refresh(shared).await?;
        Ok(reader)
    };
    *held = Some(Lake::in_time(&shared.config.lake, "read", work).await?);
    Ok(())
}

impl Reader {
    async fn refresh(&mut self, shared: &Arc<Shared>) -> Result<(), LakeError> {
        let rows = self.lake.query("SELECT MIN(snapshot_id), MAX(snapshot_id) FROM ducklake_snapshot", &[]).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let (oldest, latest): (Option<i64>, Option<i64>) = (row.get(0), row.get(1));
        let (Some(oldest), Some(latest)) = (oldest, latest) else { return Ok(()) };
        self.recorders(shared).await?;
        // Segments that left before the oldest snapshot are named no more: who has missed that reads all anew.
        let since = self.snapshot.filter(|snapshot| *snapshot >= oldest);
        if since == Some(latest) {
            return Ok(());
        }
        let statement = "SELECT s.data_file_id, s.table_code, s.hour, f.path, f.record_count, f.file_size_bytes,
                         f.footer_size, s.min_time, s.max_time, s.has_minutes,
                         f.end_snapshot IS NOT NULL AND f.end_snapshot <= $2
                         FROM hindcast_segment s JOIN ducklake_data_file f USING (data_file_id)
                         WHERE s.changed > $1 AND f.begin_snapshot <= $2";
        let rows = self.lake.query(statement, &[&since.unwrap_or(-1), &latest]).await?;
        take_over(shared, &rows, since.is_none(), Lsn::new(latest.cast_unsigned()));
        self.snapshot = Some(latest);
        Ok(())
    }

    async fn recorders(&self, shared: &Shared) -> Result<(), LakeError> {
        *shared.recorders.lock() = lease::recorders(&self.lake).await?;
        Ok(())
    }
}

/// Changes what snapshots see, in one step.
fn take_over(shared: &Shared, rows: &[Row], is_all: bool, lsn: Lsn) {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for row in rows {
        let Some(segment) = segment(shared, row, lsn) else { continue };
        if row.get(10) { removed.push(segment) } else { added.push(segment) }
    }
    let mut state = shared.state.write();
    if is_all {
        removed.extend(state.segments.values().flat_map(|segments| segments.iter()).map(Arc::clone));
    } else {
        let is_here = |id| state.segments.values().flat_map(|held| held.iter()).any(|held| held.id == id);
        added.retain(|segment: &Arc<Segment>| !is_here(segment.id));
    }
    state.replace(&[], &removed, &added);
    state.lsn = lsn;
}

fn segment(shared: &Shared, row: &Row, lsn: Lsn) -> Option<Arc<Segment>> {
    let number = |at: usize| row.get::<_, i64>(at).cast_unsigned();
    // A table of a later build is not asked for here.
    let table = TableId::from_code(u8::try_from(row.get::<_, i64>(1)).ok()?)?;
    Some(Arc::new(Segment {
        id: SegmentId::new(number(0)),
        table,
        hour: Hour::new(row.get(2)),
        path: Path::from(row.get::<_, &str>(3)),
        n_rows: number(4),
        n_bytes: number(5),
        footer_bytes: number(6),
        min_time: Timestamp::from_nanos(row.get(7)),
        max_time: Timestamp::from_nanos(row.get(8)),
        last_lsn: lsn,
        has_minutes: row.get(9),
        store: Arc::clone(&shared.tier.store),
        cache: Arc::clone(&shared.cache),
    }))
}
