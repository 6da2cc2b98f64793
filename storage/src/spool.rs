//! A bounded queue on disk: records wait here until somebody else says that they are durable there.
//!
//! The bytes are those of the log (`log::format`): checksummed records in files, a torn tail cut off. A record is
//! durable when [`Spool::append`] returns, and handed out only after. What was acknowledged is remembered in a file
//! beside them, and a file whose records are all acknowledged is removed. What is handed out twice because a crash came
//! between is for the receiver to tell.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hindcast_model::Kind;

use crate::config::OnCorruption;
use crate::error::{AppendError, OpenError};
use crate::ids::Lsn;
use crate::log::fs::{LogFile, LogFs, RealFs};
use crate::log::reader::{self, FileReader, Recovered, Recovery};
use crate::log::writer::{LogFileEntry, LogWriter, Payload};
use crate::log::{Damage, LogError, format};
use crate::store::lock::DirLock;

/// The file that says what was acknowledged, and the name it is written under first.
const MARKER: &str = "acknowledged";
const MARKER_NEW: &str = "acknowledged.new";
const MARKER_MAGIC: [u8; 8] = *b"HCASTACK";
const MARKER_LEN: usize = 20;
/// Entries of a marker, of which the last holds, before it is written anew.
const MARKER_ENTRIES: usize = 4096;
/// Into how many files a full spool is divided: the first of them is freed as a whole.
const FILES: u64 = 16;
const MIN_FILE: u64 = 16 << 10;
const MAX_FILE: u64 = 64 << 20;
/// No record is longer, whatever its header says.
const MAX_RECORD: u64 = 256 << 20;

/// Why a spool did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// There is no room. Nothing was written.
    #[error("the spool is full: {n_bytes} bytes more do not fit into {limit}")]
    Full {
        /// What the records take.
        n_bytes: u64,
        /// What the spool may take.
        limit: u64,
    },
    /// The disk did not take it. Nothing of it counts.
    #[error(transparent)]
    Append(AppendError),
    /// What waits cannot be read now.
    #[error(transparent)]
    Read(#[from] LogError),
}

impl SpoolError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Full { .. } => Kind::Busy,
            Self::Append(error) => error.kind(),
            Self::Read(error) => error.kind(),
        }
    }
}

/// What stands next in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spooled {
    /// A record.
    Record {
        /// Its position: one more than that of the record before.
        position: Lsn,
        /// What was appended.
        payload: Vec<u8>,
    },
    /// Records that were there and cannot be read any more.
    Damaged {
        /// Position of the first.
        first: Lsn,
        /// Position of the last.
        last: Lsn,
    },
}

impl Spooled {
    /// The last position it stands for.
    #[must_use]
    pub const fn last(&self) -> Lsn {
        match self {
            Self::Record { position, .. } => *position,
            Self::Damaged { last, .. } => *last,
        }
    }
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Records that are not acknowledged.
    pub waiting: u64,
    /// Bytes of all files.
    pub n_bytes: u64,
    /// Bytes that were cut off when it was opened: a record that was being written when the machine stopped.
    pub torn_bytes: u64,
}

/// A spool that is open. One process has it.
pub struct Spool {
    fs: Arc<dyn LogFs>,
    dir: PathBuf,
    limit: u64,
    writer: LogWriter,
    acknowledged: Lsn,
    /// The last record that was handed out.
    handed_out: Lsn,
    /// Where reading goes on: the file, and the record that stands next in it.
    cursor: Option<(FileReader, PathBuf, Lsn)>,
    /// Where it is noted what was acknowledged, and how often it was.
    marker: Option<(Box<dyn LogFile>, usize)>,
    torn_bytes: u64,
    _lock: DirLock,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Spool").field("dir", &self.dir).field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens a spool that takes up to `limit` bytes; made where there is none.
    ///
    /// # Errors
    /// The directory cannot be used, another process has it, or a later build wrote it.
    pub fn open(dir: &Path, limit: u64) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealFs), dir, limit)
    }

    pub(crate) fn open_on(fs: Arc<dyn LogFs>, dir: &Path, limit: u64) -> Result<Self, OpenError> {
        let failed = |action| move |source| OpenError::Directory { action, path: dir.to_path_buf(), source };
        let unreadable = |source| OpenError::Log { path: dir.to_path_buf(), source };
        fs.create_dir_all(dir).map_err(failed("create"))?;
        let lock = DirLock::take(dir)?;
        let files = reader::list(fs.as_ref(), dir).map_err(unreadable)?;
        let marker = read_marker(fs.as_ref(), &dir.join(MARKER));
        // A marker that a power failure took: nothing that is here was acknowledged for sure.
        let before_first = files.first().map_or(Lsn::ZERO, |(_, first, _)| Lsn::new(first.get().saturating_sub(1)));
        let acknowledged = marker.unwrap_or(before_first);
        let mut last_read = Lsn::ZERO;
        let recovery = Recovery {
            fs: fs.as_ref(),
            dir,
            on_corruption: OnCorruption::Quarantine,
            max_record: max_record(limit),
            oldest_needed: acknowledged.next(),
            next_at_least: acknowledged.next(),
        };
        let recovered = recovery.run(|lsn, _payload| {
            last_read = lsn;
            Ok(())
        });
        let recovered = recovered.map_err(unreadable)?;
        let torn_bytes = recovered.torn_bytes;
        let (next, entries) = with_damaged(fs.as_ref(), recovered, &files, last_read).map_err(unreadable)?;
        let max_file = (limit / FILES).clamp(MIN_FILE, MAX_FILE);
        let mut writer = LogWriter::new(Arc::clone(&fs), dir.to_path_buf(), max_file, next, entries);
        if let Err(error) = writer.free(acknowledged.next()) {
            tracing::warn!(error = hindcast_model::report(&error), "files of the spool cannot be removed");
        }
        Ok(Self {
            fs,
            dir: dir.to_path_buf(),
            limit,
            writer,
            acknowledged,
            handed_out: acknowledged,
            cursor: None,
            marker: None,
            torn_bytes,
            _lock: lock,
        })
    }

    /// Writes records and makes them durable; the position of the first. All of them or, on an error, none.
    ///
    /// # Errors
    /// There is no room, or the disk does not take them.
    pub fn append(&mut self, payloads: Vec<Vec<u8>>) -> Result<Lsn, SpoolError> {
        let n_bytes: u64 = payloads.iter().map(|payload| length(payload.len() + format::RECORD_HEADER_LEN)).sum();
        let n_bytes = n_bytes + length(format::FILE_HEADER_LEN);
        if self.writer.n_bytes() + n_bytes > self.limit && self.waiting() == 0 {
            self.free_all();
        }
        if self.writer.n_bytes() + n_bytes > self.limit {
            return Err(SpoolError::Full { n_bytes, limit: self.limit });
        }
        let payloads: Vec<Payload> = payloads.into_iter().map(Payload::new).collect();
        let group: Vec<&Payload> = payloads.iter().collect();
        self.writer.append(&group).map_err(SpoolError::Append)
    }

    /// The record after the last one handed out; `None` when there is none yet.
    ///
    /// # Errors
    /// It cannot be read now; the next call tries again.
    pub fn take(&mut self) -> Result<Option<Spooled>, SpoolError> {
        let wanted = self.handed_out.next();
        if wanted >= self.writer.next() {
            return Ok(None);
        }
        let Some(entry) = self.writer.file_of(wanted) else {
            let last = self.writer.last_before_a_file(wanted);
            return Ok(Some(self.damaged(wanted, last)));
        };
        match self.read(&entry, wanted) {
            Ok(Some(payload)) => {
                self.handed_out = wanted;
                Ok(Some(Spooled::Record { position: wanted, payload }))
            }
            Ok(None) => Ok(Some(self.damaged(wanted, entry.last))),
            Err(error @ LogError::Damaged { .. }) => {
                tracing::error!(error = hindcast_model::report(&error), "records of the spool are damaged");
                Ok(Some(self.damaged(wanted, entry.last)))
            }
            Err(error) => {
                self.cursor = None;
                Err(error.into())
            }
        }
    }

    /// Everything up to `position` is durable elsewhere. What is lost of this at a crash is handed out again.
    ///
    /// # Errors
    /// It cannot be noted, or files cannot be removed; the next call tries again.
    pub fn acknowledge(&mut self, position: Lsn) -> io::Result<()> {
        self.acknowledged = self.acknowledged.max(position.min(self.handed_out));
        let can_free = self.writer.can_free(self.acknowledged.next());
        // Before a file goes it must be sure that its records are not missed: their positions are never given again.
        self.write_marker(can_free)?;
        if can_free {
            self.writer.free(self.acknowledged.next())?;
        }
        Ok(())
    }

    /// How much waits.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        SpoolStatus { waiting: self.waiting(), n_bytes: self.writer.n_bytes(), torn_bytes: self.torn_bytes }
    }

    fn waiting(&self) -> u64 {
        self.writer.next().get().saturating_sub(self.acknowledged.next().get())
    }

    fn damaged(&mut self, first: Lsn, last: Lsn) -> Spooled {
        self.cursor = None;
        self.handed_out = last;
        Spooled::Damaged { first, last }
    }

    /// The payload of a record of that file; `None` where the file ends before it.
    fn read(&mut self, entry: &LogFileEntry, wanted: Lsn) -> Result<Option<Vec<u8>>, LogError> {
        let (mut reader, mut stands) = match self.cursor.take() {
            Some((reader, path, stands)) if path == entry.path && stands <= wanted => (reader, stands),
            _ => {
                let reader = FileReader::open(self.fs.as_ref(), &entry.path, max_record(self.limit))?;
                let first = reader.first();
                (reader, first)
            }
        };
        loop {
            let Some(record) = reader.next_record()? else { return Ok(None) };
            let is_wanted = stands == wanted;
            stands = stands.next();
            if is_wanted {
                self.cursor = Some((reader, entry.path.clone(), stands));
                return Ok(Some(record.payload));
            }
        }
    }

    /// Nothing waits: all files can go.
    fn free_all(&mut self) {
        self.writer.rotate();
        let freed = self.write_marker(true).and_then(|()| self.writer.free(self.acknowledged.next()));
        if let Err(error) = freed {
            tracing::warn!(error = hindcast_model::report(&error), "files of the spool cannot be removed");
        }
    }

    /// Notes what is acknowledged: behind what was noted before, so that no file is opened for it each time. Sensors see
    /// files being opened, their own as well.
    fn write_marker(&mut self, is_durable: bool) -> io::Result<()> {
        let entry = marker_entry(self.acknowledged);
        let (mut file, n_entries) = match self.marker.take() {
            Some((mut file, n_entries)) if n_entries < MARKER_ENTRIES => {
                file.append(&entry)?;
                (file, n_entries + 1)
            }
            _ => (self.new_marker(&entry)?, 1),
        };
        if is_durable {
            file.sync()?;
            self.fs.sync_dir(&self.dir)?;
        }
        self.marker = Some((file, n_entries));
        Ok(())
    }

    fn new_marker(&self, entry: &[u8]) -> io::Result<Box<dyn LogFile>> {
        let (path, new) = (self.dir.join(MARKER), self.dir.join(MARKER_NEW));
        match self.fs.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.fs.create(&new)?;
        file.append(entry)?;
        // The old one is not given up for a name without bytes.
        file.sync()?;
        self.fs.rename(&new, &path)?;
        Ok(file)
    }
}

fn marker_entry(acknowledged: Lsn) -> Vec<u8> {
    let mut bytes = MARKER_MAGIC.to_vec();
    bytes.extend_from_slice(&acknowledged.get().to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// What was acknowledged, if it can be read: by the last whole entry.
fn read_marker(fs: &dyn LogFs, path: &Path) -> Option<Lsn> {
    let most = MARKER_LEN * (MARKER_ENTRIES + 1);
    let mut bytes = Vec::new();
    fs.open(path).ok()?.take(length(most)).read_to_end(&mut bytes).ok()?;
    bytes.chunks_exact(MARKER_LEN).map_while(read_entry).last()
}

fn read_entry(bytes: &[u8]) -> Option<Lsn> {
    let (told, crc) = bytes.split_at_checked(MARKER_LEN - 4)?;
    let (magic, number) = told.split_at_checked(MARKER_MAGIC.len())?;
    let is_whole = magic == MARKER_MAGIC && crc == crc32c::crc32c(told).to_le_bytes();
    is_whole.then(|| number.first_chunk().map(|number| Lsn::new(u64::from_le_bytes(*number))))?
}

/// The files with the damaged ones among them, so that reading meets the damage in its place; the next position.
fn with_damaged(
    fs: &dyn LogFs,
    recovered: Recovered,
    files: &[(PathBuf, Lsn, u64)],
    last_read: Lsn,
) -> Result<(Lsn, Vec<LogFileEntry>), LogError> {
    let (mut next, mut entries) = (recovered.next, recovered.files);
    for path in recovered.quarantined {
        if let Err(error @ LogError::Damaged { source: Damage::Version { .. }, .. }) = FileReader::open(fs, &path, 0) {
            return Err(error);
        }
        let Some(position) = files.iter().position(|(known, _, _)| *known == path) else { continue };
        let Some((_, first, n_bytes)) = files.get(position) else { continue };
        let last = match files.get(position + 1) {
            Some((_, after, _)) => Lsn::new(after.get().saturating_sub(1)),
            None => {
                // How many are gone nobody knows: one position that no record has stands for them.
                let last = last_read.max(Lsn::new(first.get().saturating_sub(1)));
                next = next.max(last.next()).next();
                last.next()
            }
        };
        entries.push(LogFileEntry { path, first: *first, last, n_bytes: *n_bytes });
    }
    entries.sort_by_key(|entry| entry.first);
    Ok((next, entries))
}

fn max_record(limit: u64) -> usize {
    usize::try_from(limit.min(MAX_RECORD)).unwrap_or(usize::MAX)
}

fn length(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
