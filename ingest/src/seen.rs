//! The events recorded already, exact and bounded.
//!
//! Keys are kept per table and minute. A minute that is asked for is loaded from a snapshot of the store, which holds
//! all that was ever recorded, so nothing extra stands on disk and an answer does not depend on what was forgotten
//! here. Two rows are one event if their time and id agree, unless both have a `uuid` and these differ.

use std::num::NonZeroU32;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::TimestampNanosecondType;
use hashbrown::{HashMap, HashTable};
use hindcast_model::column::TextView;
use hindcast_model::{TableId, Timestamp, event_id};

const NANOS_PER_MINUTE: i64 = 60_000_000_000;

/// A minute of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Minute {
    pub(crate) table: TableId,
    pub(crate) number: i64,
}

impl Minute {
    /// The minute of an instant.
    pub(crate) const fn of(table: TableId, time: i64) -> Self {
        Self { table, number: time.div_euclid(NANOS_PER_MINUTE) }
    }

    /// Its first instant.
    pub(crate) const fn start(self) -> Timestamp {
        Timestamp::from_nanos(self.number.saturating_mul(NANOS_PER_MINUTE))
    }

    /// The first instant after it.
    pub(crate) const fn end(self) -> Timestamp {
        Timestamp::from_nanos(self.number.saturating_add(1).saturating_mul(NANOS_PER_MINUTE))
    }
}

/// What a row is recognised by inside its minute: id, low half of the time, hash of the `uuid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    id: u64,
    time: u32,
    uuid: Option<NonZeroU32>,
}

impl Key {
    fn is_same_event(self, other: Self) -> bool {
        self.id == other.id
            && self.time == other.time
            && (self.uuid == other.uuid || self.uuid.is_none() || other.uuid.is_none())
    }
}

/// The keys of a batch, row by row; empty for tables whose rows are not events.
#[derive(Debug, Default)]
pub(crate) struct BatchKeys {
    /// Times in nanoseconds.
    pub(crate) times: Vec<i64>,
    /// One per row.
    pub(crate) keys: Vec<Key>,
}

impl BatchKeys {
    /// The keys of `records`. Requires: the table's schema.
    pub(crate) fn of(table: TableId, records: &RecordBatch) -> Self {
        let ids = event_id::event_ids(table, records);
        let Some(times) =
            records.column_by_name("time").and_then(|it| it.as_primitive_opt::<TimestampNanosecondType>())
        else {
            return Self::default();
        };
        if ids.is_empty() {
            return Self::default();
        }
        let uuids = TextView::of(records.column_by_name("uuid")).unwrap_or(TextView::Absent);
        let keys = ids.into_iter().zip(times.values()).enumerate().map(|(row, (id, time))| Key {
            id,
            time: low_half(*time),
            uuid: uuids.get(row).and_then(|uuid| NonZeroU32::new(low_half_u64(event_id::uuid_hash(uuid)) | 1)),
        });
        let keys = keys.collect();
        debug_assert_eq!(times.null_count(), 0, "time is required");
        Self { times: times.values().to_vec(), keys }
    }

    /// The minutes that the rows lie in, each once.
    pub(crate) fn minutes(&self, table: TableId, into: &mut Vec<Minute>) {
        let mut last = None;
        for time in &self.times {
            let minute = Minute::of(table, *time);
            if last != Some(minute) {
                last = Some(minute);
                into.push(minute);
            }
        }
        into.sort_unstable();
        into.dedup();
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low half is what is wanted")]
const fn low_half(time: i64) -> u32 {
    time as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low_half_u64(hash: u64) -> u32 {
    hash as u32
}

#[derive(Debug, Default)]
struct Slice {
    keys: HashTable<Key>,
    last_used: u64,
}

impl Slice {
    fn contains(&self, key: Key) -> bool {
        self.keys.find(key.id, |known| known.is_same_event(key)).is_some()
    }

    fn insert(&mut self, key: Key) {
        self.keys.insert_unique(key.id, key, |known| known.id);
    }
}

/// The recorded events of some minutes.
#[derive(Debug)]
pub(crate) struct Seen {
    slices: HashMap<Minute, Slice>,
    n_keys: usize,
    max_keys: usize,
    use_count: u64,
}

impl Seen {
    /// Keeps up to about `max_keys` keys. What one append touches is kept whatever its size.
    pub(crate) fn new(max_keys: usize) -> Self {
        Self { slices: HashMap::new(), n_keys: 0, max_keys, use_count: 0 }
    }

    /// How many keys are held.
    pub(crate) const fn n_keys(&self) -> usize {
        self.n_keys
    }

    /// How many minutes are held.
    pub(crate) fn n_minutes(&self) -> usize {
        self.slices.len()
    }

    /// Whether a minute is held. A minute asked for is the last to be forgotten.
    pub(crate) fn holds(&mut self, minute: Minute) -> bool {
        self.use_count += 1;
        let used = self.use_count;
        self.slices.get_mut(&minute).map(|slice| slice.last_used = used).is_some()
    }

    /// Holds a minute from now on; `keys` is all that is recorded of it.
    pub(crate) fn load(&mut self, minute: Minute, keys: impl IntoIterator<Item = Key>) {
        self.use_count += 1;
        let mut slice = Slice { keys: HashTable::new(), last_used: self.use_count };
        keys.into_iter().for_each(|key| slice.insert(key));
        self.n_keys += slice.keys.len();
        if let Some(replaced) = self.slices.insert(minute, slice) {
            self.n_keys -= replaced.keys.len();
        }
    }

    /// Which rows are new; they count as seen from now on. Requires: all their minutes are held.
    pub(crate) fn admit(&mut self, table: TableId, batch: &BatchKeys) -> Vec<bool> {
        let mut is_new = Vec::with_capacity(batch.keys.len());
        let mut rows = batch.times.iter().zip(&batch.keys).peekable();
        while let Some((time, _)) = rows.peek() {
            let minute = Minute::of(table, **time);
            // Neighbouring rows share their minute: one look-up for all of them.
            let slice = self.slices.entry(minute).or_default();
            let before = slice.keys.len();
            while let Some((_, key)) = rows.next_if(|(time, _)| Minute::of(table, **time) == minute) {
                let new = !slice.contains(*key);
                if new {
                    slice.insert(*key);
                }
                is_new.push(new);
            }
            self.n_keys += slice.keys.len() - before;
        }
        is_new
    }

    /// Takes back what [`Seen::admit`] said was new, because it was not recorded after all.
    pub(crate) fn retract(&mut self, table: TableId, batch: &BatchKeys, is_new: &[bool]) {
        for ((time, key), new) in batch.times.iter().zip(&batch.keys).zip(is_new) {
            if *new
                && let Some(slice) = self.slices.get_mut(&Minute::of(table, *time))
                && let Ok(entry) = slice.keys.find_entry(key.id, |known| known == key)
            {
                let (_removed, _vacant) = entry.remove();
                self.n_keys -= 1;
            }
        }
    }

    /// Forgets minutes that were not asked for lately, until the bound is kept. What was admitted must be recorded, so
    /// that it is found again.
    pub(crate) fn forget(&mut self) {
        if self.n_keys <= self.max_keys {
            return;
        }
        let mut minutes: Vec<(u64, Minute)> = self.slices.iter().map(|(at, slice)| (slice.last_used, *at)).collect();
        minutes.sort_unstable();
        // The minute in use stays, however large it is: it would be loaded again at once.
        let _in_use = minutes.pop();
        for (_, minute) in minutes {
            // Half, so that the sorting above is not repeated with every append.
            if self.n_keys <= self.max_keys / 2 {
                return;
            }
            if let Some(slice) = self.slices.remove(&minute) {
                self.n_keys -= slice.keys.len();
            }
        }
    }
}

#[cfg(test)]
mod tests;
