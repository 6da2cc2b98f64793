//! Looking into a data directory without opening the store: nothing is locked, changed or cut. Also on a directory that
//! a running store uses, and on one that does not open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hindcast_model::{TableId, Timestamp, report};
use object_store::ObjectStoreExt as _;
use rusqlite::Connection;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::{Catalog, CatalogError, SegmentRow, segments};
use crate::config::ValidConfig;
use crate::error::OpenError;
use crate::ids::{Hour, Lsn, SegmentId};
use crate::log::fs::RealFs;
use crate::log::reader::FileReader;
use crate::log::{LogError, payload, reader};
use crate::tier::Tier;

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFileReport {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub n_bytes: u64,
    /// First record by its name.
    pub first: Lsn,
    /// Its readable records.
    pub records: Vec<RecordReport>,
    /// Why reading ended before the file did.
    pub problem: Option<String>,
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordReport {
    /// Its position.
    pub lsn: Lsn,
    /// Where it starts in the file.
    pub offset: u64,
    /// Size of its payload.
    pub n_bytes: usize,
    /// Rows by table; empty where the payload cannot be decoded.
    pub rows: BTreeMap<TableId, usize>,
}

/// The files of the log with their records; every checksum is verified.
///
/// # Errors
/// The directory cannot be read.
pub fn log(config: &ValidConfig) -> Result<Vec<LogFileReport>, LogError> {
    let max_record = usize::try_from(config.log.max_record_size.as_u64()).unwrap_or(usize::MAX);
    let files = reader::list(&RealFs, &config.data_dir.join("log"))?;
    Ok(files
        .into_iter()
        .map(|(path, first, n_bytes)| {
            let mut records = Vec::new();
            let problem = read_records(&path, max_record, &mut records).err().map(|error| report(&error));
            LogFileReport { path, n_bytes, first, records, problem }
        })
        .collect())
}

fn read_records(path: &Path, max_record: usize, records: &mut Vec<RecordReport>) -> Result<(), LogError> {
    let mut file = FileReader::open(&RealFs, path, max_record)?;
    while let Some(record) = file.next_record()? {
        let mut rows = BTreeMap::new();
        let decoded = payload::decode(&record.payload);
        for batch in decoded.iter().flatten() {
            *rows.entry(batch.table).or_default() += batch.n_rows();
        }
        records.push(RecordReport { lsn: record.lsn, offset: record.offset, n_bytes: record.payload.len(), rows });
        if let Err(source) = decoded {
            return Err(LogError::Damaged { path: path.to_path_buf(), offset: record.offset, source });
        }
    }
    Ok(())
}

/// A segment the catalogue names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its number.
    pub id: SegmentId,
    /// The table.
    pub table: TableId,
    /// The hour all its rows lie in.
    pub hour: Hour,
    /// Its place in the object store.
    pub path: String,
    /// How many rows.
    pub n_rows: u64,
    /// Size of the file.
    pub n_bytes: u64,
    /// Earliest time.
    pub min_time: Timestamp,
    /// Latest time.
    pub max_time: Timestamp,
    /// What is wrong with the file, if it was looked at.
    pub problem: Option<String>,
}

/// The segments of the latest catalogue snapshot. With `verify` each file is read and its checksum compared.
///
/// # Errors
/// The catalogue cannot be read or the object store not be reached.
pub async fn list_segments(config: &ValidConfig, verify: bool) -> Result<Vec<SegmentReport>, OpenError> {
    let tier = Tier::open(config, Arc::new(RealFs))?;
    let rows = read_catalog(config, segments)?;
    let mut reports = Vec::with_capacity(rows.len());
    for row in rows {
        let problem = if verify { check(&tier, &row).await } else { None };
        reports.push(SegmentReport {
            id: row.id,
            table: row.key.table,
            hour: row.key.hour,
            path: row.path,
            n_rows: row.n_rows,
            n_bytes: row.n_bytes,
            min_time: row.min_time,
            max_time: row.max_time,
            problem,
        });
    }
    Ok(reports)
}

async fn check(tier: &Tier, row: &SegmentRow) -> Option<String> {
    let path = object_store::path::Path::from(row.path.as_str());
    let read = async { tier.store.get(&path).await?.bytes().await };
    match read.await {
        Err(error) => Some(report(&error)),
        Ok(bytes) if u64::try_from(bytes.len()) != Ok(row.n_bytes) => {
            Some(format!("it has {} bytes, the catalogue says {}", bytes.len(), row.n_bytes))
        }
        Ok(bytes) if xxh3_64(&bytes) != row.checksum => Some("its checksum fails".to_owned()),
        Ok(_) => None,
    }
}

/// A snapshot of the catalogue: the state after one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogSnapshot {
    /// Its number.
    pub id: u64,
    /// When it was made, as the catalogue writes times.
    pub time: String,
    /// What it changed, in DuckLake's words.
    pub changes: String,
}

/// The snapshots of the catalogue, oldest first.
///
/// # Errors
/// The catalogue cannot be read.
pub fn snapshots(config: &ValidConfig) -> Result<Vec<CatalogSnapshot>, CatalogError> {
    read_catalog(config, |connection| {
        let mut statement = connection.prepare(
            "SELECT snapshot_id, snapshot_time, COALESCE(changes_made, '') FROM ducklake_snapshot
             LEFT JOIN ducklake_snapshot_changes USING (snapshot_id) ORDER BY snapshot_id",
        )?;
        let rows = statement
            .query_map([], |row| Ok(CatalogSnapshot { id: row.get(0)?, time: row.get(1)?, changes: row.get(2)? }))?;
        rows.collect()
    })
}

fn read_catalog<T>(
    config: &ValidConfig,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, CatalogError> {
    let path = config.data_dir.join("catalog.sqlite");
    let connection = Catalog::open_read_only(&path)?;
    read(&connection).map_err(|source| CatalogError::Sql { action: "read", path, source })
}

#[cfg(test)]
mod tests;
