//! A file being followed, held by its handle.

use std::fs::File;
use std::io::{self, Cursor, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hindcast_model::Timestamp;
use hindcast_proto::RejectReason;
use memchr::{memchr, memrchr};
use tokio::time::Instant;

use crate::file::blocks::{Block, count_lines};
use crate::file::content::{HEAD_LEN, Packing};
use crate::file::decode::{DecodeArgs, Decoded, decode};
use crate::file::frame::{Boundary, boundary};
use crate::file::inputs::{FileKey, Place};
use crate::file::known::{Fingerprint, Reached, Tail, Tally};
use crate::file::open::{Located, locate};
use crate::file::summary::{Rejected, RejectedLines};

/// Bytes read in one step.
const STEP_LEN: usize = 4 << 20;
/// Rejected lines kept per step and reason; only the first is shown.
const MAX_SAMPLES: usize = 1;

/// What a step led to.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing was added.
    Idle,
    /// Records were read.
    Read(Box<Decoded>),
    /// The file is gone and was read to its end.
    Ended,
}

/// A file being followed.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) key: FileKey,
    pub(super) path: PathBuf,
    /// The place up to which all is recorded, once the step's records are.
    pub(super) reached: Reached,
    file: File,
    /// Number of the line at that place.
    line: u64,
    /// Bytes before that place.
    tail: Tail,
    /// Bytes after it, read and not yet a record.
    ahead: Vec<u8>,
    /// Bytes after it that belong to a line that is too long and were not kept.
    n_skipped: u64,
    /// Whether whole records may stand in `ahead`.
    is_unframed: bool,
    /// Since when the path leads elsewhere.
    gone_since: Option<Instant>,
}

/// What a path leads to.
pub(super) fn look(path: &Path) -> io::Result<(FileKey, Packing, u64)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut head = Vec::new();
    (&mut file).take(4).read_to_end(&mut head)?;
    Ok((FileKey::of(&metadata), Packing::of(&head), metadata.len()))
}

fn nothing(source: String) -> Reached {
    Reached {
        source,
        fingerprint: None,
        position: 0,
        mark: Tail::default().mark(),
        pending: 0,
        is_complete: false,
        tally: Tally::default(),
        last_event_time: None,
    }
}

impl Tracked {
    /// Opens a file where it was left.
    pub(super) fn open(path: PathBuf, candidates: impl Fn(&[u8]) -> Vec<Reached>) -> io::Result<Self> {
        let file = File::open(&path)?;
        let key = FileKey::of(&file.metadata()?);
        let source = path.display().to_string();
        let mut head = Vec::new();
        (&file).take(HEAD_LEN as u64).read_to_end(&mut head)?;
        let known = candidates(&head);
        let place = Place::File(path.clone());
        let located = if known.is_empty() {
            None
        } else {
            locate(&place, Box::new(Cursor::new(head).chain(file.try_clone()?)), &known)?
        };
        let (reached, line, tail) = match located {
            Some(Located { reached, line, tail }) => {
                (Reached { source, pending: 0, is_complete: false, ..reached }, line, tail)
            }
            None => (nothing(source), 1, Tail::default()),
        };
        Ok(Self {
            key,
            path,
            reached,
            file,
            line,
            tail,
            ahead: Vec::new(),
            n_skipped: 0,
            is_unframed: false,
            gone_since: None,
        })
    }

    /// The file was found, perhaps under a new name.
    pub(super) fn found(&mut self, path: &Path) {
        if self.path != path {
            self.path = path.to_owned();
        }
    }

    /// Whether the file is still where it is looked for.
    pub(super) fn listed(&mut self, is_listed: bool, now: Instant) {
        self.gone_since = if is_listed { None } else { self.gone_since.or(Some(now)) };
    }

    /// Whether its writer has had time to let go of it.
    pub(super) fn is_let_go(&self, now: Instant, grace: Duration) -> bool {
        self.gone_since.is_some_and(|since| now.duration_since(since) >= grace)
    }

    /// When it was written last.
    pub(super) fn modified(&self) -> Option<Timestamp> {
        let since = self.file.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp::from_nanos(0).saturating_add(since))
    }

    /// Where the next byte is read.
    fn end(&self) -> u64 {
        self.reached.position + self.ahead.len() as u64 + self.n_skipped
    }

    /// Reads on. `is_last` says that nothing will be added any more.
    pub(super) fn step(&mut self, max_line: usize, now: Timestamp, is_last: bool) -> io::Result<Step> {
        let len = self.file.metadata()?.len();
        if len < self.end() || !self.is_same()? {
            return Ok(self.start_over());
        }
        if len == self.end() && !self.is_unframed {
            return if is_last { self.finish(now) } else { Ok(Step::Idle) };
        }
        let mut added = vec![0; STEP_LEN.min(usize::try_from(len - self.end()).unwrap_or(STEP_LEN))];
        let n = self.file.read_at(&mut added, self.end())?;
        added.truncate(n);
        self.fingerprint()?;
        if self.n_skipped > 0 {
            return Ok(self.skip(&added));
        }
        self.ahead.extend_from_slice(&added);
        self.is_unframed = false;
        let mut safe = boundary(&self.ahead);
        if safe.end == 0 {
            if self.ahead.len() <= max_line {
                return Ok(Step::Read(Box::default()));
            }
            // A document that is too large is cut; a line that is too large is passed over.
            let Some(newline) = memrchr(b'\n', &self.ahead) else {
                self.n_skipped = self.ahead.len() as u64;
                self.ahead = Vec::new();
                return Ok(Step::Read(Box::default()));
            };
            let n_lines = count_lines(self.ahead.get(..=newline).unwrap_or_default());
            safe = Boundary { end: newline + 1, n_lines };
        }
        let rest = self.ahead.split_off(safe.end);
        let bytes = std::mem::replace(&mut self.ahead, rest);
        self.take(bytes, safe, now)
    }

    /// Decodes whole records and moves behind them.
    fn take(&mut self, bytes: Vec<u8>, safe: Boundary, now: Timestamp) -> io::Result<Step> {
        self.tail.push(&bytes);
        let first_line = self.line;
        self.line += safe.n_lines;
        self.reached.position += bytes.len() as u64;
        self.reached.mark = self.tail.mark();
        let mut block = Block { bytes, first_line, end: self.reached.position, safe, n_lines: safe.n_lines };
        let source = self.reached.source.clone();
        let args = DecodeArgs { source: &source, recorded_at: now, max_samples: MAX_SAMPLES, leaves_end: false };
        let decoded = decode(&mut block, args).map_err(io::Error::other)?;
        Ok(Step::Read(Box::new(decoded)))
    }

    /// Passes over more of a line that is too long.
    fn skip(&mut self, added: &[u8]) -> Step {
        let Some(newline) = memchr(b'\n', added) else {
            self.n_skipped += added.len() as u64;
            return Step::Read(Box::default());
        };
        let n_bytes = self.n_skipped + newline as u64 + 1;
        // The bytes of the line were not kept; what is before the place is read again when it is asked for.
        self.tail = Tail::default();
        if let Some(tail) = self.tail_at(self.reached.position + n_bytes) {
            self.tail = tail;
        }
        self.reached.position += n_bytes;
        self.reached.mark = self.tail.mark();
        self.n_skipped = 0;
        self.ahead = added.get(newline + 1..).unwrap_or_default().to_vec();
        self.is_unframed = true;
        let rejected = one(RejectReason::TooLarge, self.line, format!("a line of {n_bytes} bytes"));
        self.line += 1;
        Step::Read(Box::new(Decoded { n_records: 1, rejected, ..Decoded::default() }))
    }

    fn tail_at(&self, position: u64) -> Option<Tail> {
        let len = position.min(crate::file::known::MARK_LEN as u64);
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.file.read_exact_at(&mut bytes, position - len).ok()?;
        let mut tail = Tail::default();
        tail.push(&bytes);
        Some(tail)
    }

    /// Whether the file still starts as it did.
    fn is_same(&self) -> io::Result<bool> {
        let Some(fingerprint) = self.reached.fingerprint else { return Ok(true) };
        let mut head = vec![0; fingerprint.len()];
        match self.file.read_exact_at(&mut head, 0) {
            Ok(()) => Ok(fingerprint.matches(&head)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the fingerprint while it can still grow.
    fn fingerprint(&mut self) -> io::Result<()> {
        if self.reached.fingerprint.is_none_or(|fingerprint| fingerprint.len() < HEAD_LEN) {
            let mut head = vec![0; HEAD_LEN];
            let n = self.file.read_at(&mut head, 0)?;
            self.reached.fingerprint = Fingerprint::of(head.get(..n).unwrap_or_default());
        }
        Ok(())
    }

    /// The file was cut short or replaced in place. What had been read of an unfinished record is gone with it.
    fn start_over(&mut self) -> Step {
        let mut decoded = Decoded::default();
        if !self.ahead.is_empty() || self.n_skipped > 0 {
            decoded.n_records = 1;
            let detail = "the file was cut short in the middle of this line".to_owned();
            decoded.rejected = one(RejectReason::Truncated, self.line, detail);
        }
        self.reached = nothing(self.reached.source.clone());
        self.line = 1;
        self.tail = Tail::default();
        self.ahead = Vec::new();
        self.n_skipped = 0;
        self.is_unframed = false;
        Step::Read(Box::new(decoded))
    }

    /// Nothing will be added: what is left is a record or is torn.
    fn finish(&mut self, now: Timestamp) -> io::Result<Step> {
        if self.n_skipped > 0 {
            let n_bytes = std::mem::take(&mut self.n_skipped);
            self.reached.position += n_bytes;
            self.reached.mark = self.tail_at(self.reached.position).unwrap_or_default().mark();
            let rejected = one(RejectReason::TooLarge, self.line, format!("a line of {n_bytes} bytes"));
            return Ok(Step::Read(Box::new(Decoded { n_records: 1, rejected, ..Decoded::default() })));
        }
        if self.ahead.is_empty() {
            self.reached.is_complete = true;
            return Ok(Step::Ended);
        }
        let bytes = std::mem::take(&mut self.ahead);
        let safe = Boundary { end: bytes.len(), n_lines: count_lines(&bytes) + 1 };
        self.take(bytes, safe, now)
    }
}

/// A single rejected line.
fn one(reason: RejectReason, line: u64, detail: String) -> Rejected {
    let mut lines = RejectedLines::default();
    lines.add(line, || detail, MAX_SAMPLES);
    Rejected::from([(reason, lines)])
}
