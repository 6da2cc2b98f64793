//! What the spool could not keep, until it stands in table `losses` itself.
//!
//! The ledger is a small file beside the spool's: a count survives the end of the process. Its rows are the same when
//! they are made a second time, so that a crash between spooling and forgetting them counts nothing twice.

use std::path::{Path, PathBuf};

use hindcast_bpf_sensors::Origin;
use hindcast_model::tables::losses;
use hindcast_model::{Batch, SchemaError, SourceKind, TableId, Timestamp};
use serde::{Deserialize, Serialize};

/// Where in `losses` these are found.
const STAGE: &str = "spool";
const FILE: &str = "lost";
/// Kinds of loss that are told apart; more are one. There are a few tables and a few reasons, and what servers say.
const MAX_ENTRIES: usize = 64;

/// Why something was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reason {
    /// There was no room.
    Full,
    /// The disk did not take it.
    Disk,
    /// The server said that it will never take it.
    Refused,
    /// What was spooled cannot be read any more.
    Damaged,
    /// It was being spooled when the machine stopped.
    Torn,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Disk => "disk",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
            Self::Torn => "torn",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    reason: Reason,
    /// The table, and what else there is to say.
    detail: String,
    /// Nothing where nobody can count.
    count: Option<u64>,
    from: i64,
    to: i64,
    /// Noted by an earlier process, which may have told it: nothing is added, so that it is told as the same row.
    #[serde(skip)]
    is_old: bool,
}

/// The ledger.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    origin: Origin,
    entries: Vec<Entry>,
}

impl Ledger {
    /// The ledger of a spool, with what an earlier process left in it.
    pub(super) fn open(spool: &Path, origin: Origin) -> Self {
        let path = spool.join(FILE);
        let entries = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(path = %path.display(), %error, "losses of an earlier run cannot be read");
                Vec::<Entry>::new()
            }),
            Err(_none) => Vec::new(),
        };
        let entries = entries.into_iter().map(|entry| Entry { is_old: true, ..entry }).collect();
        Self { path, origin, entries }
    }

    /// Notes a loss.
    pub(super) fn note(&mut self, reason: Reason, detail: String, count: Option<u64>, now: Timestamp) {
        let now = now.as_nanos();
        let same = |entry: &Entry| {
            !entry.is_old
                && entry.reason == reason
                && entry.detail == detail
                && entry.count.is_some() == count.is_some()
        };
        let known = self.entries.iter().position(same);
        let n_new = self.entries.iter().filter(|entry| !entry.is_old).count();
        if known.is_none() && n_new < MAX_ENTRIES {
            self.entries.push(Entry { reason, detail, count, from: now, to: now, is_old: false });
        } else if let Some(entry) = known.and_then(|known| self.entries.get_mut(known)) {
            entry.count = entry.count.zip(count).map(|(before, more)| before.saturating_add(more));
            entry.to = now.max(entry.from);
        } else if let Some(last) = self.entries.last_mut() {
            "and others".clone_into(&mut last.detail);
            last.count = Some(last.count.unwrap_or(0).saturating_add(count.unwrap_or(0)));
            last.to = now.max(last.from);
        }
        self.keep();
    }

    /// Whether nothing was lost that is not told.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The rows.
    pub(super) fn rows(&self) -> Result<Batch, SchemaError> {
        let mut builder = losses::Builder::default();
        for entry in &self.entries {
            let row = builder.row();
            builder.time.set(row, entry.from);
            builder.end_time.set(row, entry.to);
            builder.recorded_at.set(row, entry.to);
            builder.source_kind.set(row, SourceKind::Sensor.as_str());
            if !self.origin.cluster.is_empty() {
                builder.cluster.set(row, &self.origin.cluster);
            }
            builder.node.set(row, &self.origin.node);
            builder.source.set(row, &self.origin.source);
            builder.stage.set(row, STAGE);
            builder.reason.set(row, entry.reason.name());
            if let Some(count) = entry.count {
                builder.count.set(row, count);
            }
            builder.detail.set(row, &entry.detail);
            builder.commit();
        }
        Ok(Batch { table: TableId::Losses, records: builder.finish()? })
    }

    /// The rows are spooled.
    pub(super) fn told(&mut self) {
        self.entries.clear();
        self.keep();
    }

    fn keep(&self) {
        let kept = if self.entries.is_empty() {
            match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        } else {
            // Moved into place whole: a reader finds the old text or the new one.
            let new = self.path.with_extension("new");
            let text = serde_json::json!(self.entries).to_string();
            std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path))
        };
        if let Err(error) = kept {
            tracing::warn!(path = %self.path.display(), %error, "losses cannot be noted on disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    fn ledger(dir: &Path) -> Ledger {
        Ledger::open(dir, Origin { cluster: "c".into(), node: "n".into(), source: "sensor/n".into() })
    }

    #[test]
    fn losses_add_up_by_kind_and_survive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = ledger(dir.path());
        first.note(Reason::Full, "flows".to_owned(), Some(3), at(1));
        first.note(Reason::Full, "flows".to_owned(), Some(4), at(9));
        first.note(Reason::Full, "runtime_events".to_owned(), Some(1), at(2));
        first.note(Reason::Damaged, "2 batches".to_owned(), None, at(3));
        let rows = first.rows().unwrap();
        drop(first);
        let mut second = ledger(dir.path());
        assert_eq!(second.rows().unwrap().records, rows.records, "the same rows, to be told as repeats");
        let view = losses::View::new(&rows.records).unwrap();
        let counts: Vec<Option<u64>> = (0..3).map(|row| view.count.get(row)).collect();
        assert_eq!(counts, [Some(7), Some(1), None]);
        second.note(Reason::Full, "flows".to_owned(), Some(1), at(20));
        let counts = second.rows().unwrap().records.num_rows();
        assert_eq!(counts, 4, "nothing is added to what may be told already");
        second.told();
        assert!(ledger(dir.path()).is_empty());
    }

    #[test]
    fn the_ledger_is_bounded_and_loses_no_count() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = ledger(dir.path());
        for number in 0..200 {
            ledger.note(Reason::Refused, format!("flows: reason {number}"), Some(1), at(number));
        }
        assert_eq!(ledger.entries.len(), MAX_ENTRIES);
        assert_eq!(ledger.entries.iter().filter_map(|entry| entry.count).sum::<u64>(), 200);
    }
}
