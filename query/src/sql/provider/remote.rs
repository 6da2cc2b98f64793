//! Rows of a table that are in ClickHouse only, as a source of a statement.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt as _;
use hindcast_storage::{Remote, RemoteColumn, RemoteSelect};

use super::{Asked, Table};
use crate::engine::shape;
use crate::remote::{select, statement};

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
    let rows = Rows { remote, question, schema: Arc::clone(&schema) };
    let exec = StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, [], false, None)?;
    Ok(Some(Arc::new(exec)))
}

struct Rows {
    remote: Remote,
    question: RemoteSelect,
    schema: SchemaRef,
}

impl fmt::Debug for Rows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rows in ClickHouse where {}", self.question.condition.as_deref().unwrap_or("1"))
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let rows = futures::stream::iter(self.remote.select(&self.question)).flatten();
        let rows = rows.map(move |records| {
            let shaped = records.map_err(crate::QueryError::from).and_then(|records| shape(&records, &schema));
            shaped.map_err(|error| DataFusionError::External(Box::new(error)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
