//! Knowing an input again: by its content, never by its name.
//!
//! A fingerprint is a hash of the first [`HEAD_LEN`] bytes of the unpacked content, or of all of it while it is
//! shorter, with the length it covers. An input whose content starts with what another input was when it was last read
//! is that input, grown, renamed or packed. The *mark* (a hash of the last bytes before the position) tells inputs
//! apart that only start alike.
//!
//! In the table `ingested` both stand in one text: `1:<length>:<hash>:<mark>:<pending>`; pending are the bytes after
//! the position that were seen and did not make a whole record.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use hindcast_model::Timestamp;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::content::HEAD_LEN;

/// Bytes before the position that the mark covers, at most.
pub(crate) const MARK_LEN: usize = 4 << 10;

/// What an input's content starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fingerprint {
    len: usize,
    hash: u64,
}

impl Fingerprint {
    /// Of content that starts with `head`; `None` for empty content.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        let head = head.get(..HEAD_LEN).unwrap_or(head);
        (!head.is_empty()).then(|| Self { len: head.len(), hash: xxh3_64(head) })
    }

    /// How many bytes it covers.
    pub(crate) const fn len(self) -> usize {
        self.len
    }

    /// The hash of these.
    pub(crate) const fn hash(self) -> u64 {
        self.hash
    }

    /// Whether content that starts with `head` may be the same input.
    pub(crate) fn matches(self, head: &[u8]) -> bool {
        head.get(..self.len).is_some_and(|head| xxh3_64(head) == self.hash)
    }
}

/// The last bytes before a position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    /// Moves on over `bytes`.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let keep = bytes.get(bytes.len().saturating_sub(MARK_LEN)..).unwrap_or(bytes);
        let surplus = (self.0.len() + keep.len()).saturating_sub(MARK_LEN).min(self.0.len());
        self.0.drain(..surplus);
        self.0.extend_from_slice(keep);
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The mark of the position.
    pub(crate) fn mark(&self) -> u64 {
        xxh3_64(&self.0)
    }
}

/// How far an input was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The input as it was called then.
    pub(crate) source: String,
    /// What it starts with; `None` for a stream, which is known by its name.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Bytes of the unpacked content.
    pub(crate) position: u64,
    /// The mark of the position.
    pub(crate) mark: u64,
    /// Bytes after the position that were seen and made no whole record.
    pub(crate) pending: u64,
    /// Whether it was read to its end.
    pub(crate) is_complete: bool,
    /// What became of its events so far.
    pub(crate) tally: Tally,
    /// Time of the latest event recorded from it.
    pub(crate) last_event_time: Option<Timestamp>,
}

/// What became of the events of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Recorded.
    pub recorded: u64,
    /// There already.
    pub deduplicated: u64,
    /// Refused as invalid.
    pub rejected: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.deduplicated += other.deduplicated;
        self.rejected += other.rejected;
    }
}

impl Reached {
    /// The text in the column `fingerprint`.
    pub(crate) fn fingerprint_text(&self) -> Option<String> {
        let Fingerprint { len, hash } = self.fingerprint?;
        Some(format!("1:{len}:{hash:016x}:{:016x}:{}", self.mark, self.pending))
    }
}

/// The parts of the column `fingerprint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FingerprintText {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) mark: u64,
    pub(crate) pending: u64,
}

impl FingerprintText {
    /// `None` for a text of another form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let version = parts.next()?;
        let len = parts.next()?.parse().ok()?;
        let hash = u64::from_str_radix(parts.next()?, 16).ok()?;
        let mark = u64::from_str_radix(parts.next()?, 16).ok()?;
        let pending = parts.next()?.parse().ok()?;
        (version == "1" && parts.next().is_none()).then_some(Self {
            fingerprint: Fingerprint { len, hash },
            mark,
            pending,
        })
    }
}

/// The inputs read so far. A program reads thousands of inputs, not millions: they are all kept.
#[derive(Debug, Default)]
pub(crate) struct Known {
    files: BTreeMap<usize, HashMap<u64, Vec<Reached>>>,
    streams: HashMap<String, Reached>,
}

/// Inputs that start alike and are told apart by their marks, at most; of more the furthest are kept.
const MAX_ALIKE: usize = 16;

impl Known {
    /// Takes note of progress. A later position of one input replaces the earlier.
    pub(crate) fn learn(&mut self, reached: Reached) {
        let Some(Fingerprint { len, hash }) = reached.fingerprint else {
            self.streams.insert(reached.source.clone(), reached);
            return;
        };
        let alike = self.files.entry(len).or_default().entry(hash).or_default();
        alike.retain(|other| other.source != reached.source && other.position != reached.position);
        alike.push(reached);
        alike.sort_by_key(|reached| std::cmp::Reverse(reached.position));
        alike.truncate(MAX_ALIKE);
    }

    /// How far a stream was recorded.
    pub(crate) fn stream(&self, source: &str) -> Option<Reached> {
        self.streams.get(source).cloned()
    }

    /// The inputs that content starting with `head` may be, furthest first. `head` is the first [`HEAD_LEN`] bytes, or
    /// all there is.
    pub(crate) fn candidates(&self, head: &[u8]) -> Vec<Reached> {
        let mut found = Vec::new();
        let mut hasher = Xxh3::new();
        let mut hashed = 0;
        for (len, by_hash) in self.files.range(..=head.len()) {
            hasher.update(head.get(hashed..*len).unwrap_or_default());
            hashed = *len;
            found.extend(by_hash.get(&hasher.digest()).into_iter().flatten().cloned());
        }
        found.sort_by_key(|reached| std::cmp::Reverse(reached.position));
        found
    }
}

#[cfg(test)]
mod tests;
