//! Appends as they happen, for readers that follow.

use std::sync::Arc;

use hindcast_model::Batch;
use tokio::sync::broadcast;

use crate::ids::Lsn;

/// An append that became durable.
#[derive(Debug)]
pub struct Appended {
    /// Its position.
    pub lsn: Lsn,
    /// Its rows, in the schemas of their tables.
    pub batches: Vec<Batch>,
}

/// What a reader of the tail gets.
#[derive(Clone, Debug)]
pub enum TailItem {
    /// The next append.
    Appended(Arc<Appended>),
    /// The reader was too slow: that many appends went by. A snapshot still has their rows.
    Missed(u64),
}

/// The appends from when it was taken on, in order. Take it before the snapshot it continues, and skip what has an lsn
/// up to the snapshot's: then nothing is missed and nothing comes twice.
#[derive(Debug)]
pub struct Tail(broadcast::Receiver<Arc<Appended>>);

impl Tail {
    pub(crate) const fn new(receiver: broadcast::Receiver<Arc<Appended>>) -> Self {
        Self(receiver)
    }

    /// The next item; `None` once the store is closed.
    ///
    /// Cancel safety: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<TailItem> {
        match self.0.recv().await {
            Ok(appended) => Some(TailItem::Appended(appended)),
            Err(broadcast::error::RecvError::Lagged(n_missed)) => Some(TailItem::Missed(n_missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
