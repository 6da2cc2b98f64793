//! Hours of a table that have left the lake for ClickHouse.

use std::collections::BTreeMap;

use hindcast_model::{TableId, Timestamp};
use rusqlite::{Connection, Transaction, params};

use crate::ids::{Hour, PartitionKey};

/// Rows of an hour that are in ClickHouse and no longer in the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MovedRows {
    pub(crate) n_rows: u64,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
}

impl MovedRows {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            n_rows: self.n_rows.saturating_add(other.n_rows),
            min_time: self.min_time.min(other.min_time),
            max_time: self.max_time.max(other.max_time),
        }
    }
}

/// Notes rows that leave, beside those of their hours that left before.
pub(super) fn note(transaction: &Transaction<'_>, moved: &[(PartitionKey, MovedRows)]) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO hindcast_moved VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
         n_rows = n_rows + excluded.n_rows, min_time = MIN(min_time, excluded.min_time),
         max_time = MAX(max_time, excluded.max_time)",
    )?;
    for (key, rows) in moved {
        let (min, max) = (rows.min_time.as_nanos(), rows.max_time.as_nanos());
        statement.execute(params![key.table.code(), key.hour.get(), rows.n_rows, min, max])?;
    }
    Ok(())
}

/// Forgets hours that came back.
pub(super) fn forget(transaction: &Transaction<'_>, brought: &[PartitionKey]) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached("DELETE FROM hindcast_moved WHERE table_code = ?1 AND hour = ?2")?;
    for key in brought {
        statement.execute(params![key.table.code(), key.hour.get()])?;
    }
    Ok(())
}

/// Everything that has left.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<BTreeMap<PartitionKey, MovedRows>> {
    let mut statement =
        connection.prepare("SELECT table_code, hour, n_rows, min_time, max_time FROM hindcast_moved")?;
    let rows = statement.query_map([], |row| {
        let rows = MovedRows {
            n_rows: row.get(2)?,
            min_time: Timestamp::from_nanos(row.get(3)?),
            max_time: Timestamp::from_nanos(row.get(4)?),
        };
        Ok((TableId::from_code(row.get(0)?), Hour::new(row.get(1)?), rows))
    })?;
    let mut moved = BTreeMap::new();
    for row in rows {
        let (table, hour, rows) = row?;
        if let Some(table) = table {
            moved.insert(PartitionKey { table, hour }, rows);
        }
    }
    Ok(moved)
}
