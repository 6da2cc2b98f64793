//! Rows under construction: what the kernel told, put into the columns of `flows`, `runtime_events` and `losses`.

mod flows;
mod losses;
mod runtime;

pub(crate) use flows::{End, Traffic};
pub(crate) use losses::Loss;
pub(crate) use runtime::{Event, Hook};

use hindcast_model::tables::{flows as flows_table, losses as losses_table, runtime_events};
use hindcast_model::{Batch, SchemaError, TableId};

/// Where the rows come from, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Cluster of this node; empty for none.
    pub cluster: String,
    /// Name of this node. Part of every `exec_id`: it must not change.
    pub node: String,
    /// What the column `source` says.
    pub source: String,
}

/// The builders of the three tables.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) origin: Origin,
    flows: flows_table::Builder,
    runtime: runtime_events::Builder,
    losses: losses_table::Builder,
}

/// Sets the columns that say where a row comes from.
macro_rules! put_origin {
    ($builder:expr, $origin:expr, $time:expr, $now:expr) => {{
        let row = $builder.row();
        $builder.time.set(row, $time);
        $builder.recorded_at.set(row, $now);
        $builder.source_kind.set(row, hindcast_model::SourceKind::Sensor.as_str());
        for (column, text) in [
            (&mut $builder.cluster, &$origin.cluster),
            (&mut $builder.node, &$origin.node),
            (&mut $builder.source, &$origin.source),
        ] {
            if !text.is_empty() {
                column.set(row, text);
            }
        }
        row
    }};
}
use put_origin;

impl Rows {
    pub(crate) fn new(origin: Origin) -> Self {
        Self { origin, ..Self::default() }
    }

    /// Complete rows of the fullest table.
    pub(crate) fn n_rows(&self) -> usize {
        self.flows.row().max(self.runtime.row()).max(self.losses.row())
    }

    /// The complete rows of each table that has any.
    pub(crate) fn take(&mut self) -> Vec<Result<Batch, SchemaError>> {
        let mut batches = Vec::new();
        let mut push = |table, n_rows: usize, finish: &mut dyn FnMut() -> Result<_, SchemaError>| {
            if n_rows > 0 {
                batches.push(finish().map(|records| Batch { table, records }));
            }
        };
        push(TableId::RuntimeEvents, self.runtime.row(), &mut || self.runtime.finish());
        push(TableId::Flows, self.flows.row(), &mut || self.flows.finish());
        push(TableId::Losses, self.losses.row(), &mut || self.losses.finish());
        batches
    }
}

/// A text in a column, unless it is empty.
fn put(column: &mut hindcast_model::column::DictColumn, row: usize, text: &str) {
    if !text.is_empty() {
        column.set(row, text);
    }
}

#[cfg(test)]
mod tests;
