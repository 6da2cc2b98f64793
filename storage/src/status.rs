//! What the store says of itself.

use hindcast_model::{TableId, Timestamp};

use crate::LakeStatus;
use crate::ids::Lsn;
use crate::snapshot::TableStats;

/// The state of a store.
#[derive(Clone, Debug)]
pub struct StoreStatus {
    /// Last append.
    pub lsn: Lsn,
    /// Per table, in the order of [`TableId::ALL`].
    pub tables: Vec<TableStatus>,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Files of the log.
    pub log_files: usize,
    /// Memory of unsealed rows.
    pub memory_bytes: usize,
    /// Oldest append with an unsealed row.
    pub oldest_unsealed_lsn: Lsn,
    /// When the oldest unsealed row arrived.
    pub oldest_unsealed_at: Option<Timestamp>,
    /// Why the last write of the log failed; `None` once one has succeeded.
    pub last_log_error: Option<String>,
    /// Why the last seal, compaction or retention failed; `None` once one has succeeded.
    pub last_seal_error: Option<String>,
    /// Why rows are not in ClickHouse yet; `None` once some were taken.
    pub last_clickhouse_error: Option<String>,
    /// Bytes of segments whose rows are not in ClickHouse yet; `None` where none is configured.
    pub clickhouse_backlog_bytes: Option<u64>,
    /// Shards of ClickHouse that do not answer, whose rows are missing in answers.
    pub clickhouse_shards_away: u64,
    /// Hours of which ClickHouse lacks rows that it had taken, where sending them again is no way.
    pub clickhouse_lacking: Vec<String>,
    /// Segments that are kept from ClickHouse until somebody acts, and why.
    pub clickhouse_set_aside: Vec<String>,
    /// How the lake fares that is shared with others; `None` where none is.
    pub lake: Option<LakeStatus>,
    /// Files the catalogue names and the object store does not have.
    pub missing_segments: Vec<String>,
    /// Bytes that were cut off the log when the store was opened: an append that was never acknowledged.
    pub torn_bytes: u64,
    /// Damaged log files that were moved aside when the store was opened.
    pub quarantined: Vec<String>,
}

/// The state of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStatus {
    /// The table.
    pub table: TableId,
    /// Rows and bytes.
    pub stats: TableStats,
    /// Time of the first and of the last row.
    pub held: Option<(Timestamp, Timestamp)>,
}
