//! Old catalogue snapshots, and the files only they named.

use hindcast_model::Timestamp;
use rusqlite::{Transaction, params};

use super::time_text;
use crate::ids::SegmentId;

/// Snapshots that ended before `before` go; files that no remaining snapshot names are scheduled.
pub(super) fn expire(transaction: &Transaction<'_>, before: Timestamp, now: Timestamp) -> rusqlite::Result<()> {
    // A snapshot ends when the next begins: the latest of those that began before `before` may still be read.
    transaction.execute(
        "DELETE FROM ducklake_snapshot WHERE snapshot_id <
         (SELECT MAX(snapshot_id) FROM ducklake_snapshot WHERE snapshot_time < ?1)",
        [time_text(before)],
    )?;
    transaction.execute(
        "DELETE FROM ducklake_snapshot_changes
         WHERE snapshot_id NOT IN (SELECT snapshot_id FROM ducklake_snapshot)",
        [],
    )?;
    let oldest: i64 = transaction.query_row("SELECT MIN(snapshot_id) FROM ducklake_snapshot", [], |row| row.get(0))?;
    transaction.execute(
        "INSERT INTO ducklake_files_scheduled_for_deletion
         SELECT d.data_file_id, t.path || d.path, 1, ?2 FROM ducklake_data_file d
         JOIN ducklake_table t ON t.table_id = d.table_id AND t.end_snapshot IS NULL
         WHERE d.end_snapshot <= ?1",
        params![oldest, time_text(now)],
    )?;
    let gone = "(SELECT data_file_id FROM ducklake_data_file WHERE end_snapshot <= ?1)";
    for table in ["ducklake_file_column_stats", "hindcast_segment"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE data_file_id IN {gone}"), [oldest])?;
    }
    transaction.execute("DELETE FROM ducklake_data_file WHERE end_snapshot <= ?1", [oldest])?;
    Ok(())
}

/// Files that may be deleted, by their paths relative to the data path.
pub(super) fn scheduled(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<(SegmentId, String)>> {
    let mut statement = transaction.prepare("SELECT data_file_id, path FROM ducklake_files_scheduled_for_deletion")?;
    let rows = statement.query_map([], |row| Ok((SegmentId::new(row.get(0)?), row.get(1)?)))?;
    rows.collect()
}

/// Every file of any snapshot, or waiting for deletion.
pub(super) fn all_paths(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<String>> {
    let mut statement = transaction.prepare(
        "SELECT t.path || d.path FROM ducklake_data_file d
         JOIN ducklake_table t ON t.table_id = d.table_id AND t.end_snapshot IS NULL
         UNION ALL SELECT path FROM ducklake_files_scheduled_for_deletion",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Files that were deleted.
pub(super) fn forget(transaction: &Transaction<'_>, ids: &[SegmentId]) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare("DELETE FROM ducklake_files_scheduled_for_deletion WHERE data_file_id = ?1")?;
    for id in ids {
        statement.execute([id.get()])?;
    }
    Ok(())
}
