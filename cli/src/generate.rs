//! Recordings that nobody observed: flows and runtime events of an invented fleet, for demonstrations, tests and
//! benchmarks. What is made here says so: its `source_kind` is `generated`.
//!
//! A [`Fleet`] is who there is: nodes, workloads with their pods over time, names outside, and the edges between
//! them. [`Traffic`] walks through the time of a [`Recipe`] and draws flows, one [`Draw`] each, in order of time; a
//! draw is then written as a row ([`columns`]) or as a line of a Hubble export ([`json`]): the same flow either way.
//! [`runtime`] writes the processes of the same pods as lines of a Tetragon export.
//!
//! The same recipe gives the same recording. Nothing here reads a file, a clock or the network.

mod chance;
pub mod columns;
mod draw;
mod fleet;
pub mod json;
mod mesh;
pub mod runtime;
mod shops;

use std::time::Duration;

use hindcast_model::Timestamp;

pub use draw::{Application, Draw, End, Traffic};
pub use fleet::{Edge, Episode, Fleet, Node, Outside, Party, Pod, Slot, Speech, Workload};

/// What to make.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Everything random follows from it.
    pub seed: u64,
    /// The first instant.
    pub start: Timestamp,
    /// How much time the recording covers.
    pub duration: Duration,
    /// How many flows, exactly.
    pub n_flows: u64,
    /// Whose traffic.
    pub shape: Shape,
    /// Whether flows carry random uuids, as Hubble's do. They cost 16 bytes a flow that nothing can compress.
    pub has_uuids: bool,
}

/// Whose traffic a recording holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A large fleet at a steady rate: workloads in 40 namespaces over a sparse graph with Zipf-weighted edges.
    Mesh {
        /// How many workloads.
        n_workloads: usize,
        /// How many edges between them.
        n_edges: usize,
        /// How many nodes.
        n_nodes: usize,
    },
    /// Two web shops over some days: a daily rhythm, deploys, cron jobs, and an incident on the last day.
    Shops,
}

impl Shape {
    /// The fleet that the benchmark measures on.
    pub const BENCH: Self = Self::Mesh { n_workloads: 400, n_edges: 3000, n_nodes: 100 };
}

impl Recipe {
    /// Who there is, over the whole recording.
    #[must_use]
    pub fn fleet(&self) -> Fleet {
        match self.shape {
            Shape::Mesh { n_workloads, n_edges, n_nodes } => mesh::fleet(self, n_workloads, n_edges, n_nodes),
            Shape::Shops => shops::fleet(self),
        }
    }

    /// The instant after the last.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.start.saturating_add(self.duration)
    }
}

#[cfg(test)]
mod tests;
