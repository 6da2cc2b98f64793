//! Batches on their way out: a bounded line in front of the sink, and the count of what fell off its end.

use std::collections::VecDeque;
use std::sync::Arc;

use hindcast_model::{Batch, SchemaError, TableId};

use crate::sink::{Counters, Sink};

/// The line.
pub(crate) struct Delivery {
    sink: Box<dyn Sink>,
    pending: VecDeque<Batch>,
    max: usize,
    counters: Arc<Counters>,
    /// Rows lost since this was last asked.
    shed: u64,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Delivery").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl Delivery {
    pub(crate) fn new(sink: Box<dyn Sink>, max: usize, counters: Arc<Counters>) -> Self {
        Self { sink, pending: VecDeque::new(), max, counters, shed: 0 }
    }

    /// Puts batches into the line and offers what stands in it.
    pub(crate) fn push(&mut self, batches: Vec<Result<Batch, SchemaError>>) {
        for batch in batches {
            match batch {
                Ok(batch) => {
                    Counters::add(&self.counters.rows, batch.n_rows() as u64);
                    self.line_up(batch);
                }
                Err(error) => tracing::error!(%error, "rows of the sensors do not fit their table"),
            }
        }
        self.offer();
    }

    /// When the line is full the newest flows go first, then the newest runtime events; losses stay, they are few.
    fn line_up(&mut self, batch: Batch) {
        self.pending.push_back(batch);
        while self.pending.len() > self.max {
            let rank = |table| match table {
                TableId::Flows => 0,
                TableId::RuntimeEvents => 1,
                _ => 2,
            };
            let newest = (0..self.pending.len())
                .rev()
                .min_by_key(|index| self.pending.get(*index).map(|batch| rank(batch.table)));
            let Some(batch) = newest.and_then(|index| self.pending.remove(index)) else { return };
            let n_rows = batch.n_rows() as u64;
            self.shed += n_rows;
            Counters::add(&self.counters.shed, n_rows);
        }
    }

    /// Offers batches until the sink is full.
    pub(crate) fn offer(&mut self) {
        while let Some(batch) = self.pending.pop_front() {
            let n_rows = batch.n_rows() as u64;
            if let Err(batch) = self.sink.offer(batch) {
                self.pending.push_front(batch);
                return;
            }
            Counters::add(&self.counters.delivered, n_rows);
        }
    }

    /// Rows lost since the last call.
    pub(crate) fn take_shed(&mut self) -> u64 {
        std::mem::take(&mut self.shed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests;
