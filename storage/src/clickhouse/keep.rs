//! How long ClickHouse keeps rows: a TTL of each table, which `hindcast migrate apply` sets, and what a recorder makes of
//! it: an hour that may be gone is not in doubt, and does not leave the lake for there.

use std::collections::BTreeMap;
use std::time::Duration;

use hindcast_model::TableId;
use serde::{Deserialize, Serialize};

use super::{Connection, SchemaError};
use crate::ids::{PartitionKey, time_column};
use crate::store::Shared;

/// How long ClickHouse keeps rows of a table; one that is not set keeps all. Directories (`workloads`, `policies`) are
/// small, and needed for as long as there are flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct KeepConfig {
    /// Flows.
    #[serde(with = "humantime_serde")]
    pub flows: Option<Duration>,
    /// Roll-ups by the minute.
    #[serde(with = "humantime_serde")]
    pub edges_1m: Option<Duration>,
    /// Roll-ups by the hour.
    #[serde(with = "humantime_serde")]
    pub edges_1h: Option<Duration>,
    /// Runtime events.
    #[serde(with = "humantime_serde")]
    pub runtime_events: Option<Duration>,
    /// Agent events.
    #[serde(with = "humantime_serde")]
    pub agent_events: Option<Duration>,
    /// Losses.
    #[serde(with = "humantime_serde")]
    pub losses: Option<Duration>,
}

/// Tables that can have a limit, with the option that says it.
const LIMITED: [(TableId, &str); 6] = [
    (TableId::Flows, "clickhouse.keep.flows"),
    (TableId::Edges1m, "clickhouse.keep.edges_1m"),
    (TableId::Edges1h, "clickhouse.keep.edges_1h"),
    (TableId::RuntimeEvents, "clickhouse.keep.runtime_events"),
    (TableId::AgentEvents, "clickhouse.keep.agent_events"),
    (TableId::Losses, "clickhouse.keep.losses"),
];
/// What a roll-up is made of.
const MADE_OF: [(TableId, TableId); 2] = [(TableId::Edges1m, TableId::Flows), (TableId::Edges1h, TableId::Edges1m)];

const DAY: Duration = Duration::from_hours(24);
/// What the server's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_hours(1);
/// Rows go by whole parts, which may hold a day: this long after their time they are gone.
const SURELY: Duration = Duration::from_hours(48);

impl KeepConfig {
    /// The limit of a table.
    #[must_use]
    pub const fn of(&self, table: TableId) -> Option<Duration> {
        match table {
            TableId::Flows => self.flows,
            TableId::Edges1m => self.edges_1m,
            TableId::Edges1h => self.edges_1h,
            TableId::RuntimeEvents => self.runtime_events,
            TableId::AgentEvents => self.agent_events,
            TableId::Losses => self.losses,
            TableId::Workloads | TableId::Policies | TableId::Ingested => None,
        }
    }

    /// Limits that cannot be, each with its option and what may be: a day at least, longer than rows stay in the lake,
    /// and for a roll-up no shorter than for what it is made of.
    pub(crate) fn problems(&self, local_age: Option<Duration>) -> Vec<(&'static str, String, &'static str)> {
        let least = DAY.max(local_age.unwrap_or_default().saturating_add(AHEAD));
        let mut problems = Vec::new();
        for (table, option) in LIMITED {
            let Some(keep) = self.of(table) else { continue };
            let source = MADE_OF.iter().find(|(rollup, _)| *rollup == table).map(|(_, source)| self.of(*source));
            if keep < least {
                problems.push((option, format!("{keep:?}"), "a day at least, and longer than clickhouse.local_age"));
            } else if source.is_some_and(|source| source.is_none_or(|source| keep < source)) {
                problems.push((option, format!("{keep:?}"), "as long at least as what the roll-up is made of"));
            }
        }
        problems
    }
}

/// Whether ClickHouse may have removed rows of an hour because they are old.
pub(crate) fn may_be_over(shared: &Shared, key: PartitionKey) -> bool {
    let keep = shared.config.clickhouse.keep.of(key.table);
    keep.is_some_and(|keep| key.hour.last() < shared.clock.now().saturating_sub(keep.saturating_sub(AHEAD)))
}

/// Whether everything that left the lake with an hour is gone by now, roll-ups included.
pub(crate) fn is_over(shared: &Shared, key: PartitionKey) -> bool {
    let keep = &shared.config.clickhouse.keep;
    let mut limits = crate::maintain::together(key.table).iter().map(|table| keep.of(*table));
    let longest = limits.try_fold(Duration::ZERO, |longest, keep| Some(longest.max(keep?)));
    let longest = longest.filter(|longest| !longest.is_zero());
    longest.is_some_and(|keep| key.hour.last() < shared.clock.now().saturating_sub(keep.saturating_add(SURELY)))
}

/// The TTL of a table as the server shows it; empty for none.
fn expression(table: TableId, keep: Option<Duration>) -> String {
    let time = time_column(table);
    keep.map_or_else(String::new, |keep| format!("toDateTime({time}) + toIntervalSecond({})", keep.as_secs()))
}

/// A table whose TTL is not as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkept {
    /// The table.
    pub table: TableId,
    /// Its TTL on the server; empty for none.
    pub found: String,
    /// The one that is configured.
    pub wanted: String,
}

impl Unkept {
    /// The statement that puts it right. `on_cluster` names the cluster, if there is one.
    pub(super) fn statement(&self, database: &str, on_cluster: &str) -> String {
        let change = match self.wanted.as_str() {
            "" => "REMOVE TTL".to_owned(),
            wanted => format!("MODIFY TTL {wanted}"),
        };
        format!("ALTER TABLE {database}.{}{on_cluster} {change}", self.table)
    }
}

/// The tables whose TTL is not as configured; one that is not there yet has none.
pub(super) async fn unkept(
    connection: &Connection,
    database: &str,
    keep: &KeepConfig,
) -> Result<Vec<Unkept>, SchemaError> {
    let query = format!(
        "SELECT name, extract(engine_full, ' TTL (.+?)(?: SETTINGS |$)') FROM system.tables WHERE database = '{database}'"
    );
    let found: BTreeMap<String, String> =
        connection.rows::<(String, String)>("say how long it keeps rows", &query).await?.into_iter().collect();
    let all = LIMITED.into_iter().map(|(table, _)| Unkept {
        table,
        found: found.get(table.name()).cloned().unwrap_or_default(),
        wanted: expression(table, keep.of(table)),
    });
    Ok(all.filter(|table| table.found != table.wanted).collect())
}
