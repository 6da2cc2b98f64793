//! Whether a new connection goes on where the last one ended.
//!
//! Every node is judged for itself: its first events after the reconnect must reach back to its last one before. If
//! they do not, what happened in between is gone, and nobody counted it.

use std::collections::BTreeMap;

use hindcast_model::Timestamp;

/// The name under which the last event of an earlier run stands: it is known without its node.
const ANY_NODE: &str = "";

/// A stretch of time of which nothing was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The node; `None` if it is not known.
    pub(crate) node: Option<String>,
    /// The last event before.
    pub(crate) from: Timestamp,
    /// The first event after.
    pub(crate) to: Timestamp,
}

/// The last event of each node, and which nodes still have to prove that nothing is missing.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    last: BTreeMap<String, Timestamp>,
    unproven: BTreeMap<String, Timestamp>,
}

impl Continuity {
    /// Starts behind the last event that an earlier run recorded.
    pub(crate) fn new(last: Option<Timestamp>) -> Self {
        let last: BTreeMap<_, _> = last.map(|time| (ANY_NODE.to_owned(), time)).into_iter().collect();
        Self { unproven: last.clone(), last }
    }

    /// The connection is gone: every node has to prove itself again.
    pub(crate) fn disconnected(&mut self) {
        for (node, time) in &self.last {
            self.unproven.entry(node.clone()).or_insert(*time);
        }
    }

    /// From when on a new connection has to ask: behind the node that is furthest behind.
    pub(crate) fn resume_at(&self) -> Option<Timestamp> {
        self.last.values().copied().min()
    }

    /// Takes in a batch that was recorded: first and last event time of each node. `is_proof` says whether an event
    /// at or before the last one proves that nothing is missing: it does where the other side replays.
    pub(crate) fn observe(&mut self, nodes: &BTreeMap<String, (Timestamp, Timestamp)>, is_proof: bool) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut check = |unproven: &mut BTreeMap<String, Timestamp>, node: &str, first: Timestamp| {
            if let Some(from) = unproven.remove(node)
                && (first > from || !is_proof)
            {
                let name = (node != ANY_NODE).then(|| node.to_owned());
                gaps.push(Gap { node: name, from, to: first.max(from) });
            }
        };
        if let Some(first) = nodes.values().map(|(first, _)| *first).min() {
            check(&mut self.unproven, ANY_NODE, first);
            self.last.remove(ANY_NODE);
        }
        for (node, (first, last)) in nodes {
            check(&mut self.unproven, node, *first);
            let known = self.last.entry(node.clone()).or_insert(*last);
            *known = (*known).max(*last);
        }
        gaps
    }
}

#[cfg(test)]
mod tests;
