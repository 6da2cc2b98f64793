//! Aggregates over rows in ClickHouse are begun there: it gives what the first half of an aggregate gives, a row for
//! each group, instead of the rows. Rows that are here are folded here, and both are put together as ever.
//!
//! Only where the server does just what is done here; else the rows come, and nothing changes.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use hindcast_storage::RemoteColumn;

use super::remote::RemoteExec;
use crate::remote::{Is, Said, exact_condition, said};

/// The rule.
#[derive(Debug)]
pub(crate) struct FoldThere;

impl PhysicalOptimizerRule for FoldThere {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| match split_fold(&node)? {
            Some(split) => Ok(Transformed::yes(split)),
            None => Ok(Transformed::no(node)),
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "fold_there"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What a plan reads, apart: rows that are here, and rows in ClickHouse under conditions.
struct Split {
    here: Option<Arc<dyn ExecutionPlan>>,
    there: RemoteExec,
    conditions: Vec<String>,
    columns: Vec<Option<Said>>,
}

/// The first half of an aggregate with the rows in ClickHouse folded there.
fn split_fold(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let groups = aggregate.group_expr();
    let is_plain = *aggregate.mode() == AggregateMode::Partial
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.limit_options().is_none()
        && (groups.is_empty() || (groups.is_single() && groups.null_expr().iter().all(|(null, _)| is_null(null))));
    if !is_plain {
        return Ok(None);
    }
    let Some(split) = split(aggregate.input())? else { return Ok(None) };
    let Some((columns, group_by)) = folded(aggregate, &split, &node.schema()) else { return Ok(None) };
    let there: Arc<dyn ExecutionPlan> =
        Arc::new(split.there.folded(&split.conditions, columns, group_by, node.schema()));
    let Some(here) = split.here else { return Ok(Some(there)) };
    let here = replace_children_if_necessary(Arc::clone(node), vec![here])?;
    Ok(Some(UnionExec::try_new(vec![here, there])?))
}

fn is_null(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Literal>().is_some_and(|literal| literal.value().is_null())
}

/// The columns that stand for the first half of an aggregate, and what tells its groups apart.
fn folded(aggregate: &AggregateExec, split: &Split, schema: &SchemaRef) -> Option<(Vec<RemoteColumn>, Vec<String>)> {
    let mut group_by = Vec::new();
    for (expr, _) in aggregate.group_expr().expr() {
        // A constant would be taken for the number of a column.
        let is_constant = expr.downcast_ref::<Literal>().is_some();
        group_by.push(said(expr, &split.columns).filter(|said| !is_constant && said.is != Is::Float)?.text);
    }
    let mut expressions = group_by.clone();
    for function in aggregate.aggr_expr() {
        expressions.extend(halves(function, &split.columns)?);
    }
    let names = (0..expressions.len()).map(|number| format!("hindcast_{number}"));
    let columns = expressions.into_iter().zip(names).map(|(expression, name)| RemoteColumn { expression, name });
    let columns = columns.collect::<Vec<_>>();
    (columns.len() == schema.fields().len()).then_some((columns, group_by))
}

/// What the server has to give for one aggregate function.
fn halves(function: &AggregateFunctionExpr, columns: &[Option<Said>]) -> Option<Vec<String>> {
    if function.is_distinct() || function.ignore_nulls() || !function.order_bys().is_empty() {
        return None;
    }
    let arguments = function.expressions();
    let [argument] = arguments.as_slice() else { return None };
    let types = function.state_fields().ok()?.iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
    let is_constant = argument.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null());
    if function.fun().name() == "count" && is_constant {
        return matches!(types.as_slice(), [DataType::Int64]).then(|| vec!["count()".to_owned()]);
    }
    let Said { text, is } = said(argument, columns)?;
    let is_number = matches!(is, Is::Integer | Is::Float);
    match (function.fun().name(), types.as_slice()) {
        ("count", [DataType::Int64]) => Some(vec![format!("count({text})")]),
        ("sum", [DataType::UInt64 | DataType::Int64]) if is == Is::Integer => Some(vec![format!("sumOrNull({text})")]),
        ("sum", [DataType::Float64]) if is_number => Some(vec![format!("sumOrNull(toFloat64({text}))")]),
        ("avg", [DataType::UInt64, DataType::Float64]) if is_number => {
            Some(vec![format!("count({text})"), format!("sumOrNull(toFloat64({text}))")])
        }
        ("min", [_]) if matches!(is, Is::Integer | Is::Time) => Some(vec![format!("minOrNull({text})")]),
        ("max", [_]) if matches!(is, Is::Integer | Is::Time) => Some(vec![format!("maxOrNull({text})")]),
        _ => None,
    }
}

/// Takes what a plan reads apart, if there is something of it in ClickHouse and all between is said there too.
fn split(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Split>> {
    if let Some(remote) = plan.downcast_ref::<RemoteExec>() {
        let columns = remote.columns();
        return Ok(columns.map(|columns| Split { here: None, there: remote.clone(), conditions: Vec::new(), columns }));
    }
    if let Some(union) = plan.downcast_ref::<UnionExec>() {
        let (there, mut here): (Vec<_>, Vec<_>) =
            union.inputs().iter().cloned().partition(|input| input.downcast_ref::<RemoteExec>().is_some());
        let [there] = there.as_slice() else { return Ok(None) };
        let Some(split) = split(there)? else { return Ok(None) };
        let here = if here.len() == 1 { here.pop() } else { Some(UnionExec::try_new(here)?) };
        return Ok(Some(Split { here, ..split }));
    }
    let children = plan.children();
    let [input] = children.as_slice() else { return Ok(None) };
    let Some(below) = split(input)? else { return Ok(None) };
    let Some(above) = through(plan, &below) else { return Ok(None) };
    let here = below.here.map(|here| replace_children_if_necessary(Arc::clone(plan), vec![here])).transpose()?;
    Ok(Some(Split { here, ..above }))
}

/// What a plan makes of the rows in ClickHouse, if it can be said there.
fn through(plan: &Arc<dyn ExecutionPlan>, below: &Split) -> Option<Split> {
    let (mut conditions, mut columns) = (below.conditions.clone(), below.columns.clone());
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        if filter.fetch().is_some() {
            return None;
        }
        conditions.push(exact_condition(filter.predicate(), &columns)?.text);
        if let Some(kept) = filter.projection() {
            columns = kept.iter().map(|position| columns.get(*position).cloned().flatten()).collect();
        }
    } else if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        columns = projection.expr().iter().map(|projected| said(&projected.expr, &columns)).collect();
    } else {
        return None;
    }
    debug_assert_eq!(plan.schema().fields().len(), columns.len(), "as many columns as the plan has");
    Some(Split { here: None, there: below.there.clone(), conditions, columns })
}
