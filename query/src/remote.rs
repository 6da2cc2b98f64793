//! Questions to ClickHouse about the rows that are only there.
//!
//! The server is asked for no row too few ([`condition`] never leaves out a match); what it cannot decide is decided
//! here, by the same evaluator as for every other row (QU-2). Its SQL is built from the syntax tree; a text of the user
//! stands in it as a quoted literal and never as anything else.

pub(crate) mod condition;
mod expression;
mod grouped;
mod literal;
pub(crate) mod statement;
mod window;

pub(crate) use expression::{Is, Said, condition as exact_condition, said};
pub(crate) use grouped::{Aggregate, Grouping, ROWS, grouped};
pub(crate) use window::{Arrived, Span, Window};

use hindcast_storage::{RemoteColumn, RemoteSelect};

use self::condition::Condition;

use crate::Limits;

/// Adds columns to a question, row by row.
pub(crate) fn rows(mut select: RemoteSelect, columns: &[&'static str], condition: &Condition) -> RemoteSelect {
    let mut names = columns.to_vec();
    names.sort_unstable();
    names.dedup();
    select.columns = names.into_iter().map(RemoteColumn::plain).collect();
    select.condition.clone_from(&condition.text);
    select
}

/// How much longer than we do the server may work: what is too slow is cut here, not refused there.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);

/// A question with nothing in it yet, within what is left of a question's limits.
pub(crate) fn select(limits: &Limits, left: std::time::Duration) -> RemoteSelect {
    RemoteSelect {
        max_time: left.saturating_add(GRACE),
        max_memory: limits.max_memory.0.saturating_mul(4),
        ..RemoteSelect::default()
    }
}
