//! `ORDER BY time DESC LIMIT n`: the commonest question in SQL, too.
//!
//! DataFusion would read every row to find the last ones. The engine finds the time of the n-th row reading little
//! more than the time, and the scan is told that no row beyond it is needed: segments, row groups and rows fall away
//! before their other columns are read. The statement is worked out as before; only its scan is narrower.

use arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, SortExpr, TableScan, binary_expr};
use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_storage::Snapshot;

use super::provider::narrow;
use crate::engine::{time_column, times};
use crate::{Engine, EventQuery, Limits, Order, Pick};

/// Most rows that are looked for ahead of a statement.
const MAX_ROWS: usize = 20_000;

/// What a statement asks of a table's time.
struct Asked {
    table: TableId,
    range: TimeRange,
    n_rows: usize,
    is_newest: bool,
}

/// The optimised plan with a narrower scan, if the statement asks for the first or last rows of a table.
pub(super) async fn narrowed(
    engine: &Engine,
    snapshot: &Snapshot,
    plan: LogicalPlan,
    limits: Limits,
) -> Result<Option<LogicalPlan>, DataFusionError> {
    let Some(asked) = asked(&plan) else { return Ok(None) };
    let Some(last) = last_time(engine, snapshot, &asked, limits).await else { return Ok(None) };
    let time = time_column(asked.table);
    let operator = if asked.is_newest { Operator::GtEq } else { Operator::LtEq };
    let narrowed = plan.transform_down(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let column = Expr::Column(Column::new(Some(scan.table_name.clone()), time));
        let bound = ScalarValue::TimestampNanosecond(Some(last), Some("UTC".into()));
        scan.filters.push(binary_expr(column, operator, Expr::Literal(bound, None)));
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(Some(narrowed.data))
}

/// Whether a plan may be one for [`narrowed`]; cheap, and asked before the plan is optimised.
pub(super) const fn is_candidate(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Limit(_))
}

/// The time of the last of the rows asked for; `None` if there are fewer.
async fn last_time(engine: &Engine, snapshot: &Snapshot, asked: &Asked, limits: Limits) -> Option<i64> {
    let count = u64::try_from(asked.n_rows).ok()?;
    let (pick, order) = if asked.is_newest {
        (Pick::Newest(count), Order::Descending)
    } else {
        (Pick::Oldest(count), Order::Ascending)
    };
    let time = time_column(asked.table);
    let query = EventQuery {
        range: asked.range,
        pick,
        order,
        columns: Some(vec![time]),
        limits: Limits { max_rows: u64::MAX, ..limits },
        ..EventQuery::all(asked.table)
    };
    // What cannot be read here is read by the statement, which then says why it cannot.
    let (records, cut, _) = engine.events_beside(snapshot, query).ok()?.collect_all().await.ok()?;
    let found = (cut.is_none() && records.num_rows() == asked.n_rows).then(|| last_of(&records, time));
    found.flatten()
}

fn last_of(records: &RecordBatch, time: &str) -> Option<i64> {
    times(records, time).last().copied()
}

/// What a plan asks, if it is a sort by time with a limit over a plain scan: then its first rows are those of the
/// scan's time range.
fn asked(plan: &LogicalPlan) -> Option<Asked> {
    let mut node = plan;
    let sort = loop {
        match node {
            // The limit above a sort has become part of it; what is left above only skips.
            LogicalPlan::Limit(limit) => node = &limit.input,
            LogicalPlan::Projection(projection) => node = &projection.input,
            LogicalPlan::Sort(sort) => break sort,
            _ => return None,
        }
    };
    let n_rows = sort.fetch.filter(|count| (1..=MAX_ROWS).contains(count))?;
    let first = sort.expr.first()?;
    let mut filters = Vec::new();
    let mut below: &LogicalPlan = &sort.input;
    let mut renamed = false;
    let scan = loop {
        match below {
            LogicalPlan::Projection(projection) => {
                renamed |= projection.expr.iter().any(|expr| is_alias_of(expr, first));
                below = &projection.input;
            }
            LogicalPlan::SubqueryAlias(alias) => below = &alias.input,
            LogicalPlan::Filter(filter) => {
                filters.push(&filter.predicate);
                below = &filter.input;
            }
            LogicalPlan::TableScan(scan) => break scan,
            _ => return None,
        }
    };
    let table = table_of(scan).filter(|_| !renamed && scan.fetch.is_none())?;
    // Rows of a roll-up need not be stored: the engine may see others than the statement does.
    let is_derived = matches!(table, TableId::Edges1m | TableId::Edges1h);
    if is_derived || !is_time(first, time_column(table)) {
        return None;
    }
    let (mut start, mut end) = (i64::MIN, i64::MAX);
    let mut filters = filters.into_iter().chain(&scan.filters);
    if !filters.all(|filter| narrow(time_column(table), filter, &mut start, &mut end)) {
        return None;
    }
    let range = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end)).ok()?;
    Some(Asked { table, range, n_rows, is_newest: !first.asc })
}

/// A column of a table, not one that a statement made up under the same name.
fn is_time(sort: &SortExpr, time: &str) -> bool {
    matches!(&sort.expr, Expr::Column(column) if column.name == time && column.relation.is_some())
}

fn is_alias_of(expr: &Expr, sort: &SortExpr) -> bool {
    match (expr, &sort.expr) {
        (Expr::Alias(alias), Expr::Column(column)) => alias.name == column.name,
        _ => false,
    }
}

fn table_of(scan: &TableScan) -> Option<TableId> {
    TableId::ALL.into_iter().find(|table| table.name() == scan.table_name.table())
}
