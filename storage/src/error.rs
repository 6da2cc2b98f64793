//! What can go wrong, one enum per operation.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hindcast_model::{Kind, SchemaError, TableId};

use crate::catalog::CatalogError;
use crate::clickhouse::ClickHouseError;
use crate::ids::PartitionKey;
use crate::lake::LakeError;
use crate::log::LogError;
use crate::seal::write::WriteError;
use crate::tier::TierError;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error("cannot {action} {path}")]
    Directory {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another process has the data directory.
    #[error("data directory {path} is in use by {}", owner(*pid))]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, where it said so.
        pid: Option<u32>,
    },
    /// The log cannot be read.
    #[error("cannot recover the log in {path}")]
    Log {
        /// The log directory.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: LogError,
    },
    /// The catalogue cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The segments cannot be reached.
    #[error(transparent)]
    Tier(#[from] TierError),
    /// The shared catalogue is none that this build can use.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A recorder of a shared lake has no name.
    #[error("storage.lake.recorder is empty: every recorder of a lake has a name of its own")]
    Nameless,
    /// There is nothing to read: a store that only answers has no rows of its own.
    #[error("a store that only answers needs storage.lake.catalog or storage.clickhouse.url, and not both")]
    NothingToRead,
    /// What the log held could not be sealed although it has to be.
    #[error("cannot seal what the log holds")]
    Seal(#[source] SealError),
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl OpenError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Directory { .. } => Kind::Unavailable,
            Self::Locked { .. } => Kind::Busy,
            Self::Log { source, .. } => source.kind(),
            Self::Catalog(source) => source.kind(),
            Self::Tier(TierError::Claimed { .. }) => Kind::Invalid,
            Self::Tier(_) => Kind::Unavailable,
            Self::Lake(source) => source.kind(),
            Self::Nameless | Self::NothingToRead => Kind::Invalid,
            Self::Seal(source) => source.kind(),
        }
    }
}

/// Why an append was not recorded. Nothing of it is visible, unless said otherwise.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// A batch does not fit its table.
    #[error("a batch of table {table} is refused")]
    Schema {
        /// The table.
        table: TableId,
        /// What is wrong.
        #[source]
        source: SchemaError,
    },
    /// Roll-ups follow from flows and cannot be appended.
    #[error("table {0} is derived from flows and takes no appends")]
    Derived(TableId),
    /// The append is larger than a record may be.
    #[error("an append of {n_bytes} bytes is larger than log.max_record_size, {limit} bytes")]
    TooLarge {
        /// Its size.
        n_bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A write to the log failed; the log was put back to where it was.
    #[error("cannot {action} log file {path}")]
    Log {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
    /// The memory stayed full.
    #[error("no room in memory after {waited:?}: {cause}")]
    MemoryFull {
        /// How long the append waited.
        waited: std::time::Duration,
        /// What keeps the memory full.
        cause: String,
    },
    /// The store is closed or closing. If it closed while the append was under way the append may have been recorded.
    #[error("the store is closed")]
    Closed,
    /// The store only answers.
    #[error("this server only answers: send rows to a recorder")]
    ReadOnly,
}

impl AppendError {
    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Schema { .. } | Self::Derived(_) | Self::TooLarge { .. } => Kind::Invalid,
            // There is no recorder here; elsewhere there may be.
            Self::ReadOnly => Kind::NotFound,
            Self::MemoryFull { .. } => Kind::Busy,
            Self::Log { .. } | Self::Closed => Kind::Unavailable,
        }
    }
}

/// Why a source could not be given back.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// What was read of it is not sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What was read of it is not published.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

/// Why a segment could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The object store failed.
    #[error("cannot read segment {path}")]
    Store {
        /// The segment.
        path: String,
        /// Why.
        #[source]
        source: Arc<object_store::Error>,
    },
    /// ClickHouse failed.
    #[error("cannot read {table} in ClickHouse")]
    Remote {
        /// The table.
        table: TableId,
        /// Why.
        #[source]
        source: Arc<ClickHouseError>,
    },
    /// ClickHouse did not answer when it was last asked.
    #[error("rows of {table} are in ClickHouse, which does not answer")]
    Away {
        /// The table.
        table: TableId,
    },
    /// ClickHouse answered something that is not understood.
    #[error("cannot understand what ClickHouse says of {table}")]
    RemoteForm {
        /// The table.
        table: TableId,
        /// How it shows.
        #[source]
        source: Arc<arrow::error::ArrowError>,
    },
    /// The file is not what was written.
    #[error("segment {path} is damaged")]
    Corrupt {
        /// The segment.
        path: String,
        /// How it shows.
        #[source]
        source: Arc<parquet::errors::ParquetError>,
    },
}

impl ReadError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Store { source, .. } => match source.as_ref() {
                object_store::Error::NotFound { .. } => Kind::Corrupt,
                _ => Kind::Unavailable,
            },
            Self::Corrupt { .. } => Kind::Corrupt,
            Self::Remote { source, .. } => source.kind(),
            Self::RemoteForm { .. } => Kind::Internal,
            Self::Away { .. } => Kind::Unavailable,
        }
    }
}

/// Why rows did not come back from ClickHouse; the hours that came before stay.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// They could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They could not be written.
    #[error(transparent)]
    Write(#[from] SealError),
    /// They could not be deleted there.
    #[error(transparent)]
    Delete(#[from] ClickHouseError),
    /// Some are not there any more. What is there stays there.
    #[error("ClickHouse has {found} rows of {key}, of which {left} left the lake")]
    Fewer {
        /// Table and hour.
        key: PartitionKey,
        /// Rows that are there.
        found: u64,
        /// Rows that went there.
        left: u64,
    },
    /// The server does not answer.
    #[error("ClickHouse does not answer")]
    Away,
}

/// Why memory could not be sealed; its rows stay in memory and in the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SealError {
    /// The rows could not be encoded.
    #[error(transparent)]
    Encode(#[from] Arc<WriteError>),
    /// The file could not be stored.
    #[error(transparent)]
    Tier(#[from] Arc<TierError>),
    /// The catalogue could not be written.
    #[error(transparent)]
    Catalog(#[from] Arc<CatalogError>),
    /// A segment that is to be compacted could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<WriteError> for SealError {
    fn from(error: WriteError) -> Self {
        Self::Encode(Arc::new(error))
    }
}

impl From<TierError> for SealError {
    fn from(error: TierError) -> Self {
        Self::Tier(Arc::new(error))
    }
}

impl From<CatalogError> for SealError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(Arc::new(error))
    }
}

impl SealError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Encode(_) => Kind::Internal,
            Self::Tier(_) => Kind::Unavailable,
            Self::Catalog(source) => source.kind(),
            Self::Read(source) => source.kind(),
        }
    }
}
