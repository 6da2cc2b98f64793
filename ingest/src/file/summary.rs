//! What an import did, per file and in all.

use std::collections::BTreeMap;
use std::time::Duration;

use hindcast_proto::RejectReason;

use super::inputs::InputError;
use super::known::Tally;

/// A rejected line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub detail: String,
}

/// The lines rejected for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedLines {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub samples: Vec<RejectedLine>,
    /// Number of the last of them.
    pub last_line: u64,
}

impl RejectedLines {
    /// Takes in one more; only `max_samples` are kept.
    pub(crate) fn add(&mut self, line: u64, detail: impl FnOnce() -> String, max_samples: usize) {
        self.count += 1;
        self.last_line = self.last_line.max(line);
        if self.samples.len() < max_samples {
            self.samples.push(RejectedLine { line, detail: detail() });
        }
    }

    /// Takes in some of an input that has no lines; the detail speaks of all of them.
    pub(crate) fn add_unnumbered(&mut self, count: u64, detail: String) {
        self.count += count;
        self.samples.push(RejectedLine { line: 0, detail });
    }

    fn merge(&mut self, other: &Self, max_samples: usize) {
        self.count += other.count;
        self.last_line = self.last_line.max(other.last_line);
        let room = max_samples.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.iter().take(room).cloned());
    }
}

/// Rejected lines by reason.
pub(crate) type Rejected = BTreeMap<RejectReason, RejectedLines>;

/// Adds one list of rejected lines to another.
pub(crate) fn merge(into: &mut Rejected, other: &Rejected, max_samples: usize) {
    for (reason, lines) in other {
        into.entry(*reason).or_default().merge(lines, max_samples);
    }
}

/// How it ended for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Not reached.
    Unread,
    /// Read to its end.
    Complete,
    /// Read to its end before, and the same since.
    Unchanged,
    /// There is nothing in it.
    Empty,
    /// It holds neither events of Hubble or Tetragon nor packets or flow logs.
    NotEvents {
        /// Its first line, shortened.
        first_line: String,
        /// What it is instead, where that shows.
        hint: Option<&'static str>,
    },
    /// Its packing is damaged or cut short; what came before is recorded.
    Truncated {
        /// Line after the last good one.
        line: u64,
        /// What the unpacking said.
        error: String,
    },
    /// It could not be opened or read on.
    Failed {
        /// Why.
        error: String,
    },
    /// The import was stopped in its middle; the next one goes on there.
    Stopped,
}

/// What was done with a file.
#[derive(Clone, Debug)]
pub struct FileSummary {
    /// Its path, or `stdin`.
    pub source: String,
    /// Whether the user named it, rather than a directory or glob it lies in.
    pub is_named: bool,
    /// How it ended.
    pub state: FileState,
    /// Where reading went on, in bytes of the unpacked content; 0 for a file that was new.
    pub resumed_at: u64,
    /// Lines read now.
    pub lines: u64,
    /// Records found in them: a document over several lines is one.
    pub records: u64,
    /// What became of the records.
    pub tally: Tally,
    /// Records that were rejected when an earlier part of it was read.
    pub rejected_before: u64,
    /// The rejected ones.
    pub rejected: BTreeMap<RejectReason, RejectedLines>,
    /// Bytes of the unpacked content read now.
    pub bytes: u64,
}

impl FileSummary {
    pub(crate) fn new(source: String, is_named: bool) -> Self {
        Self {
            source,
            is_named,
            state: FileState::Unread,
            resumed_at: 0,
            lines: 0,
            records: 0,
            tally: Tally::default(),
            rejected_before: 0,
            rejected: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Whether the user has to look: it was named and is no recording, or it could not be read.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        match self.state {
            FileState::NotEvents { .. } => self.is_named,
            FileState::Truncated { .. } | FileState::Failed { .. } => true,
            FileState::Unread | FileState::Complete | FileState::Unchanged | FileState::Empty | FileState::Stopped => {
                false
            }
        }
    }
}

/// What an import did.
#[derive(Debug, Default)]
pub struct ImportSummary {
    /// Every file found, in order.
    pub files: Vec<FileSummary>,
    /// Paths that led to no file.
    pub errors: Vec<InputError>,
    /// How long it took.
    pub duration: Duration,
    /// Whether it was stopped before its end.
    pub is_stopped: bool,
}

impl ImportSummary {
    /// Lines read.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.files.iter().map(|file| file.lines).sum()
    }

    /// Records found.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.files.iter().map(|file| file.records).sum()
    }

    /// Bytes of unpacked content read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// What became of all records.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut total = Tally::default();
        self.files.iter().for_each(|file| total += file.tally);
        total
    }

    /// How many records were rejected, by reason.
    #[must_use]
    pub fn rejected(&self) -> BTreeMap<RejectReason, u64> {
        let mut total = BTreeMap::new();
        for (reason, lines) in self.files.iter().flat_map(|file| &file.rejected) {
            *total.entry(*reason).or_default() += lines.count;
        }
        total
    }
}

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files done.
    pub files_done: usize,
    /// Files found.
    pub files_total: usize,
    /// Bytes read, as they lie on disk.
    pub bytes_done: u64,
    /// Bytes of all files, as they lie on disk; pipes count nothing.
    pub bytes_total: u64,
    /// Rows recorded or known already.
    pub rows: u64,
}
