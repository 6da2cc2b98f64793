//! The catalogue: which segments there are, as a DuckLake 1.0 in SQLite that DuckDB attaches to, with the recorder's own
//! bookkeeping beside it in the same transactions.

mod commit;
mod expire;
mod load;
mod moved;
mod stats;

pub(crate) use commit::{Commit, NewSegment};
pub(crate) use load::{Loaded, SegmentRow, seed_of, segments, type_name, uuid as new_uuid};
pub(crate) use moved::MovedRows;
pub(crate) use stats::{ColumnStats, SegmentStats, time_text};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hindcast_migrations::MigrateError;
use hindcast_model::{Kind, TableId, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use crate::ids::SegmentId;

/// How long a statement waits for another process's lock, a DuckDB reader's for one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Why the catalogue could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Its schema cannot be brought up to date.
    #[error("cannot bring catalogue {path} up to date")]
    Schema {
        /// The catalogue.
        path: PathBuf,
        /// Why.
        #[source]
        source: MigrateError,
    },
    /// A statement failed.
    #[error("cannot {action} catalogue {path}")]
    Sql {
        /// What was tried.
        action: &'static str,
        /// The catalogue.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
}

impl CatalogError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let source = match self {
            Self::Schema { source: MigrateError::FromTheFuture { .. }, .. } => return Kind::Invalid,
            Self::Schema { source: MigrateError::Step { source, .. } | MigrateError::File(source), .. }
            | Self::Sql { source, .. } => source,
        };
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => Kind::Corrupt,
            _ => Kind::Unavailable,
        }
    }
}

/// A table's number in the catalogue and its columns' numbers, in the order of the table's columns.
#[derive(Clone, Debug)]
pub(crate) struct TableIds {
    pub(crate) table_id: i64,
    pub(crate) column_ids: Vec<i64>,
}

/// The numbers of every table.
pub(crate) type Tables = BTreeMap<TableId, TableIds>;

/// How far a segment's rows have been sent to ClickHouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shipment {
    /// Inserts were tried.
    Begun(Begun),
    /// All rows are there.
    Done,
    /// They came back from there and are not sent again.
    Cold,
    /// The server lost what it had taken of them, since that time in nanoseconds they are to be sent again: under other
    /// tokens, or it would take them for known.
    Again(i64),
}

/// How a segment is being sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Begun {
    /// Rows of an insert; not known where an earlier build began.
    pub(crate) block_rows: Option<u64>,
    /// As in [`Shipment::Again`].
    pub(crate) again: Option<i64>,
}

impl Shipment {
    /// As the catalogue writes it.
    pub(crate) const fn code(self) -> (u8, Begun) {
        match self {
            Self::Begun(begun) => (0, begun),
            Self::Done => (1, Begun { block_rows: None, again: None }),
            Self::Cold => (2, Begun { block_rows: None, again: None }),
            Self::Again(since) => (3, Begun { block_rows: None, again: Some(since) }),
        }
    }

    /// What the catalogue says.
    pub(crate) fn from_code(code: u8, begun: Begun) -> Self {
        match code {
            0 => Self::Begun(begun),
            1 => Self::Done,
            3 => Self::Again(begun.again.unwrap_or_default()),
            _ => Self::Cold,
        }
    }
}

/// The open catalogue.
#[derive(Debug)]
pub(crate) struct Catalog {
    path: PathBuf,
    connection: Mutex<Connection>,
    tables: Tables,
    store_name: String,
}

impl Catalog {
    /// Opens or creates the catalogue. `data_path` is what its paths are relative to, ending in a slash.
    pub(crate) fn open(path: &Path, data_path: &str, now: Timestamp) -> Result<(Self, Loaded), CatalogError> {
        let failed = |action| move |source| CatalogError::Sql { action, path: path.to_path_buf(), source };
        let connection = Connection::open(path).map_err(failed("open"))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed("set up"))?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed("set up"))?;
        // A commit must be durable before the log is freed.
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed("set up"))?;
        Self::start(connection, path, data_path, now)
    }

    /// A catalogue of nothing, for a store that only answers.
    pub(crate) fn in_memory(now: Timestamp) -> Result<Self, CatalogError> {
        let path = Path::new(":memory:");
        let connection = Connection::open_in_memory();
        let connection =
            connection.map_err(|source| CatalogError::Sql { action: "open", path: path.to_path_buf(), source })?;
        Self::start(connection, path, "", now).map(|(catalog, _empty)| catalog)
    }

    fn start(
        mut connection: Connection,
        path: &Path,
        data_path: &str,
        now: Timestamp,
    ) -> Result<(Self, Loaded), CatalogError> {
        let failed = |action| move |source| CatalogError::Sql { action, path: path.to_path_buf(), source };
        hindcast_migrations::migrate(&mut connection, hindcast_migrations::CATALOG)
            .map_err(|source| CatalogError::Schema { path: path.to_path_buf(), source })?;
        let transaction = connection.transaction().map_err(failed("prepare"))?;
        let tables = load::declare(&transaction, data_path, now).map_err(failed("declare tables in"))?;
        transaction.commit().map_err(failed("declare tables in"))?;
        let loaded = load::load(&connection).map_err(failed("read"))?;
        let store_name = connection
            .query_row("SELECT schema_uuid FROM ducklake_schema ORDER BY schema_id LIMIT 1", [], |row| row.get(0))
            .map_err(failed("read"))?;
        Ok((Self { path: path.to_path_buf(), connection: Mutex::new(connection), tables, store_name }, loaded))
    }

    /// Opens the catalogue for looking only.
    pub(crate) fn open_read_only(path: &Path) -> Result<Connection, CatalogError> {
        let failed = |source| CatalogError::Sql { action: "open", path: path.to_path_buf(), source };
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        Ok(connection)
    }

    /// The numbers of a table.
    pub(crate) fn table(&self, table: TableId) -> Option<&TableIds> {
        self.tables.get(&table)
    }

    /// Applies a commit: a new catalogue snapshot with files added and removed.
    pub(crate) fn commit(&self, commit: &Commit<'_>) -> Result<(), CatalogError> {
        self.transact("write", |transaction| commit::apply(transaction, &self.tables, commit))
    }

    /// Drops catalogue snapshots that ended before `before`; the files only they named are put up for deletion.
    pub(crate) fn expire(&self, before: Timestamp, now: Timestamp) -> Result<(), CatalogError> {
        self.transact("expire snapshots of", |transaction| expire::expire(transaction, before, now))
    }

    /// Files put up for deletion.
    pub(crate) fn scheduled(&self) -> Result<Vec<(SegmentId, String)>, CatalogError> {
        self.transact("read", expire::scheduled)
    }

    /// Every file the catalogue knows of: of any snapshot, or waiting for deletion.
    pub(crate) fn all_paths(&self) -> Result<Vec<String>, CatalogError> {
        self.transact("read", expire::all_paths)
    }

    /// What is known of the columns of segments.
    pub(crate) fn column_stats(&self, ids: &[SegmentId]) -> Result<BTreeMap<SegmentId, SegmentStats>, CatalogError> {
        self.transact("read", |transaction| load::column_stats(transaction, &self.tables, ids))
    }

    /// The name of the store, which no other has, as long as it lives.
    pub(crate) fn store_name(&self) -> &str {
        &self.store_name
    }

    /// Notes how far rows of segments have been sent elsewhere.
    pub(crate) fn note_shipment(&self, ids: &[SegmentId], shipment: Shipment) -> Result<(), CatalogError> {
        self.transact("write", |transaction| ids.iter().try_for_each(|id| commit::ship(transaction, *id, shipment)))
    }

    /// Remembers whether other stores send rows to ClickHouse.
    pub(crate) fn note_alone(&self, is_alone: bool) -> Result<(), CatalogError> {
        self.transact("write", |transaction| {
            let statement = "INSERT OR REPLACE INTO hindcast_state VALUES ('clickhouse_alone', ?1)";
            transaction.execute(statement, [is_alone]).map(drop)
        })
    }

    /// Forgets files that were deleted.
    pub(crate) fn forget(&self, ids: &[SegmentId]) -> Result<(), CatalogError> {
        self.transact("write", |transaction| expire::forget(transaction, ids))
    }

    fn transact<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        let mut connection = self.connection.lock();
        let run = || {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(|source| CatalogError::Sql { action, path: self.path.clone(), source })
    }
}
