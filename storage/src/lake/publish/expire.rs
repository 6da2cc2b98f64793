//! Snapshots that nobody needs any more, and this recorder's files that only they named.

use hindcast_model::Timestamp;
use tokio_postgres::{Error, Transaction};

use crate::catalog::time_text;
use crate::ids::SegmentId;

/// Snapshots that ended before `before` go, and with them this recorder's files that no other names. The lock is held.
/// Returns these files' segments: only now they may be deleted.
pub(super) async fn expire(
    transaction: &Transaction<'_>,
    recorder: &str,
    before: Timestamp,
) -> Result<Vec<SegmentId>, Error> {
    // A snapshot ends when the next begins: the latest of those that began before `before` may still be read.
    let snapshots = "DELETE FROM ducklake_snapshot WHERE snapshot_id <
                     (SELECT MAX(snapshot_id) FROM ducklake_snapshot WHERE snapshot_time < $1::text::timestamptz)";
    transaction.execute(snapshots, &[&time_text(before)]).await?;
    let oldest = transaction.query_one("SELECT MIN(snapshot_id) FROM ducklake_snapshot", &[]).await?;
    let oldest: i64 = oldest.get(0);
    transaction.execute("DELETE FROM ducklake_snapshot_changes WHERE snapshot_id < $1", &[&oldest]).await?;
    let files = "DELETE FROM ducklake_data_file f USING hindcast_segment s
                 WHERE s.data_file_id = f.data_file_id AND s.recorder = $1 AND f.end_snapshot <= $2
                 RETURNING f.data_file_id, s.segment";
    let gone = transaction.query(files, &[&recorder, &oldest]).await?;
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = gone.iter().map(|row| row.get(0)).collect();
    for table in ["ducklake_file_column_stats", "hindcast_segment"] {
        let statement = format!("DELETE FROM {table} WHERE data_file_id = ANY($1)");
        transaction.execute(&statement, &[&ids]).await?;
    }
    Ok(gone.iter().map(|row| SegmentId::new(row.get::<_, i64>(1).cast_unsigned())).collect())
}
