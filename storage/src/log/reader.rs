//! Reads log files: record by record, in memory bounded by the largest record.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::format::{self, FILE_HEADER_LEN, RECORD_HEADER_LEN, RecordHeader};
use super::fs::LogFs;
use super::writer::LogFileEntry;
use super::{Damage, LogError};
use crate::config::OnCorruption;
use crate::ids::Lsn;

/// A record as it was read; its checksum was right.
#[derive(Debug)]
pub struct Record {
    /// Its position.
    pub lsn: Lsn,
    /// Where its header starts in the file.
    pub offset: u64,
    /// Its payload; see [`super::payload`].
    pub payload: Vec<u8>,
}

/// Reads one file from its start.
pub struct FileReader {
    path: PathBuf,
    input: BufReader<Box<dyn Read + Send>>,
    offset: u64,
    first: Lsn,
    expected: Lsn,
    max_record: usize,
}

impl std::fmt::Debug for FileReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FileReader").field("path", &self.path).field("offset", &self.offset).finish()
    }
}

impl FileReader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// It cannot be read or its header is damaged.
    pub fn open(fs: &dyn LogFs, path: &Path, max_record: usize) -> Result<Self, LogError> {
        let input = fs.open(path).map_err(|source| io_error("open", path, source))?;
        let mut input = BufReader::with_capacity(1 << 16, input);
        let header = read_up_to(&mut input, FILE_HEADER_LEN).map_err(|source| io_error("read", path, source))?;
        let first = format::read_file_header(&header).map_err(|source| damaged(path, 0, source))?;
        let offset = length(header.len());
        Ok(Self { path: path.to_path_buf(), input, offset, first, expected: first, max_record })
    }

    /// The first lsn by the header.
    #[must_use]
    pub const fn first(&self) -> Lsn {
        self.first
    }

    /// Where the next record starts.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged at [`FileReader::offset`]; then reading ends.
    pub fn next_record(&mut self) -> Result<Option<Record>, LogError> {
        let header = read_up_to(&mut self.input, RECORD_HEADER_LEN).map_err(|source| self.io(source))?;
        if header.is_empty() {
            return Ok(None);
        }
        let header = RecordHeader::read(&header).map_err(|source| self.damaged(source))?;
        if header.lsn != self.expected {
            return Err(self.damaged(Damage::Order { found: header.lsn.get(), expected: self.expected.get() }));
        }
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        if len > self.max_record {
            return Err(self.damaged(Damage::Payload("it is longer than a record may be")));
        }
        let payload = read_up_to(&mut self.input, len).map_err(|source| self.io(source))?;
        if payload.len() < len {
            return Err(self.damaged(Damage::Short { missing: length(len - payload.len()) }));
        }
        if crc32c::crc32c(&payload) != header.payload_crc {
            return Err(self.damaged(Damage::Checksum));
        }
        let record = Record { lsn: header.lsn, offset: self.offset, payload };
        self.offset += length(RECORD_HEADER_LEN + len);
        self.expected = self.expected.next();
        Ok(Some(record))
    }

    fn io(&self, source: io::Error) -> LogError {
        io_error("read", &self.path, source)
    }

    fn damaged(&self, source: Damage) -> LogError {
        damaged(&self.path, self.offset, source)
    }
}

/// What recovery found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// The files that remain, oldest first.
    pub(crate) files: Vec<LogFileEntry>,
    /// Position of the next append.
    pub(crate) next: Lsn,
    /// Records handed over.
    pub(crate) n_records: u64,
    /// Bytes of a torn tail that were cut.
    pub(crate) torn_bytes: u64,
    /// Damaged files, to be moved aside once what they held is sealed.
    pub(crate) quarantined: Vec<PathBuf>,
}

/// How to recover.
pub(crate) struct Recovery<'a> {
    pub(crate) fs: &'a dyn LogFs,
    pub(crate) dir: &'a Path,
    pub(crate) on_corruption: OnCorruption,
    pub(crate) max_record: usize,
    /// Everything before is sealed and may be gone.
    pub(crate) oldest_needed: Lsn,
    /// No append gets a position before this one.
    pub(crate) next_at_least: Lsn,
}

/// The log files of a directory, oldest first, with the first lsn by their names.
///
/// # Errors
/// The directory cannot be read.
pub fn list(fs: &dyn LogFs, dir: &Path) -> Result<Vec<(PathBuf, Lsn, u64)>, LogError> {
    let files = fs.list(dir).map_err(|source| io_error("list", dir, source))?;
    let mut found: Vec<_> = files
        .into_iter()
        .filter_map(|(path, n_bytes)| {
            let first = format::parse_file_name(path.file_name()?.to_str()?)?;
            Some((path, first, n_bytes))
        })
        .collect();
    found.sort_by_key(|(_, first, _)| *first);
    Ok(found)
}

impl Recovery<'_> {
    /// Hands every record that counts to `visit`, in order.
    pub(crate) fn run(&self, mut visit: impl FnMut(Lsn, &[u8]) -> Result<(), LogError>) -> Result<Recovered, LogError> {
        let files = list(self.fs, self.dir)?;
        let mut recovered = Recovered { next: self.next_at_least, ..Recovered::default() };
        let mut reached = Lsn::new(self.oldest_needed.get().saturating_sub(1));
        for (position, (path, first, n_bytes)) in files.iter().enumerate() {
            let end = files.get(position + 1).map(|(_, next_first, _)| *next_first);
            if first.get() > reached.next().get() {
                let gap = LogError::Gap {
                    path: path.clone(),
                    first_missing: reached.next().get(),
                    last_missing: first.get().saturating_sub(1),
                };
                self.tolerate(gap)?;
            }
            let read = self.read_file(path, *first, end, *n_bytes, &mut recovered, &mut visit)?;
            if let Some(entry) = read {
                reached = reached.max(entry.last);
                recovered.files.push(entry);
            }
        }
        recovered.next = recovered.next.max(reached.next());
        Ok(recovered)
    }

    fn tolerate(&self, error: LogError) -> Result<(), LogError> {
        match self.on_corruption {
            OnCorruption::Stop => Err(error),
            OnCorruption::Quarantine => {
                tracing::error!(error = hindcast_model::report(&error), "log is damaged, going on without");
                Ok(())
            }
        }
    }

    /// Reads one file; `end` is the first lsn of the file after it. `None` for a file that holds nothing.
    fn read_file(
        &self,
        path: &Path,
        first: Lsn,
        end: Option<Lsn>,
        n_bytes: u64,
        recovered: &mut Recovered,
        visit: &mut impl FnMut(Lsn, &[u8]) -> Result<(), LogError>,
    ) -> Result<Option<LogFileEntry>, LogError> {
        let mut entry =
            LogFileEntry { path: path.to_path_buf(), first, last: Lsn::new(first.get().saturating_sub(1)), n_bytes };
        let mut good_len = 0;
        let mut records = || -> Result<(), LogError> {
            let mut reader = FileReader::open(self.fs, path, self.max_record)?;
            if reader.first() != first {
                let source = Damage::Order { found: reader.first().get(), expected: first.get() };
                return Err(damaged(path, 0, source));
            }
            good_len = reader.offset();
            while end.is_none_or(|end| entry.last.next() < end) {
                let Some(record) = reader.next_record()? else { break };
                good_len = reader.offset();
                entry.last = record.lsn;
                recovered.n_records += 1;
                visit(record.lsn, &record.payload)?;
            }
            Ok(())
        };
        match records() {
            Ok(()) => {}
            Err(error @ LogError::Damaged { .. }) => {
                return self.damaged_file(error, entry, good_len, end, recovered);
            }
            Err(error) => return Err(error),
        }
        Ok(Some(entry))
    }

    /// Decides between a torn tail, which is cut, and damage.
    fn damaged_file(
        &self,
        error: LogError,
        mut entry: LogFileEntry,
        good_len: u64,
        end: Option<Lsn>,
        recovered: &mut Recovered,
    ) -> Result<Option<LogFileEntry>, LogError> {
        let is_version = matches!(&error, LogError::Damaged { source: Damage::Version { .. }, .. });
        let is_torn = end.is_none() && !is_version && !self.calls_synced(&entry.path, good_len, entry.last.next())?;
        if is_torn {
            recovered.torn_bytes += entry.n_bytes.saturating_sub(good_len);
            tracing::warn!(path = %entry.path.display(), at = good_len, "cutting a torn tail off the log");
            if good_len == 0 {
                self.fs.remove(&entry.path).map_err(|source| io_error("remove", &entry.path, source))?;
                return Ok(None);
            }
            self.fs.truncate(&entry.path, good_len).map_err(|source| io_error("cut", &entry.path, source))?;
            entry.n_bytes = good_len;
            return Ok(Some(entry));
        }
        self.tolerate(error)?;
        // Its readable records are in memory; the file is moved aside once they are sealed.
        recovered.quarantined.push(entry.path);
        Ok(None)
    }

    /// Whether a record after `offset` says that the record `damaged` was durable.
    fn calls_synced(&self, path: &Path, offset: u64, damaged: Lsn) -> Result<bool, LogError> {
        let mut input = self.fs.open(path).map_err(|source| io_error("open", path, source))?;
        io::copy(&mut input.by_ref().take(offset), &mut io::sink()).map_err(|source| io_error("read", path, source))?;
        let mut rest = Vec::new();
        input.read_to_end(&mut rest).map_err(|source| io_error("read", path, source))?;
        for start in 0..rest.len().saturating_sub(RECORD_HEADER_LEN - 1) {
            let Some(tail) = rest.get(start..) else { break };
            let Some(bytes) = tail.get(..RECORD_HEADER_LEN) else { break };
            let Ok(header) = RecordHeader::read(bytes) else { continue };
            if header.synced < damaged || header.lsn <= header.synced {
                continue;
            }
            let len = usize::try_from(header.len).unwrap_or(usize::MAX);
            let payload = tail.get(RECORD_HEADER_LEN..RECORD_HEADER_LEN.saturating_add(len));
            if payload.is_some_and(|payload| crc32c::crc32c(payload) == header.payload_crc) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn read_up_to(input: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len.min(1 << 20));
    input.take(length(len)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn length(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> LogError {
    LogError::Io { action, path: path.to_path_buf(), source }
}

const fn damaged_at(path: PathBuf, offset: u64, source: Damage) -> LogError {
    LogError::Damaged { path, offset, source }
}

fn damaged(path: &Path, offset: u64, source: Damage) -> LogError {
    damaged_at(path.to_path_buf(), offset, source)
}
