//! Sending: segment by segment, the oldest first, until all are there; then whatever is sealed next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hindcast_model::{TableId, report};
use tokio_util::sync::CancellationToken;

use super::{ClickHouseError, Connection, Schema, SchemaError, block};
use crate::catalog::{CatalogError, Shipment};
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

/// Why a segment is not sent to its end yet.
#[derive(Debug, thiserror::Error)]
enum ShipError {
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
            None | Some(Shipment::Begun { .. }) => true,
            Some(Shipment::Done | Shipment::Cold) => false,
        };
        segments.filter(is_waiting).map(Arc::clone).collect()
    };
    waiting.sort_by_key(|segment| segment.id);
    waiting
}

/// Sends until cancelled. After a failure it waits longer each time and goes on where it was.
pub(crate) async fn ship_loop(shared: Arc<Shared>, cancel: CancellationToken) {
    let mut back_off = BACK_OFF;
    let mut is_checked = false;
    let mut aside = BTreeSet::new();
    let mut looked = tokio::time::Instant::now();
    loop {
        let waiting = waiting(&shared);
        note_backlog(&shared, &waiting);
        // Somebody may have put right what was wrong with those.
        if looked.elapsed() > MAX_BACK_OFF {
            aside.clear();
            looked = tokio::time::Instant::now();
        }
        let mut pause = LOOK;
        if let Some(next) = waiting.iter().find(|segment| !aside.contains(&segment.id)) {
            // Losing arm: what was begun is found begun when the store is opened again.
            let done = tokio::select! {
                () = cancel.cancelled() => return,
                done = send(&shared, next, &mut is_checked) => done,
            };
            match done {
                Ok(()) => {
                    back_off = BACK_OFF;
                    pause = Duration::ZERO;
                    note_sent(&shared, next.id);
                    shared.room.notify_waiters();
                }
                Err(error @ ShipError::TooMany { .. }) => {
                    set_aside(&shared, next.id, &error);
                    aside.insert(next.id);
                    pause = Duration::ZERO;
                }
                Err(error) => {
                    tracing::warn!(error = report(&error), segment = %next.id, "rows are not in ClickHouse yet");
                    shared.metrics.ship_errors.inc();
                    shared.faults.lock().clickhouse = Some(report(&error));
                    // The server that answers next may be another one.
                    is_checked = false;
                    pause = back_off;
                    back_off = MAX_BACK_OFF.min(back_off * 2);
                }
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
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
async fn send(shared: &Arc<Shared>, segment: &Arc<Segment>, is_checked: &mut bool) -> Result<(), ShipError> {
    if !*is_checked {
        Schema::of(&shared.config)?.check().await?;
        *is_checked = true;
    }
    let connection = Connection::new(&shared.config.clickhouse)?;
    let (block_rows, mut start) = begin(shared, &connection, segment).await?;
    let read = Arc::clone(segment);
    let batches = blocking(move || maintain::read(&read)).await;
    let batches = Arc::new(batches.map_err(|source| ShipError::Read(segment.id, source))?);
    let n_rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    while start < n_rows {
        let n_block = block_rows.min(n_rows - start);
        let (batches, store, id, table) =
            (Arc::clone(&batches), shared.catalog.store_name().to_owned(), segment.id, segment.table);
        let block = blocking(move || block::encode(table, &batches, (start, n_block), &store, id)).await;
        let block = block.map_err(|source| ShipError::Encode(id, source))?;
        let token = format!("{}-{id}-{start}-{n_block}", shared.catalog.store_name());
        connection.insert(table.name(), &block.columns, token, block.stream).await?;
        shared.metrics.shipped_rows.inc_by(u64::try_from(n_block).unwrap_or(0));
        start += n_block;
    }
    shared.ship(segment.id, Shipment::Done).await?;
    Ok(())
}

/// Rows of an insert, and the row that sending begins or goes on with.
///
/// The last block that arrived is sent again: the server knows it by its token and leaves its rows out, but where it
/// ended before it folded them into the roll-ups it folds them now.
async fn begin(shared: &Arc<Shared>, connection: &Connection, segment: &Segment) -> Result<(usize, usize), ShipError> {
    let configured = shared.config.clickhouse.block_rows;
    let begun = shared.shipments.lock().get(&segment.id).copied();
    let Some(Shipment::Begun { block_rows }) = begun else {
        connection.note_store(shared.catalog.store_name()).await?;
        let block_rows = u64::try_from(configured).ok();
        shared.ship(segment.id, Shipment::Begun { block_rows }).await?;
        return Ok((configured, 0));
    };
    let found = usize::try_from(arrived(shared, connection, segment).await?).unwrap_or(usize::MAX);
    match block_rows.and_then(|rows| usize::try_from(rows).ok()).filter(|rows| *rows > 0) {
        Some(rows) => Ok((rows, found.saturating_sub(1) / rows * rows)),
        // Begun by a build that did not note it: what has arrived is all that is known.
        None => Ok((configured, found)),
    }
}

/// How many rows of a segment that was begun have arrived: its first ones, since blocks are sent in order and each
/// arrives whole or not at all.
async fn arrived(shared: &Shared, connection: &Connection, segment: &Segment) -> Result<u64, ShipError> {
    let time = time_column(segment.table);
    let query = format!(
        "SELECT count() FROM {}.{} WHERE segment_store = '{}' AND segment = {} \
         AND {time} >= fromUnixTimestamp64Nano({}) AND {time} <= fromUnixTimestamp64Nano({})",
        shared.config.clickhouse.database,
        segment.table,
        shared.catalog.store_name(),
        segment.id.get(),
        segment.min_time.as_nanos(),
        segment.max_time.as_nanos(),
    );
    let found = connection.number("say what has arrived", &query).await?;
    if found > segment.n_rows {
        return Err(ShipError::TooMany { segment: segment.id, found, n_rows: segment.n_rows });
    }
    Ok(found)
}

impl Shared {
    /// Notes that a segment is being sent, or is there whole.
    async fn ship(self: &Arc<Self>, id: SegmentId, shipment: Shipment) -> Result<(), CatalogError> {
        let shared = Arc::clone(self);
        blocking(move || shared.catalog.note_shipment(id, shipment)).await?;
        self.shipments.lock().insert(id, shipment);
        Ok(())
    }
}
