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
    step(8, "stores", include_str!("../clickhouse/0008-stores.sql")),
    step(9, "edges-1m", include_str!("../clickhouse/0009-edges-1m.sql")),
    step(10, "edges-1m-view", include_str!("../clickhouse/0010-edges-1m-view.sql")),
    step(11, "edges-1h", include_str!("../clickhouse/0011-edges-1h.sql")),
    step(12, "edges-1h-view", include_str!("../clickhouse/0012-edges-1h-view.sql")),
    step(13, "flows-skip-indexes", include_str!("../clickhouse/0013-flows-skip-indexes.sql")),
    step(14, "flows-range-indexes", include_str!("../clickhouse/0014-flows-range-indexes.sql")),
    step(15, "flows-merges", include_str!("../clickhouse/0015-flows-merges.sql")),
    step(16, "edges-1m-merges", include_str!("../clickhouse/0016-edges-1m-merges.sql")),
    step(17, "edges-1h-merges", include_str!("../clickhouse/0017-edges-1h-merges.sql")),
];

/// Flows as edges.
const FOLD: &str = include_str!("../clickhouse/fold.sql");

/// The question that folds flows into edges, with buckets of `width_ns` nanoseconds. `from` is a table, or a table and
/// a condition, or a question in brackets. It has the columns of the tables of edges, `segment_store` included.
#[must_use]
pub fn fold(from: &str, width_ns: i64) -> String {
    let (_comment, text) = FOLD.split_once('\n').unwrap_or(("", FOLD));
    let mut text = text.replace("{width}", &width_ns.to_string());
    for names in ["src_names", "dst_names"] {
        text = text.replace(&format!("{{first_name {names}}}"), &first_name(names));
    }
    text.replace("{from}", from)
}

/// The first item of a list in the form that the column has: items joined by commas, a comma or a backslash inside of
/// an item behind a backslash, a lone empty item as `\e`.
fn first_name(names: &str) -> String {
    let item = format!(r"extract({names}, '^((?:[^,\\\\]|\\\\.)*)')");
    format!(r"if(isNull({names}), NULL, if({item} = '\\e', '', replaceRegexpAll({item}, '\\\\(.)', '\\1')))")
}

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
        let engine = |name: &str| match self.cluster {
            Some(_) => {
                format!("Replicated{name}('/clickhouse/tables/{{shard}}/{{database}}/{{table}}', '{{replica}}')")
            }
            None => name.to_owned(),
        };
        let flows = format!("{}.flows", self.database);
        // The engine's own placeholders are the server's macros, so engines go in last.
        step.sql
            .replace("{fold 60000000000}", &fold(&flows, 60_000_000_000))
            .replace("{database}", self.database)
            .replace("{on_cluster}", &self.on_cluster())
            .replace("{merge_tree}", &engine("MergeTree"))
            .replace("{aggregating_merge_tree}", &engine("AggregatingMergeTree"))
    }

    /// What stands behind the name of a table in a statement for all of a cluster; empty for one server.
    #[must_use]
    pub fn on_cluster(&self) -> String {
        self.cluster.map_or_else(String::new, |cluster| format!(" ON CLUSTER {cluster}"))
    }
}

#[cfg(test)]
mod tests;
