//! The steps of the schema in ClickHouse: one statement each, which may be applied again.
//!
//! A step names `{database}`, `{on_cluster}` and `{merge_tree}`; [`Form`] says what stands there. The table
//! `schema_migrations` keeps which steps were applied. Whoever has a connection runs them; here is no network.

use crate::Step;

/// The steps, in order.
pub const STEPS: &[Step] = &[
    step(1, "schema-migrations", include_str!("../clickhouse/0001-schema-migrations.sql")),
    step(2, "flows", include_str!("../clickhouse/0002-flows.sql")),
    step(3, "runtime-events", include_str!("../clickhouse/0003-runtime-events.sql")),
    step(4, "agent-events", include_str!("../clickhouse/0004-agent-events.sql")),
    step(5, "workloads", include_str!("../clickhouse/0005-workloads.sql")),
    step(6, "policies", include_str!("../clickhouse/0006-policies.sql")),
    step(7, "losses", include_str!("../clickhouse/0007-losses.sql")),
];

const fn step(version: u32, name: &'static str, sql: &'static str) -> Step {
    Step { version, name, sql }
}

/// In which form the steps are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form<'a> {
    /// The database. Requires: a name of letters, digits and underscores.
    pub database: &'a str,
    /// The cluster on which every statement is run, with replicated tables; `None` for one server.
    pub cluster: Option<&'a str>,
}

impl Form<'_> {
    /// The statement that makes the database.
    #[must_use]
    pub fn create_database(&self) -> String {
        format!("CREATE DATABASE IF NOT EXISTS {}{}", self.database, self.on_cluster())
    }

    /// The statement of a step.
    #[must_use]
    pub fn statement(&self, step: &Step) -> String {
        let engine = if self.cluster.is_some() {
            "ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"
        } else {
            "MergeTree"
        };
        // The engine's own placeholders are the server's macros, so it goes in last.
        step.sql
            .replace("{database}", self.database)
            .replace("{on_cluster}", &self.on_cluster())
            .replace("{merge_tree}", engine)
    }

    fn on_cluster(&self) -> String {
        self.cluster.map_or_else(String::new, |cluster| format!(" ON CLUSTER {cluster}"))
    }
}

#[cfg(test)]
mod tests;
