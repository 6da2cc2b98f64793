//! Sending: segment by segment, two at a time, the oldest first, until all are there; then whatever is sealed next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hindcast_model::{TableId, report};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::recheck::recheck;
use super::{ClickHouseError, Connection, Schema, SchemaError, block, within};
use crate::catalog::{Begun, CatalogError, Shipment};
use crate::error::SealError;
use crate::ids::{SegmentId, time_column};
use crate::maintain;
use crate::segment::Segment;
use crate::store::{Shared, blocking};

/// Tables whose rows are sent. Roll-ups are the server's own business, and what was read is this recorder's.
pub(crate) const SENT: [TableId; 6] = [
    TableId::Flows,
    TableId::RuntimeEvents,
    TableId::AgentEvents,
    TableId::Workloads,
    TableId::Policies,
    TableId::Losses,
];
/// How often to look for new segments.
const LOOK: Duration = Duration::from_millis(500);
/// The first wait after a failure; it doubles up to [`MAX_BACK_OFF`].
const BACK_OFF: Duration = Duration::from_millis(500);
const MAX_BACK_OFF: Duration = Duration::from_secs(30);
/// Segments that are sent at the same time: the server works on one insert with one thread, for the most part.
const AT_ONCE: usize = 2;
/// How often rows in doubt are counted, and how much longer than a count the pause before the next one is at least.
const RECHECK: Duration = Duration::from_secs(2);
const PAUSE_PER_COUNT: u32 = 20;

/// Why a segment is not sent to its end yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShipError {
    #[error(transparent)]
    Server(#[from] ClickHouseError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("cannot read segment {0}")]
    Read(SegmentId, #[source] SealError),
    #[error("cannot encode rows of segment {0}")]
    Encode(SegmentId, #[source] arrow::error::ArrowError),
    /// Somebody else wrote under this store's name, or a copy of the store is running.
    #[error(
        "ClickHouse has {found} rows of segment {segment}, which has {n_rows}: is a copy of this store sending too?"
    )]
    TooMany { segment: SegmentId, found: u64, n_rows: u64 },
}

/// Whether rows of a table are sent.
pub(crate) fn is_sent(table: TableId) -> bool {
    SENT.contains(&table)
}

/// Segments that are not sent to their end, the oldest first.
pub(crate) fn waiting(shared: &Shared) -> Vec<Arc<Segment>> {
    let mut waiting: Vec<Arc<Segment>> = {
        let state = shared.state.read();
        let segments = SENT.iter().filter_map(|table| state.segments.get(table)).flat_map(|segments| segments.iter());
        let shipments = shared.shipments.lock();
        let is_waiting = |segment: &&Arc<Segment>| match shipments.get(&segment.id) {
            None | Some(Shipment::Begun(_) | Shipment::Again(_)) => true,
            Some(Shipment::Done | Shipment::Cold) => false,
        };
        segments.filter(is_waiting).map(Arc::clone).collect()
    };
    waiting.sort_by_key(|segment| segment.id);
    waiting
}

/// Sends until cancelled. After a failure it waits longer each time and goes on where it was.
pub(crate) async fn ship_loop(shared: Arc<Shared>, cancel: CancellationToken) {
    let mut sender = Sender::default();
    // Losing arm: what was begun is found begun when the store is opened again.
    tokio::select! {
        () = cancel.cancelled() => {}
        () = sender.run(&shared) => {}
    }
    sender.sending.shutdown().await;
}

/// What is known from one segment to the next.
#[derive(Debug, Default)]
struct Sender {
    /// Whether the server's schema is the one that is written to.
    is_checked: bool,
    /// The segment that failed last.
    at: Option<SegmentId>,
    /// Segments under way. Each goes on by itself, also while this task waits after another one failed.
    sending: JoinSet<(SegmentId, Result<(), ShipError>)>,
    busy: BTreeSet<SegmentId>,
    /// Segments that are not sent for now.
    aside: BTreeSet<SegmentId>,
    /// When all were last tried.
    tried_all: Option<Instant>,
    /// When rows that were taken were last counted.
    counted: Option<Instant>,
    /// How long that took.
    count_time: Duration,
}

impl Sender {
    async fn run(&mut self, shared: &Arc<Shared>) {
        let mut back_off = BACK_OFF;
        loop {
            let pause = match self.step(shared).await {
                Ok(has_more) => {
                    back_off = BACK_OFF;
                    if has_more { Duration::ZERO } else { LOOK }
                }
                Err(error) => {
                    let segment = self.at.map(tracing::field::display);
                    tracing::warn!(error = report(&error), segment, "rows are not in ClickHouse yet");
                    shared.metrics.ship_errors.inc();
                    shared.faults.lock().clickhouse = Some(report(&error));
                    // The server that answers next may be another one.
                    self.is_checked = false;
                    let pause = back_off;
                    back_off = MAX_BACK_OFF.min(back_off * 2);
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Counts what is in doubt, and sees to it that the next segments are sent; whether there may be more to do.
    async fn step(&mut self, shared: &Arc<Shared>) -> Result<bool, ShipError> {
        self.at = None;
        // Somebody may have put right what was wrong with those.
        if is_over(&mut self.tried_all, MAX_BACK_OFF) {
            self.aside.clear();
        }
        let waiting = waiting(shared);
        note_backlog(shared, &waiting);
        let pause = RECHECK.max(self.count_time * PAUSE_PER_COUNT);
        if shared.doubts.lock().are_some() && is_over(&mut self.counted, pause) {
            // What a TTL removed since then would be taken for lost.
            self.is_checked = false;
            self.check(shared).await?;
            let began = Instant::now();
            recheck(shared).await?;
            self.count_time = began.elapsed();
        }
        let n_free = AT_ONCE.saturating_sub(self.busy.len());
        let is_next = |segment: &&Arc<Segment>| !self.aside.contains(&segment.id) && !self.busy.contains(&segment.id);
        let next: Vec<Arc<Segment>> = waiting.iter().filter(is_next).take(n_free).map(Arc::clone).collect();
        if let Some(first) = next.first() {
            self.at = Some(first.id);
            self.check(shared).await?;
        }
        for segment in next {
            let shared = Arc::clone(shared);
            self.busy.insert(segment.id);
            self.sending.spawn(async move { (segment.id, send(&shared, &segment).await) });
        }
        let (id, sent) = match tokio::time::timeout(LOOK, self.sending.join_next()).await {
            // There may be new segments by now.
            Err(_elapsed) => return Ok(true),
            Ok(None) => return Ok(false),
            Ok(Some(Ok(ended))) => ended,
            Ok(Some(Err(error))) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => return Ok(false),
            },
        };
        self.busy.remove(&id);
        self.note(shared, id, sent)
    }

    /// Notes what became of a segment.
    fn note(&mut self, shared: &Shared, id: SegmentId, sent: Result<(), ShipError>) -> Result<bool, ShipError> {
        match sent {
            Ok(()) => {
                note_sent(shared, id);
                shared.room.notify_waiters();
            }
            Err(error @ ShipError::TooMany { .. }) => {
                set_aside(shared, id, &error);
                self.aside.insert(id);
            }
            Err(error) => {
                self.at = Some(id);
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Makes sure, once, that the server has the schema that is written to.
    async fn check(&mut self, shared: &Shared) -> Result<(), ShipError> {
        if !self.is_checked {
            let schema = Schema::of(&shared.config)?;
            schema.check().await?;
            schema.check_keep().await?;
            self.is_checked = true;
        }
        Ok(())
    }
}

/// Whether that time has passed; if so it begins anew.
fn is_over(since: &mut Option<Instant>, time: Duration) -> bool {
    let is_over = since.is_none_or(|since| since.elapsed() > time);
    if is_over {
        *since = Some(Instant::now());
    }
    is_over
}

fn note_sent(shared: &Shared, id: SegmentId) {
    let mut faults = shared.faults.lock();
    faults.clickhouse = None;
    faults.set_aside.remove(&id);
    shared.metrics.ship_set_aside.set(i64::try_from(faults.set_aside.len()).unwrap_or(i64::MAX));
}

/// Leaves a segment for later, so that the others are sent; whoever runs this has to act.
fn set_aside(shared: &Shared, id: SegmentId, error: &ShipError) {
    let text = report(error);
    shared.metrics.ship_errors.inc();
    let mut faults = shared.faults.lock();
    if faults.set_aside.insert(id, text.clone()).is_none() {
        tracing::error!(error = text, segment = %id, "a segment is set aside and not sent");
    }
    shared.metrics.ship_set_aside.set(i64::try_from(faults.set_aside.len()).unwrap_or(i64::MAX));
}

fn note_backlog(shared: &Shared, waiting: &[Arc<Segment>]) {
    let n_bytes: u64 = waiting.iter().map(|segment| segment.n_bytes).sum();
    let limit = shared.config.clickhouse.max_backlog.as_u64();
    let before = shared.metrics.ship_backlog.set(n_bytes);
    shared.metrics.ship_waiting.set(i64::try_from(waiting.len()).unwrap_or(i64::MAX));
    let alarm = limit / 4 * 3;
    if n_bytes > alarm && before <= alarm {
        tracing::error!(n_bytes, limit, "rows that wait for ClickHouse take three quarters of their place");
    }
}

/// Sends one segment to its end.
async fn send(shared: &Arc<Shared>, segment: &Arc<Segment>) -> Result<(), ShipError> {
    let connection = Connection::new(&shared.config.clickhouse)?;
    let Some(Start { block_rows, mut start, again }) = begin(shared, &connection, segment).await? else {
        return Ok(());
    };
    let read = Arc::clone(segment);
    let batches = blocking(move || maintain::read(&read)).await;
    let mut batches = Arc::new(batches.map_err(|source| ShipError::Read(segment.id, source))?);
    let n_rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    while start < n_rows {
        let n_block = block_rows.min(n_rows - start);
        // Behind the last block the rows are needed no more: those under way are memory enough.
        let is_last = start + n_block == n_rows;
        let rows = if is_last { std::mem::take(&mut batches) } else { Arc::clone(&batches) };
        let (store, id, table) = (shared.catalog.store_name().to_owned(), segment.id, segment.table);
        let block = blocking(move || block::encode(table, &rows, (start, n_block), &store, id)).await;
        let block = block.map_err(|source| ShipError::Encode(id, source))?;
        let again = again.map(|since| format!("-{since}")).unwrap_or_default();
        let token = format!("{}-{id}-{start}-{n_block}{again}", shared.catalog.store_name());
        connection.insert(table.name(), &block.columns, token, block.stream).await?;
        shared.metrics.shipped_rows.inc_by(u64::try_from(n_block).unwrap_or(0));
        start += n_block;
    }
    shared.ship(vec![segment.id], Shipment::Done).await?;
    Ok(())
}

/// How a segment is sent.
#[derive(Clone, Copy, Debug)]
struct Start {
    /// Rows of an insert.
    block_rows: usize,
    /// The row to begin or to go on with.
    start: usize,
    /// Part of the tokens of a segment that is sent again.
    again: Option<i64>,
}

/// How sending begins or goes on; `None` for a segment that became part of another one.
///
/// The last block that arrived is sent again: the server knows it by its token and leaves its rows out, but where it
/// ended before it folded them into the roll-ups it folds them now.
async fn begin(shared: &Arc<Shared>, connection: &Connection, segment: &Segment) -> Result<Option<Start>, ShipError> {
    let configured = shared.config.clickhouse.block_rows;
    let begun = shared.shipments.lock().get(&segment.id).copied();
    let Some(Shipment::Begun(Begun { block_rows, again })) = begun else {
        connection.note_store(shared.catalog.store_name()).await?;
        let again = begun.and_then(|shipment| shipment.code().1.again);
        let begun = Begun { block_rows: u64::try_from(configured).ok(), again };
        // From here on it stays as it is; until here it may have been joined with others.
        let _alone = shared.sealing.lock().await;
        if !shared.has(segment) {
            return Ok(None);
        }
        shared.ship(vec![segment.id], Shipment::Begun(begun)).await?;
        return Ok(Some(Start { block_rows: configured, start: 0, again }));
    };
    let found = usize::try_from(arrived(shared, connection, segment).await?).unwrap_or(usize::MAX);
    Ok(Some(match block_rows.and_then(|rows| usize::try_from(rows).ok()).filter(|rows| *rows > 0) {
        Some(rows) => Start { block_rows: rows, start: found.saturating_sub(1) / rows * rows, again },
        // Begun by a build that did not note it: what has arrived is all that is known.
        None => Start { block_rows: configured, start: found, again },
    }))
}

/// How many rows of a segment that was begun have arrived: its first ones, since blocks are sent in order and each
/// arrives whole or not at all.
async fn arrived(shared: &Shared, connection: &Connection, segment: &Segment) -> Result<u64, ShipError> {
    let time = time_column(segment.table);
    let query = format!(
        "SELECT count() FROM {}.{} WHERE segment_store = '{}' AND segment = {} \
         AND {}",
        shared.config.clickhouse.database,
        segment.table,
        shared.catalog.store_name(),
        segment.id.get(),
        within(time, segment.min_time, segment.max_time),
    );
    let found = connection.number("say what has arrived", &query).await?;
    if found > segment.n_rows {
        return Err(ShipError::TooMany { segment: segment.id, found, n_rows: segment.n_rows });
    }
    Ok(found)
}

impl Shared {
    /// Whether a segment is there and not part of another one.
    fn has(&self, segment: &Segment) -> bool {
        let state = self.state.read();
        let mut segments = state.segments.get(&segment.table).into_iter().flat_map(|segments| segments.iter());
        segments.any(|known| known.id == segment.id)
    }

    /// Notes how far segments have been sent.
    pub(super) async fn ship(self: &Arc<Self>, ids: Vec<SegmentId>, shipment: Shipment) -> Result<(), CatalogError> {
        let shared = Arc::clone(self);
        blocking(move || {
            shared.catalog.note_shipment(&ids, shipment)?;
            shared.shipments.lock().extend(ids.iter().map(|id| (*id, shipment)));
            Ok(())
        })
        .await
    }
}
