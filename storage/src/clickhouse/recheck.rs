//! Whether the server still has what it took. One that ended without warning, or on a full disk, may have lost rows
//! that it had answered for: they are counted after every start of it, and sent again from the lake.
//!
//! They are sent again by the hour: what is left of an hour is deleted first, with its roll-ups, so that nothing is
//! there twice. Only this store's rows are touched, and only this task sends any.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hindcast_model::{TableId, report};
use tokio::runtime::Handle;

use super::keep::may_be_over;
use super::ship::ShipError;
use super::{Connection, delete, held, tables_of, within};
use crate::catalog::Shipment;
use crate::ids::{Hour, PartitionKey, time_column};
use crate::maintain;
use crate::segment::Segment;
use crate::store::{Shared, blocking};

/// Hours whose rows the server may have lost.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    hours: BTreeSet<PartitionKey>,
    /// Those that were sent again since the server started.
    sent_again: BTreeSet<PartitionKey>,
    /// How often it started, as far as is known.
    n_starts: u64,
}

impl Doubts {
    /// Whether there are any.
    pub(super) fn are_some(&self) -> bool {
        !self.hours.is_empty()
    }
}

/// Notes that the server has started: every hour of which rows were sent is in doubt.
pub(crate) fn doubt_all(shared: &Shared) {
    let mut hours: BTreeSet<PartitionKey> = {
        let state = shared.state.read();
        let shipments = shared.shipments.lock();
        let segments = state.segments.values().flat_map(|segments| segments.iter());
        let sent = segments.filter(|segment| shipments.contains_key(&segment.id)).map(|segment| key_of(segment));
        sent.chain(state.moved.keys().copied()).collect()
    };
    hours.retain(|key| super::ship::is_sent(key.table));
    let mut doubts = shared.doubts.lock();
    doubts.hours = hours;
    doubts.sent_again.clear();
    doubts.n_starts += 1;
}

/// Whether the server has every row of an hour that it should have, roll-ups included: it may have lost what it has
/// answered for, and what it took before it had roll-ups is in none. An hour that it has not is in doubt. `None` if it
/// does not say.
pub(crate) fn has(shared: &Shared, key: PartitionKey) -> Option<bool> {
    let due = match due(shared, key) {
        Due::Rows(n_rows) => n_rows,
        Due::Nothing => return Some(true),
        Due::Later => return Some(false),
    };
    match Handle::current().block_on(held(shared, key)) {
        Ok(held) if held.n_rows >= due && held.is_rolled_up => Some(true),
        Ok(held) => {
            let found = held.n_rows;
            tracing::error!(partition = %key, due, found, "rows or roll-ups are not in ClickHouse: rows stay");
            shared.doubts.lock().hours.insert(key);
            Some(false)
        }
        Err(error) => {
            tracing::warn!(error = report(&error), partition = %key, "rows stay: ClickHouse does not say what it has");
            None
        }
    }
}

fn key_of(segment: &Segment) -> PartitionKey {
    PartitionKey { table: segment.table, hour: segment.hour }
}

/// What there should be of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// So many rows, and maybe some that the lake has no more.
    Rows(u64),
    /// Some are not sent yet: it is too early to count.
    Later,
    /// The hour came back into the lake, or is older than what ClickHouse keeps: nothing is due.
    Nothing,
}

fn due(shared: &Shared, key: PartitionKey) -> Due {
    if may_be_over(shared, key) {
        return Due::Nothing;
    }
    let state = shared.state.read();
    let shipments = shared.shipments.lock();
    let mut n_rows = state.moved.get(&key).map_or(0, |rows| rows.n_rows);
    let segments = state.segments.get(&key.table).into_iter().flat_map(|segments| segments.iter());
    for segment in segments.filter(|segment| segment.hour == key.hour) {
        match shipments.get(&segment.id) {
            Some(Shipment::Done) => n_rows = n_rows.saturating_add(segment.n_rows),
            Some(Shipment::Cold) => return Due::Nothing,
            Some(Shipment::Begun(_) | Shipment::Again(_)) | None => return Due::Later,
        }
    }
    if n_rows == 0 { Due::Nothing } else { Due::Rows(n_rows) }
}

/// Counts the hours in doubt of which every row was sent, and has sent again what is not there.
pub(super) async fn recheck(shared: &Arc<Shared>) -> Result<(), ShipError> {
    let (n_starts, hours) = {
        let doubts = shared.doubts.lock();
        (doubts.n_starts, doubts.hours.clone())
    };
    let mut counted: BTreeMap<TableId, BTreeMap<Hour, u64>> = BTreeMap::new();
    for key in hours {
        match due(shared, key) {
            Due::Rows(n_rows) => drop(counted.entry(key.table).or_default().insert(key.hour, n_rows)),
            Due::Nothing => settle(shared, key, n_starts),
            Due::Later => {}
        }
    }
    let connection = Connection::new(&shared.config.clickhouse)?;
    for (table, hours) in counted {
        let found = count(shared, &connection, table, &hours).await?;
        for (hour, due) in hours {
            let key = PartitionKey { table, hour };
            let found = found.get(&hour).copied().unwrap_or_default();
            if found.n_rows >= due && found.is_rolled_up() {
                settle(shared, key, n_starts);
            } else {
                lacking(shared, key, due, found).await?;
            }
        }
    }
    Ok(())
}

/// An hour is as it should be.
fn settle(shared: &Shared, key: PartitionKey, n_starts: u64) {
    let mut doubts = shared.doubts.lock();
    if doubts.n_starts == n_starts {
        doubts.hours.remove(&key);
        shared.faults.lock().lacking.remove(&key);
    }
}

/// An hour lacks rows: they are sent again, once, where they are in the lake.
async fn lacking(shared: &Arc<Shared>, key: PartitionKey, due: u64, found: Found) -> Result<(), ShipError> {
    // Rows of it that the lake has no more would be nowhere if what is there were deleted.
    let has_left = shared.state.read().moved.contains_key(&key) || found.n_rows > due;
    if has_left || shared.doubts.lock().sent_again.contains(&key) {
        let text =
            format!("{key}: of {due} rows ClickHouse has {}, {} of them in roll-ups", found.n_rows, found.rolled_up());
        tracing::error!(partition = %key, due, found = found.n_rows, has_left, "ClickHouse lost rows that it had taken");
        shared.faults.lock().lacking.insert(key, text);
        shared.doubts.lock().hours.remove(&key);
        return Ok(());
    }
    tracing::warn!(partition = %key, due, found = found.n_rows, "ClickHouse lost rows that it had taken: they are sent again");
    if !send_again(shared, key, due).await? {
        return Ok(());
    }
    shared.metrics.ship_lost_rows.inc_by(due.saturating_sub(found.n_rows));
    shared.doubts.lock().sent_again.insert(key);
    Ok(())
}

/// Deletes what is left of an hour, and notes that all of it is to be sent; not if the hour is another one by now.
async fn send_again(shared: &Arc<Shared>, key: PartitionKey, n_rows: u64) -> Result<bool, ShipError> {
    // Retention may just have found the hour whole there, and be about to drop it here.
    let _kept = shared.maintaining.lock().await;
    if due(shared, key) != Due::Rows(n_rows) {
        return Ok(false);
    }
    // Nothing is deleted there that cannot be read here.
    for segment in sent(shared, key) {
        let id = segment.id;
        let read = blocking(move || maintain::read(&segment).map(drop)).await;
        read.map_err(|source| ShipError::Read(id, source))?;
    }
    delete(shared, key).await?;
    // Segments are joined only under this lock, so that what is noted is what there is.
    let _alone = shared.sealing.lock().await;
    let ids = sent(shared, key).iter().map(|segment| segment.id).collect();
    shared.ship(ids, Shipment::Again(shared.clock.now().as_nanos())).await?;
    Ok(true)
}

/// Segments of an hour of which rows were sent.
fn sent(shared: &Shared, key: PartitionKey) -> Vec<Arc<Segment>> {
    let state = shared.state.read();
    let shipments = shared.shipments.lock();
    let segments = state.segments.get(&key.table).into_iter().flat_map(|segments| segments.iter());
    let of_hour = segments.filter(|segment| segment.hour == key.hour && shipments.contains_key(&segment.id));
    of_hour.map(Arc::clone).collect()
}

/// What the server has of an hour of this store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    n_rows: u64,
    /// Rows that each roll-up counts; `None` for a table without any.
    rolled_up: Option<[u64; 2]>,
}

impl Found {
    fn is_rolled_up(&self) -> bool {
        self.rolled_up.is_none_or(|counts| counts == [self.n_rows; 2])
    }

    fn rolled_up(&self) -> u64 {
        self.rolled_up.map_or(self.n_rows, |[minutes, hours]| minutes.min(hours))
    }
}

/// Counts this store's rows of a table, and of its roll-ups, by the hour.
async fn count(
    shared: &Shared,
    connection: &Connection,
    table: TableId,
    hours: &BTreeMap<Hour, u64>,
) -> Result<BTreeMap<Hour, Found>, ShipError> {
    let (Some((first, _)), Some((last, _))) = (hours.first_key_value(), hours.last_key_value()) else {
        return Ok(BTreeMap::new());
    };
    let mut found: BTreeMap<Hour, Found> = BTreeMap::new();
    let key = PartitionKey { table, hour: *first };
    let tables = tables_of(&key);
    for (position, of) in tables.iter().enumerate() {
        let time = time_column(*of);
        let counted = if *of == table { "count()" } else { "toUInt64(sum(rows))" };
        let query = format!(
            "SELECT intDiv(toUnixTimestamp64Nano({time}) - positiveModulo(toUnixTimestamp64Nano({time}), {width}), {width}) \
             AS hour, {counted} FROM {}.{of} WHERE segment_store = '{}' AND {} GROUP BY hour",
            shared.config.clickhouse.database,
            shared.catalog.store_name(),
            within(time, first.start(), last.last()),
            width = 3_600_000_000_000_i64,
        );
        for (hour, n) in connection.rows::<(i64, u64)>("count rows by the hour", &query).await? {
            let found = found.entry(Hour::new(hour)).or_default();
            match position.checked_sub(1) {
                None => found.n_rows = n,
                Some(position) => {
                    let counts = found.rolled_up.get_or_insert_default();
                    counts.iter_mut().skip(position).take(1).for_each(|count| *count = n);
                }
            }
        }
    }
    if tables.len() > 1 {
        found.values_mut().for_each(|found| found.rolled_up = Some(found.rolled_up.unwrap_or_default()));
    }
    Ok(found)
}
