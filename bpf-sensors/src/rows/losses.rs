//! Rows of `losses`.

use super::{Rows, put_origin};
use crate::clock::Clocks;

/// What was not kept over an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// kernel or sensor.
    pub(crate) stage: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) count: Option<u64>,
    /// The kind of event concerned, or more for a person.
    pub(crate) detail: String,
}

impl Rows {
    /// A loss between two kernel times.
    pub(crate) fn loss(&mut self, clocks: &Clocks, from: u64, to: u64, loss: &Loss) {
        let losses = &mut self.losses;
        let row = put_origin!(losses, self.origin, clocks.instant(from), clocks.now().as_nanos());
        losses.end_time.set(row, clocks.instant(to));
        losses.stage.set(row, loss.stage);
        losses.reason.set(row, loss.reason);
        if let Some(count) = loss.count {
            losses.count.set(row, count);
        }
        if !loss.detail.is_empty() {
            losses.detail.set(row, &loss.detail);
        }
        losses.commit();
    }
}
