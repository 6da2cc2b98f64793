//! Sealed files: what a reader knows of one before it opens it, and its footer once it has.

mod cache;
mod scan;

pub(crate) use cache::MetadataCache;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hindcast_model::{TableId, Timestamp};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::arrow::async_reader::MetadataFetch;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::error::ReadError;
use crate::ids::{Hour, Lsn, SegmentId};

/// A sealed Parquet file inside one partition. It never changes.
///
/// A column that is null in every row is not in the file. Rows are sorted by time into row groups of disjoint ranges
/// and inside a row group by what the table is mostly asked for; see the segment format.
#[derive(Debug)]
pub struct Segment {
    /// Its number.
    pub id: SegmentId,
    /// The table.
    pub table: TableId,
    /// The hour all its rows lie in.
    pub hour: Hour,
    /// Its place in the object store.
    pub path: Path,
    /// How many rows.
    pub n_rows: u64,
    /// Size of the file.
    pub n_bytes: u64,
    /// Size of the footer.
    pub footer_bytes: u64,
    /// Earliest time.
    pub min_time: Timestamp,
    /// Latest time.
    pub max_time: Timestamp,
    /// Every row of the partition with a position up to here is in this or an earlier segment.
    pub last_lsn: Lsn,
    /// Whether its rows, if they are flows, are folded in `edges_1m` too. If not, whoever asks for minutes folds them.
    pub has_minutes: bool,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) cache: Arc<MetadataCache>,
}

impl Segment {
    /// The footer with its page index, read once and kept while the cache has room.
    ///
    /// # Errors
    /// The file is away or damaged.
    pub async fn metadata(&self) -> Result<Arc<ParquetMetaData>, ReadError> {
        if let Some(metadata) = self.cache.get(self.id) {
            return Ok(metadata);
        }
        let fetch = Fetch { store: Arc::clone(&self.store), path: self.path.clone() };
        let prefetch = usize::try_from(self.footer_bytes.saturating_add(8)).ok();
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_prefetch_hint(prefetch)
            .load_and_finish(fetch, self.n_bytes)
            .await
            .map_err(|source| self.read_error(source))?;
        let metadata = Arc::new(metadata);
        self.cache.put(self.id, Arc::clone(&metadata));
        Ok(metadata)
    }

    /// Where the file is read from.
    #[must_use]
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// An error of reading this segment, as the store names it.
    #[must_use]
    pub fn read_error(&self, source: ParquetError) -> ReadError {
        let path = self.path.to_string();
        match source {
            ParquetError::External(error) => match error.downcast::<object_store::Error>() {
                Ok(source) => ReadError::Store { path, source: Arc::new(*source) },
                Err(error) => ReadError::Corrupt { path, source: Arc::new(ParquetError::External(error)) },
            },
            source => ReadError::Corrupt { path, source: Arc::new(source) },
        }
    }

    /// Whether the file is there and has the size the catalogue says.
    ///
    /// # Errors
    /// It is away, or has another size.
    pub async fn check_size(&self) -> Result<(), ReadError> {
        let found = self
            .store
            .head(&self.path)
            .await
            .map_err(|source| ReadError::Store { path: self.path.to_string(), source: Arc::new(source) })?;
        if found.size == self.n_bytes {
            return Ok(());
        }
        let text = format!("it has {} bytes, the catalogue says {}", found.size, self.n_bytes);
        Err(self.read_error(ParquetError::General(text)))
    }
}

/// Reads ranges of a file on behalf of the footer's decoder.
struct Fetch {
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl MetadataFetch for Fetch {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let read = self.store.get_range(&self.path, range).await;
            read.map_err(|source| ParquetError::External(Box::new(source)))
        }
        .boxed()
    }
}
