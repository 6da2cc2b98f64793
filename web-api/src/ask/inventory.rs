//! Who was seen lately: nodes, namespaces, and how many flows.
//!
//! *Lately* is the last hour of the record, up to its newest flow: a server that holds yesterday's recording answers
//! with what was there at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::StreamExt as _;
use hindcast_model::tables::flows;
use hindcast_model::{Kind, TableId, TimeRange, Timestamp};
use hindcast_query::filter::Filter;
use hindcast_query::{EventQuery, Limits};

use crate::doors::Doors;
use crate::fault::Fault;

/// How far back *lately* goes.
const LATELY: Duration = Duration::from_secs(3600);

/// A node that flows were observed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenNode {
    /// `cluster/node`, or the node alone.
    pub(crate) name: String,
    /// Flows lately observed there.
    pub(crate) n_flows: u64,
}

/// The nodes that flows were lately observed on, by name.
pub(crate) async fn nodes(doors: &Arc<Doors>) -> Result<Vec<SeenNode>, Fault> {
    let mut seen = BTreeMap::<String, u64>::new();
    scan(doors, lately(doors), &["cluster", "node"], |view, row| {
        let Some(node) = view.node.get(row) else { return };
        let name = view.cluster.get(row).map_or_else(|| node.to_owned(), |cluster| format!("{cluster}/{node}"));
        *seen.entry(name).or_default() += 1;
    })
    .await?;
    Ok(seen.into_iter().map(|(name, n_flows)| SeenNode { name, n_flows }).collect())
}

/// The namespaces that flows lately came from or went to, by cluster, then by name.
pub(crate) async fn namespaces(doors: &Arc<Doors>) -> Result<Vec<(String, String)>, Fault> {
    let mut seen = BTreeSet::<(String, String)>::new();
    let columns = ["cluster", "src_cluster", "src_namespace", "dst_cluster", "dst_namespace"];
    scan(doors, lately(doors), &columns, |view, row| {
        let here = view.cluster.get(row).unwrap_or("");
        let sides = [
            (view.src_cluster.get(row), view.src_namespace.get(row)),
            (view.dst_cluster.get(row), view.dst_namespace.get(row)),
        ];
        for (cluster, namespace) in sides {
            let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) else { continue };
            let found = (cluster.unwrap_or(here).to_owned(), namespace.to_owned());
            seen.insert(found);
        }
    })
    .await?;
    Ok(seen.into_iter().collect())
}

/// How many flows were observed from an instant on.
pub(crate) async fn n_flows_since(doors: &Arc<Doors>, since: Timestamp) -> Result<u64, Fault> {
    let mut n_flows = 0_u64;
    let range = TimeRange::new(since, Timestamp::MAX).unwrap_or(TimeRange::ALL);
    scan(doors, range, &["flow_count"], |view, row| n_flows += view.flow_count.get(row).unwrap_or(1)).await?;
    Ok(n_flows)
}

fn lately(doors: &Doors) -> TimeRange {
    let last = super::held(doors, TableId::Flows).map_or(Timestamp::MAX, |(_, last)| last);
    TimeRange::new(last.saturating_sub(LATELY), Timestamp::MAX).unwrap_or(TimeRange::ALL)
}

/// Visits columns of the flows in a range.
async fn scan(
    doors: &Arc<Doors>,
    range: TimeRange,
    columns: &[&'static str],
    mut visit: impl FnMut(&flows::View<'_>, usize) + Send,
) -> Result<(), Fault> {
    let query = EventQuery {
        filter: Filter::True,
        range,
        columns: Some(columns.to_vec()),
        limits: Limits { max_rows: u64::MAX, ..Limits::default() },
        ..EventQuery::all(TableId::Flows)
    };
    let mut stream = doors.engine.events(query).await?;
    while let Some(records) = stream.next().await {
        let records: RecordBatch = records?;
        let view = flows::View::new(&records).map_err(|error| Fault::new(Kind::Internal, error.to_string()))?;
        for row in 0..view.n_rows() {
            visit(&view, row);
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}
