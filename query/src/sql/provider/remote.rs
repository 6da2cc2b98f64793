//! Rows of a table that are in ClickHouse only, as a source of a statement.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::StreamExt as _;
use hindcast_model::TableId;
use hindcast_storage::{Remote, RemoteColumn, RemoteSelect};

use super::{Asked, Table};
use crate::engine::shape;
use crate::remote::{Said, select, statement};

/// What a scan reads there, if anything. Rows of another time are left out by the server; what else the statement says
/// of rows is looked at again.
pub(super) fn plan(table: &Table, asked: &Asked<'_>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(remote) = table.snapshot.remote(table.table, asked.range) else { return Ok(None) };
    if remote.is_away() {
        return Ok(None);
    }
    let schema = Arc::new(table.schema.project(&asked.columns)?);
    let mut question = select(&table.limits, table.limits.max_time);
    question.columns = schema.fields().iter().map(|field| RemoteColumn::plain(field.name())).collect();
    if question.columns.is_empty() {
        // Rows are counted by it.
        question.columns.push(RemoteColumn { expression: "1".to_owned(), name: "hindcast_row".to_owned() });
    }
    question.condition = statement::condition(table.table, &asked.rest);
    Ok(Some(Arc::new(RemoteExec::new(table.table, remote, question, schema))))
}

/// A question to ClickHouse and what it gives.
#[derive(Clone)]
pub(super) struct RemoteExec {
    table: TableId,
    remote: Remote,
    question: RemoteSelect,
    schema: SchemaRef,
    /// Whether the server folds rows.
    is_folded: bool,
    properties: Arc<PlanProperties>,
}

impl RemoteExec {
    fn new(table: TableId, remote: Remote, question: RemoteSelect, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { table, remote, question, schema, is_folded: false, properties: Arc::new(properties) }
    }

    /// Its columns as the server would say them; `None` if it gives no rows of the table any more.
    pub(super) fn columns(&self) -> Option<Vec<Option<Said>>> {
        let columns = self.schema.fields().iter().map(|field| {
            let known = self.table.columns().iter().find(|known| known.name == field.name())?;
            Said::column(known.name, known.kind)
        });
        (!self.is_folded).then(|| columns.collect())
    }

    /// The same rows, and only those that meet the conditions, folded: `columns` in the form of `schema`.
    pub(super) fn folded(
        &self,
        conditions: &[String],
        columns: Vec<RemoteColumn>,
        group_by: Vec<String>,
        schema: SchemaRef,
    ) -> Self {
        let all = self.question.condition.iter().chain(conditions).map(|condition| format!("({condition})"));
        let all = all.collect::<Vec<_>>();
        let condition = (!all.is_empty()).then(|| all.join(" AND "));
        let question = RemoteSelect { columns, condition, group_by, ..self.question.clone() };
        Self { is_folded: true, ..Self::new(self.table, self.remote.clone(), question, schema) }
    }
}

impl fmt::Debug for RemoteExec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_folded { "folded" } else { "rows" };
        write!(formatter, "ClickHouse: {what} of {}", self.table)?;
        if let Some(condition) = &self.question.condition {
            write!(formatter, " where {condition}")?;
        }
        if !self.question.group_by.is_empty() {
            write!(formatter, " by {}", self.question.group_by.join(", "))?;
        }
        Ok(())
    }
}

impl DisplayAs for RemoteExec {
    fn fmt_as(&self, _format: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl ExecutionPlan for RemoteExec {
    fn name(&self) -> &'static str {
        "RemoteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _see: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _none: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (schema, is_folded) = (Arc::clone(&self.schema), self.is_folded);
        let rows = futures::stream::iter(self.remote.select(&self.question)).flatten();
        let rows = rows.map(move |records| {
            let records = records.map_err(crate::QueryError::from);
            let shaped = match is_folded {
                true => records.and_then(|records| formed(&records, &schema)),
                false => records.and_then(|records| shape(&records, &schema)),
            };
            shaped.map_err(|error| DataFusionError::External(Box::new(error)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }
}

/// The columns in the types of a schema, by their places.
fn formed(records: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, crate::QueryError> {
    let failed = crate::QueryError::internal("bring an answer of ClickHouse into its form");
    let columns = records.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<std::result::Result<Vec<ArrayRef>, _>>().map_err(&failed)?;
    let options = RecordBatchOptions::new().with_row_count(Some(records.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(failed)
}
