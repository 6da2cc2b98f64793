//! The connections that are followed, within their bounds.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{ImportConfig, ImportCounts};
use crate::app::Told;
use crate::connection::{Connection, Key};
use crate::layers::Segment;
use crate::rows::Rows;

/// How often the table is searched for connections that are over, by the time of the packets.
const SWEEP_NANOS: i64 = 1_000_000_000;

/// Where and when a packet was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) time: i64,
    pub(super) interface: u32,
    pub(super) interface_name: Option<&'a Arc<str>>,
}

#[derive(Debug)]
pub(super) struct Table {
    config: ImportConfig,
    connections: HashMap<Key, Connection>,
    n_begun: u64,
    n_held: usize,
    /// The latest time of any packet, and of the last sweep.
    now: i64,
    swept: i64,
    told: Vec<Told>,
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Table {
    pub(super) fn new(config: ImportConfig) -> Self {
        let connections = HashMap::new();
        Self { config, connections, n_begun: 0, n_held: 0, now: i64::MIN, swept: i64::MIN, told: Vec::new() }
    }

    pub(super) fn n_held(&self) -> (usize, usize) {
        (self.connections.len(), self.n_held)
    }

    /// Takes a packet, and writes the rows that it makes complete.
    pub(super) fn take(&mut self, segment: &Segment<'_>, place: Place<'_>, rows: &mut Rows, counts: &mut ImportCounts) {
        self.now = self.now.max(place.time);
        if self.now.saturating_sub(self.swept) >= SWEEP_NANOS {
            self.swept = self.now;
            self.close_where(rows, counts, |connection, idle| connection.last < idle);
        }
        let key = Key::of(segment, place.interface);
        if self.connections.get(&key).is_some_and(|connection| connection.is_over_before(segment))
            && let Some(connection) = self.connections.remove(&key)
        {
            self.close(connection, rows, counts);
        }
        if self.connections.len() >= self.config.most_connections.max(1) && !self.connections.contains_key(&key) {
            self.evict(rows, counts);
        }
        let nth = self.n_begun;
        let mut is_new = false;
        let connection = self.connections.entry(key).or_insert_with(|| {
            is_new = true;
            Connection::new(segment, place.time, place.interface_name.cloned(), nth)
        });
        self.n_begun += u64::from(is_new);
        counts.open += 1;
        let held_before = connection.n_held();
        connection.take(segment, place.time, &mut self.told);
        let mut held_after = connection.n_held();
        if self.n_held.saturating_sub(held_before).saturating_add(held_after) > self.config.most_held_bytes
            && held_after > 0
        {
            connection.give_up(&mut self.told);
            counts.given_up += 1;
            held_after = connection.n_held();
        }
        self.n_held = self.n_held.saturating_sub(held_before).saturating_add(held_after);
        for (nth, told) in (0..).zip(self.told.drain(..)) {
            super::row::message(rows, connection, (&told, nth), &self.config.redactor, counts);
        }
    }

    /// Writes the rows of connections that are over: `is_over` gets the connection, and the time before which it
    /// must have been seen last to be so.
    fn close_where(
        &mut self,
        rows: &mut Rows,
        counts: &mut ImportCounts,
        mut is_over: impl FnMut(&Connection, i64) -> bool,
    ) {
        let (config, now) = (&self.config, self.now);
        let over = self.connections.extract_if(|_key, connection| {
            let idle = match (connection.is_tcp, connection.is_closed()) {
                (true, true) => config.closed_linger,
                (true, false) => config.tcp_idle,
                (false, _) => config.udp_idle,
            };
            is_over(connection, now.saturating_sub(nanos(idle)))
        });
        let mut over: Vec<Connection> = over.map(|(_key, connection)| connection).collect();
        // The table has no order of its own; rows have one.
        over.sort_unstable_by_key(|connection| connection.nth);
        for connection in over {
            self.close(connection, rows, counts);
        }
    }

    /// Makes room: an eighth of the connections, the least recently seen, are written as they are.
    fn evict(&mut self, rows: &mut Rows, counts: &mut ImportCounts) {
        let mut seen: Vec<(i64, u64)> = self.connections.values().map(|one| (one.last, one.nth)).collect();
        let n_evicted = (seen.len() / 8).max(1);
        let (_, last_evicted, _) = seen.select_nth_unstable(n_evicted - 1);
        let last_evicted = *last_evicted;
        counts.evicted += n_evicted as u64;
        self.close_where(rows, counts, |connection, _idle| (connection.last, connection.nth) <= last_evicted);
    }

    /// Writes the rows of everything that is open.
    pub(super) fn close_all(&mut self, rows: &mut Rows, counts: &mut ImportCounts) {
        self.close_where(rows, counts, |_connection, _idle| true);
    }

    fn close(&mut self, mut connection: Connection, rows: &mut Rows, counts: &mut ImportCounts) {
        self.n_held = self.n_held.saturating_sub(connection.n_held());
        connection.finish(&mut self.told);
        for (nth, told) in (0..).zip(self.told.drain(..)) {
            super::row::message(rows, &connection, (&told, nth), &self.config.redactor, counts);
        }
        super::row::connection(rows, &connection, counts);
    }
}
