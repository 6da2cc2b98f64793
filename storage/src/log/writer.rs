//! Appends groups of records and frees files whose records are all sealed.
//!
//! One owner. After a failed write the file is cut back to its last good record; after a failed sync it is never
//! written again, and the next group starts a new file whose first lsn says which records of the old one do not count.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{self, RecordHeader};
use super::fs::{LogFile, LogFs};
use crate::error::AppendError;
use crate::ids::Lsn;

/// A log file on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFileEntry {
    pub(crate) path: PathBuf,
    /// First lsn.
    pub(crate) first: Lsn,
    /// Last lsn that counts; before `first` in a file without records.
    pub(crate) last: Lsn,
    pub(crate) n_bytes: u64,
}

/// A payload with its checksum.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) crc: u32,
}

impl Payload {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { crc: crc32c::crc32c(&bytes), bytes }
    }
}

struct Active {
    file: Box<dyn LogFile>,
    entry: LogFileEntry,
}

pub(crate) struct LogWriter {
    fs: Arc<dyn LogFs>,
    dir: PathBuf,
    max_file_size: u64,
    next: Lsn,
    active: Option<Active>,
    older: Vec<LogFileEntry>,
}

impl LogWriter {
    /// A writer whose first record gets `next`. `older` are the files on disk, oldest first.
    pub(crate) fn new(
        fs: Arc<dyn LogFs>,
        dir: PathBuf,
        max_file_size: u64,
        next: Lsn,
        older: Vec<LogFileEntry>,
    ) -> Self {
        Self { fs, dir, max_file_size, next, active: None, older }
    }

    /// Bytes of all files.
    pub(crate) fn n_bytes(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| active.entry.n_bytes);
        self.older.iter().map(|entry| entry.n_bytes).sum::<u64>() + active
    }

    /// How many files.
    pub(crate) fn n_files(&self) -> usize {
        self.older.len() + usize::from(self.active.is_some())
    }

    /// The next record's position.
    pub(crate) const fn next(&self) -> Lsn {
        self.next
    }

    /// Writes and syncs a group; its first record gets the returned lsn, the others follow. On error none of it is
    /// durable.
    pub(crate) fn append(&mut self, group: &[&Payload]) -> Result<Lsn, AppendError> {
        let first = self.next;
        let mut active = match self.active.take() {
            Some(active) if active.entry.n_bytes < self.max_file_size => active,
            Some(full) => {
                self.older.push(full.entry);
                self.create()?
            }
            None => self.create()?,
        };
        let good_len = active.entry.n_bytes;
        let written = match write_records(active.file.as_mut(), group, first) {
            Ok(written) => written,
            Err(source) => {
                let failure = log_error("write", &active.entry.path, source);
                if active.file.set_len(good_len).is_ok() {
                    self.active = Some(active);
                } else {
                    self.older.push(active.entry);
                }
                return Err(failure);
            }
        };
        if let Err(source) = active.file.sync() {
            let failure = log_error("sync", &active.entry.path, source);
            // What the kernel could not write it may have forgotten: this file is not touched again.
            self.older.push(active.entry);
            return Err(failure);
        }
        let n_records = u64::try_from(group.len()).unwrap_or(u64::MAX);
        self.next = Lsn::new(first.get().saturating_add(n_records));
        active.entry.n_bytes = good_len + written;
        active.entry.last = Lsn::new(self.next.get().saturating_sub(1));
        self.active = Some(active);
        Ok(first)
    }

    /// The file that holds a record.
    pub(crate) fn file_of(&self, lsn: Lsn) -> Option<LogFileEntry> {
        self.entries().filter(|entry| entry.first <= lsn && lsn <= entry.last).last().cloned()
    }

    /// The last position before the first file that begins after `lsn`, or before the end.
    pub(crate) fn last_before_a_file(&self, lsn: Lsn) -> Lsn {
        let begins = self.entries().map(|entry| entry.first).filter(|first| *first > lsn).min();
        Lsn::new(begins.unwrap_or(self.next).get().saturating_sub(1))
    }

    /// Whether [`LogWriter::free`] would remove a file.
    pub(crate) fn can_free(&self, oldest_needed: Lsn) -> bool {
        self.older.first().is_some_and(|entry| entry.last < oldest_needed)
    }

    fn entries(&self) -> impl Iterator<Item = &LogFileEntry> {
        self.older.iter().chain(self.active.as_ref().map(|active| &active.entry))
    }

    /// Ends the active file, so that it can be freed once its records are sealed.
    pub(crate) fn rotate(&mut self) {
        if let Some(active) = self.active.take_if(|active| active.entry.last >= active.entry.first) {
            self.older.push(active.entry);
        }
    }

    /// Removes the files that end before `oldest_needed`. A file that cannot be removed is tried again next time.
    pub(crate) fn free(&mut self, oldest_needed: Lsn) -> io::Result<usize> {
        let mut n_freed = 0;
        while let Some(entry) = self.older.first() {
            // The file's end is where the next one starts; an older file never holds what counts from there on.
            if entry.last >= oldest_needed {
                break;
            }
            self.fs.remove(&entry.path)?;
            self.older.remove(0);
            n_freed += 1;
        }
        if n_freed > 0 {
            self.fs.sync_dir(&self.dir)?;
        }
        Ok(n_freed)
    }

    fn create(&mut self) -> Result<Active, AppendError> {
        let first = self.next;
        let path = self.dir.join(format::file_name(first));
        // A file that never got a durable record has the name this one needs.
        while let Some(empty) = self.older.pop_if(|entry| entry.path == path) {
            if let Err(source) = self.fs.remove(&path)
                && source.kind() != io::ErrorKind::NotFound
            {
                self.older.push(empty);
                return Err(log_error("remove", &path, source));
            }
        }
        let mut file = self.fs.create(&path).map_err(|source| log_error("create", &path, source))?;
        let header = format::file_header(first);
        let n_bytes = u64::try_from(header.len()).unwrap_or_default();
        let last = Lsn::new(first.get().saturating_sub(1));
        let entry = LogFileEntry { path: path.clone(), first, last, n_bytes };
        let started = file.append(&header).and_then(|()| file.sync()).and_then(|()| self.fs.sync_dir(&self.dir));
        match started {
            Ok(()) => Ok(Active { file, entry }),
            Err(source) => {
                drop(file);
                // If it cannot be removed now it is the next attempt's turn.
                self.older.push(entry);
                Err(log_error("start", &path, source))
            }
        }
    }
}

fn write_records(file: &mut dyn LogFile, group: &[&Payload], first: Lsn) -> io::Result<u64> {
    const COALESCE: usize = 1 << 16;
    let synced = Lsn::new(first.get().saturating_sub(1));
    let mut lsn = first;
    let mut written = 0;
    let mut buffer = Vec::new();
    for payload in group {
        let len = u32::try_from(payload.bytes.len()).map_err(|_too_long| io::Error::other("a record is too long"))?;
        let header = RecordHeader { len, payload_crc: payload.crc, lsn, synced }.to_bytes();
        buffer.extend_from_slice(&header);
        written += header.len() + payload.bytes.len();
        if payload.bytes.len() >= COALESCE {
            file.append(&buffer)?;
            buffer.clear();
            file.append(&payload.bytes)?;
        } else {
            buffer.extend_from_slice(&payload.bytes);
            if buffer.len() >= COALESCE {
                file.append(&buffer)?;
                buffer.clear();
            }
        }
        lsn = lsn.next();
    }
    if !buffer.is_empty() {
        file.append(&buffer)?;
    }
    Ok(u64::try_from(written).unwrap_or(u64::MAX))
}

fn log_error(action: &'static str, path: &Path, source: io::Error) -> AppendError {
    AppendError::Log { action, path: path.to_path_buf(), source: Arc::new(source) }
}
