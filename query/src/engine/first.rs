//! The first so many of rows that come in any order, without sorting them.

use std::collections::BinaryHeap;

/// Keeps the rows of the `target` least ranks, and all that share the last of these.
#[derive(Debug)]
pub(super) struct First {
    pub(super) target: usize,
    /// Rows up to this rank are kept and take no place.
    pub(super) cursor: Option<i64>,
    /// Rows behind this rank are not wanted.
    pub(super) last: Option<i64>,
    /// The least ranks so far, the greatest of them on top.
    pub(super) ranks: BinaryHeap<i64>,
    /// Rows that were among the first when they came.
    pub(super) found: Vec<(i64, usize)>,
}

impl First {
    /// Takes a row.
    #[inline]
    pub(super) fn offer(&mut self, rank: i64, row: usize) {
        if self.last.is_some_and(|last| last < rank) {
            return;
        }
        self.found.push((rank, row));
        if self.cursor.is_some_and(|cursor| rank <= cursor) || self.target == usize::MAX {
            return;
        }
        self.ranks.push(rank);
        if self.ranks.len() > self.target {
            self.ranks.pop();
        }
        if self.ranks.len() == self.target {
            let most = self.ranks.peek().copied();
            self.last = self.last.min(most).or(most);
        }
    }

    /// The rows, in the order in which they came.
    pub(super) fn finish(self) -> Vec<(i64, usize)> {
        let Self { last, mut found, .. } = self;
        found.retain(|(rank, _)| last.is_none_or(|last| *rank <= last));
        found
    }
}

#[cfg(test)]
mod tests;
