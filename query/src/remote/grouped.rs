//! Rows that only count are folded by the server: one row comes back for all that a question does not tell apart.

use std::collections::BTreeSet;

use hindcast_model::TableId;
use hindcast_storage::{RemoteColumn, RemoteSelect};

use super::condition::Condition;
use crate::engine::time_column;

/// The column that says how many rows a group has.
pub(crate) const ROWS: &str = "hindcast_rows";

/// How values of a group become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Sum,
    Least,
    Greatest,
}

impl Aggregate {
    const fn function(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Least => "min",
            Self::Greatest => "max",
        }
    }
}

/// What a question does not tell apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grouping {
    /// Columns that become one value per group; every other one tells groups apart.
    pub(crate) aggregates: Vec<(&'static str, Aggregate)>,
    /// Start of the first bucket and width of all, nanoseconds: times of one bucket are one time.
    pub(crate) bucket: Option<(i64, i64)>,
}

impl Grouping {
    /// Whether one of these columns does not come as it is.
    pub(crate) fn touches(&self, table: TableId, columns: &BTreeSet<&'static str>) -> bool {
        let is_bucketed = self.bucket.is_some() && columns.contains(time_column(table));
        is_bucketed || self.aggregates.iter().any(|(name, _)| columns.contains(name))
    }
}

/// Adds the columns to a question, grouped.
pub(crate) fn grouped(
    mut select: RemoteSelect,
    table: TableId,
    columns: &[&'static str],
    condition: &Condition,
    grouping: &Grouping,
) -> RemoteSelect {
    let time = time_column(table);
    let mut seen: Vec<&str> = Vec::new();
    for column in columns {
        if seen.contains(column) {
            continue;
        }
        seen.push(column);
        let aggregate = grouping.aggregates.iter().find(|(name, _)| name == column);
        let expression = match (aggregate, grouping.bucket) {
            (Some((name, aggregate)), _) => format!("{}({name})", aggregate.function()),
            (None, Some((start, width))) if *column == time => {
                let key = format!(
                    "fromUnixTimestamp64Nano({start} + intDiv(toUnixTimestamp64Nano({time}) - ({start}), {width}) * {width}, 'UTC')"
                );
                select.group_by.push(key.clone());
                key
            }
            (None, _) => {
                select.group_by.push((*column).to_owned());
                (*column).to_owned()
            }
        };
        select.columns.push(RemoteColumn { expression, name: (*column).to_owned() });
    }
    select.columns.push(RemoteColumn { expression: "count()".to_owned(), name: ROWS.to_owned() });
    select.condition.clone_from(&condition.text);
    select
}
