//! One commit: files come and go, and the log moves on, all at once.

use hindcast_model::{TableId, Timestamp};
use rusqlite::{Transaction, params};

use super::moved::{MovedRows, forget, note};
use super::{Begun, ColumnStats, Shipment, TableIds, Tables, time_text};
use crate::ids::{Lsn, PartitionKey, SegmentId, time_column};

/// A file that joins the catalogue.
#[derive(Clone, Debug)]
pub(crate) struct NewSegment {
    pub(crate) id: SegmentId,
    pub(crate) key: PartitionKey,
    /// Relative to the table's directory.
    pub(crate) path: String,
    pub(crate) n_rows: u64,
    pub(crate) n_bytes: u64,
    pub(crate) footer_bytes: u64,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) last_lsn: Lsn,
    /// xxh3 of the file.
    pub(crate) checksum: u64,
    /// Whether its rows, if they are flows, are folded in `edges_1m` too.
    pub(crate) has_minutes: bool,
    /// What is known of its rows being in ClickHouse.
    pub(crate) shipment: Option<Shipment>,
    pub(crate) columns: Vec<ColumnStats>,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct Commit<'a> {
    pub(crate) now: Timestamp,
    pub(crate) added: &'a [NewSegment],
    pub(crate) removed: &'a [(SegmentId, TableId)],
    pub(crate) marks: &'a [(PartitionKey, Lsn)],
    /// What leaves the lake for ClickHouse.
    pub(crate) moved: &'a [(PartitionKey, MovedRows)],
    /// What came back into the lake.
    pub(crate) brought: &'a [PartitionKey],
    /// The log before this is no longer needed once the commit is durable.
    pub(crate) oldest_needed: Lsn,
    /// Positions up to here were given out.
    pub(crate) last_lsn: Lsn,
}

pub(super) fn apply(transaction: &Transaction<'_>, tables: &Tables, commit: &Commit<'_>) -> rusqlite::Result<()> {
    let snapshot: i64 =
        transaction.query_row("SELECT MAX(snapshot_id) + 1 FROM ducklake_snapshot", [], |row| row.get(0))?;
    let next_file = commit.added.iter().map(|added| added.id.get() + 1).max().unwrap_or(0);
    transaction
        .prepare_cached(
            "INSERT INTO ducklake_snapshot SELECT ?1, ?2, schema_version, next_catalog_id, MAX(next_file_id, ?3)
         FROM ducklake_snapshot WHERE snapshot_id = ?1 - 1",
        )?
        .execute(params![snapshot, time_text(commit.now), next_file])?;
    let mut changes: Vec<String> = Vec::new();
    for (id, table) in commit.removed {
        let Some(ids) = tables.get(table) else { continue };
        remove(transaction, *id, ids.table_id, snapshot)?;
        changes.push(format!("deleted_from_table:{}", ids.table_id));
    }
    for added in commit.added {
        let Some(ids) = tables.get(&added.key.table) else { continue };
        add(transaction, added, ids, snapshot)?;
        changes.push(format!("inserted_into_table:{}", ids.table_id));
    }
    note(transaction, commit.moved)?;
    forget(transaction, commit.brought)?;
    changes.sort_unstable();
    changes.dedup();
    transaction
        .prepare_cached("INSERT INTO ducklake_snapshot_changes(snapshot_id, changes_made) VALUES (?1, ?2)")?
        .execute(params![snapshot, changes.join(",")])?;
    let mut mark = transaction.prepare_cached(
        "INSERT INTO hindcast_mark VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET lsn = MAX(lsn, excluded.lsn)",
    )?;
    for (key, lsn) in commit.marks {
        mark.execute(params![key.table.code(), key.hour.get(), lsn.get()])?;
    }
    // A mark that the remaining log cannot reach says nothing any more.
    transaction.prepare_cached("DELETE FROM hindcast_mark WHERE lsn < ?1")?.execute([commit.oldest_needed.get()])?;
    let mut state = transaction.prepare_cached(
        "INSERT INTO hindcast_state VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = MAX(value, excluded.value)",
    )?;
    state.execute(params!["oldest_needed", commit.oldest_needed.get()])?;
    state.execute(params!["last_lsn", commit.last_lsn.get()])?;
    Ok(())
}

fn remove(transaction: &Transaction<'_>, id: SegmentId, table_id: i64, snapshot: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE ducklake_table_stats SET (record_count, file_size_bytes) =
         (SELECT s.record_count - d.record_count, s.file_size_bytes - d.file_size_bytes
          FROM ducklake_table_stats s, ducklake_data_file d WHERE s.table_id = ?1 AND d.data_file_id = ?2)
         WHERE table_id = ?1",
        )?
        .execute(params![table_id, id.get()])?;
    transaction
        .prepare_cached("UPDATE ducklake_data_file SET end_snapshot = ?1 WHERE data_file_id = ?2")?
        .execute(params![snapshot, id.get()])?;
    transaction.prepare_cached("DELETE FROM hindcast_shipment WHERE data_file_id = ?1")?.execute([id.get()])?;
    Ok(())
}

/// Notes how far a segment's rows have been sent elsewhere.
pub(super) fn ship(transaction: &Transaction<'_>, id: SegmentId, shipment: Shipment) -> rusqlite::Result<()> {
    let (code, Begun { block_rows, again }) = shipment.code();
    transaction
        .prepare_cached("INSERT OR REPLACE INTO hindcast_shipment VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id.get(), code, block_rows, again])
        .map(drop)
}

fn add(transaction: &Transaction<'_>, added: &NewSegment, ids: &TableIds, snapshot: i64) -> rusqlite::Result<()> {
    transaction.prepare_cached(
        "INSERT INTO ducklake_data_file(data_file_id, table_id, begin_snapshot, path, path_is_relative, file_format,
         record_count, file_size_bytes, footer_size, row_id_start)
         SELECT ?1, ?2, ?3, ?4, 1, 'parquet', ?5, ?6, ?7, next_row_id FROM ducklake_table_stats WHERE table_id = ?2",
    )?.execute(params![
        added.id.get(), ids.table_id, snapshot, added.path, added.n_rows, added.n_bytes, added.footer_bytes
    ])?;
    transaction
        .prepare_cached(
            "UPDATE ducklake_table_stats SET record_count = record_count + ?2, next_row_id = next_row_id + ?2,
         file_size_bytes = file_size_bytes + ?3 WHERE table_id = ?1",
        )?
        .execute(params![ids.table_id, added.n_rows, added.n_bytes])?;
    transaction.prepare_cached("INSERT INTO hindcast_segment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(
        params![
            added.id.get(),
            added.key.table.code(),
            added.key.hour.get(),
            added.min_time.as_nanos(),
            added.max_time.as_nanos(),
            added.last_lsn.get(),
            added.checksum.cast_signed(),
            added.has_minutes
        ],
    )?;
    if let Some(shipment) = added.shipment {
        ship(transaction, added.id, shipment)?;
    }
    let mut stats = transaction.prepare_cached(
        "INSERT INTO ducklake_file_column_stats(data_file_id, table_id, column_id, column_size_bytes, value_count,
         null_count, min_value, max_value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for column in &added.columns {
        let Some(column_id) = ids.column_ids.get(column.column) else { continue };
        stats.execute(params![
            added.id.get(),
            ids.table_id,
            column_id,
            column.n_bytes,
            column.n_values,
            column.n_nulls,
            column.min,
            column.max
        ])?;
    }
    widen_time(transaction, added, ids)
}

/// Table-wide bounds are kept for the column that partitions; columns without bounds are not pruned by table.
fn widen_time(transaction: &Transaction<'_>, added: &NewSegment, ids: &TableIds) -> rusqlite::Result<()> {
    let column = time_column(added.key.table);
    let position = added.key.table.columns().iter().position(|definition| definition.name == column);
    let Some(column_id) = position.and_then(|position| ids.column_ids.get(position)) else { return Ok(()) };
    transaction
        .prepare_cached(
            "UPDATE ducklake_table_column_stats SET min_value = MIN(COALESCE(min_value, ?3), ?3),
         max_value = MAX(COALESCE(max_value, ?4), ?4) WHERE table_id = ?1 AND column_id = ?2",
        )?
        .execute(params![ids.table_id, column_id, time_text(added.min_time), time_text(added.max_time)])?;
    Ok(())
}
