//! A table of a snapshot, to DataFusion: its segments through the Parquet source, its memory beside them.

use std::fmt;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_storage::{Segment, Snapshot};
use parquet::arrow::async_reader::AsyncFileReader;

use crate::engine::{Part, Reader, SegmentBytes, inside, read_folded, shape, time_column, unrolled};
use crate::{Engine, Limits};

mod fold;
mod remote;

pub(super) use fold::FoldThere;

/// The name under which the segments' store is known to a session.
const STORE_URL: &str = "hindcast://segments";

/// A table of a snapshot.
pub(super) struct Table {
    table: TableId,
    schema: SchemaRef,
    snapshot: Snapshot,
    reader: Arc<Reader>,
    limits: Limits,
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "table {}", self.table)
    }
}

impl Table {
    pub(super) fn new(table: TableId, snapshot: Snapshot, engine: &Engine, limits: Limits) -> Self {
        Self { table, schema: table.schema(), snapshot, reader: engine.reader(), limits }
    }

    /// Segments with a row in the time asked for. Of those that lie in it whole the time need not be read.
    async fn segments(
        &self,
        state: &dyn Session,
        asked: &Asked<'_>,
        limit: Option<usize>,
    ) -> Result<Vec<Arc<dyn ExecutionPlan>>> {
        let segments = self.snapshot.segments(self.table, asked.range);
        let (whole, ragged): (Vec<_>, Vec<_>) =
            segments.into_iter().partition(|segment| asked.range.covers(segment.min_time, segment.max_time));
        let mut plans = Vec::new();
        if !ragged.is_empty() {
            let mut columns = asked.columns.clone();
            if !columns.contains(&asked.time) {
                columns.push(asked.time);
            }
            let source = self.scan_of(state, &ragged, &columns, asked.filters, None).await?;
            plans.push(asked.cut(state, source)?);
        }
        if !whole.is_empty() {
            plans.push(self.scan_of(state, &whole, &asked.columns, &asked.rest, limit).await?);
        }
        Ok(plans)
    }

    async fn scan_of(
        &self,
        state: &dyn Session,
        segments: &[Arc<Segment>],
        columns: &[usize],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut groups = vec![Vec::new(); state.config().target_partitions().max(1).min(segments.len())];
        let n_groups = groups.len();
        for (position, segment) in segments.iter().enumerate() {
            let reader = self.reader.open(segment).await.map_err(|error| DataFusionError::External(Box::new(error)))?;
            let bytes = SegmentBytes { metadata: Arc::clone(reader.metadata()), segment: Arc::clone(segment) };
            let file = PartitionedFile::new(segment.path.to_string(), segment.n_bytes).with_extension(bytes);
            if let Some(group) = groups.get_mut(position % n_groups) {
                group.push(file);
            }
        }
        let mut source = ParquetSource::new(Arc::clone(&self.schema))
            .with_parquet_file_reader_factory(Arc::new(Bytes))
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_enable_page_index(true)
            .with_bloom_filter_on_read(true)
            .with_pushdown_filters(true);
        let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        if let Some(predicate) = conjunction(filters.iter().cloned()) {
            source = source.with_predicate(state.create_physical_expr(predicate, &schema)?);
        }
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(Some(columns.to_vec()))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn memory(&self, state: &dyn Session, asked: &Asked<'_>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let batches = self.snapshot.memory(self.table, asked.range);
        if batches.is_empty() {
            return Ok(None);
        }
        let mut partitions: Vec<Vec<RecordBatch>> = vec![Vec::new(); state.config().target_partitions().max(1)];
        let n_partitions = partitions.len();
        for (position, batch) in batches.into_iter().enumerate() {
            let records = shape(&batch.records, &self.schema)
                .and_then(|records| {
                    RecordBatch::try_new(Arc::clone(&self.schema), records.columns().to_vec())
                        .map_err(crate::QueryError::internal("bring memory into its table's schema"))
                })
                .map_err(|error| DataFusionError::External(Box::new(error)))?;
            let records = if asked.range.covers(batch.min_time, batch.max_time) {
                records
            } else {
                let rows = BooleanArray::new(inside(&records, time_column(self.table), asked.range), None);
                filter_record_batch(&records, &rows)?
            };
            if let Some(partition) = partitions.get_mut(position % n_partitions) {
                partition.push(records);
            }
        }
        let columns = Some(asked.columns.clone());
        let exec = MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&self.schema), columns)?;
        Ok(Some(exec))
    }

    /// What a roll-up has in no segment of its own, folded while it is read.
    async fn unrolled(&self, state: &dyn Session, asked: &Asked<'_>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let parts = unrolled(&self.reader, &self.snapshot, self.table, asked.range).await;
        let parts = parts.map_err(|error| DataFusionError::External(Box::new(error)))?;
        if parts.is_empty() {
            return Ok(None);
        }
        let n_groups = state.config().target_partitions().max(1).min(parts.len());
        let mut groups = vec![Vec::new(); n_groups];
        for (position, part) in parts.into_iter().enumerate() {
            if let Some(group) = groups.get_mut(position % n_groups) {
                group.push(part);
            }
        }
        let schema = Arc::new(self.schema.project(&asked.columns)?);
        let streams = groups.into_iter().map(|parts| {
            let stream = Unrolled { table: self.table, range: asked.range, schema: Arc::clone(&schema), parts };
            Arc::new(stream) as Arc<dyn PartitionStream>
        });
        let exec = StreamingTableExec::try_new(Arc::clone(&schema), streams.collect(), None, [], false, None)?;
        Ok(Some(Arc::new(exec)))
    }
}

/// What a scan is to give.
struct Asked<'a> {
    /// Rows of this time, and no others: the statement does not look at it again.
    range: TimeRange,
    /// Positions of the columns.
    columns: Vec<usize>,
    /// Position of the time.
    time: usize,
    /// All that the statement says of the rows.
    filters: &'a [Expr],
    /// What it says beside the time; rows are looked at again.
    rest: Vec<Expr>,
}

impl Asked<'_> {
    /// Leaves out rows of another time; `source` gives the columns and, if it is not among them, the time behind them.
    fn cut(&self, state: &dyn Session, source: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = source.schema();
        let time = schema.field(self.columns.iter().position(|at| *at == self.time).unwrap_or(self.columns.len()));
        let bound = |time: Timestamp| lit(ScalarValue::TimestampNanosecond(Some(time.as_nanos()), Some("UTC".into())));
        let column = || Expr::Column(Column::from_name(time.name()));
        let within = column().gt_eq(bound(self.range.start())).and(column().lt(bound(self.range.end())));
        let predicate = state.create_physical_expr(within, &DFSchema::try_from(Arc::clone(&schema))?)?;
        let kept = (0..self.columns.len()).collect();
        let filter = FilterExecBuilder::new(predicate, source).apply_projection(Some(kept))?.build()?;
        Ok(Arc::new(filter))
    }
}

/// Parts of flows read as edges.
struct Unrolled {
    table: TableId,
    range: TimeRange,
    schema: SchemaRef,
    parts: Vec<Part>,
}

impl fmt::Debug for Unrolled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} parts of flows as {}", self.parts.len(), self.table)
    }
}

impl PartitionStream for Unrolled {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (table, range, schema) = (self.table, self.range, Arc::clone(&self.schema));
        let edges = futures::stream::iter(self.parts.clone()).then(move |part| {
            let schema = Arc::clone(&schema);
            async move {
                let columns = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
                let folded = read_folded(&part, table, range, &columns).await;
                let folded = folded.and_then(|folded| shape(&folded, &schema));
                folded.map_err(|error| DataFusionError::External(Box::new(error)))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), edges))
    }
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let time = time_column(self.table);
        let asked = Asked {
            range: time_range(time, filters),
            columns: projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect()),
            time: self.schema.index_of(time)?,
            filters,
            rest: filters.iter().filter(|filter| !is_of_time(time, filter)).cloned().collect(),
        };
        // A limit counts what the scan gives, so it only holds where nothing is left out behind it.
        let limit = limit.filter(|_| filters.is_empty());
        let mut plans = self.segments(state, &asked, limit).await?;
        plans.extend(self.memory(state, &asked)?);
        plans.extend(self.unrolled(state, &asked).await?);
        plans.extend(remote::plan(self, &asked)?);
        match (plans.pop(), plans.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                plans.push(last);
                UnionExec::try_new(plans)
            }
            (None, _) => {
                let schema = self.schema.project(&asked.columns)?;
                Ok(Arc::new(EmptyExec::new(Arc::new(schema))))
            }
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let time = time_column(self.table);
        let pushed = filters.iter().map(|filter| match is_of_time(time, filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        });
        Ok(pushed.collect())
    }
}

/// Makes the segments' store known to a session.
pub(super) fn register_store(context: &SessionContext, snapshot: &Snapshot) {
    if let Ok(url) = ObjectStoreUrl::parse(STORE_URL) {
        let _replaced = context.runtime_env().register_object_store(url.as_ref(), snapshot.object_store());
    }
}

/// Reads segments with the footer that is known already.
#[derive(Debug)]
struct Bytes;

impl ParquetFileReaderFactory for Bytes {
    fn create_reader(
        &self,
        _partition: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        match file.extension::<SegmentBytes>() {
            Some(segment) => Ok(Box::new(segment.clone())),
            None => Err(DataFusionError::Internal("a file that is no segment".to_owned())),
        }
    }
}

/// What filters say about the time, as far as plain comparisons say it.
fn time_range(column: &str, filters: &[Expr]) -> TimeRange {
    let (mut start, mut end) = (i64::MIN, i64::MAX);
    for filter in filters {
        let _is_all = narrow(column, filter, &mut start, &mut end);
    }
    TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end.max(start))).unwrap_or(TimeRange::ALL)
}

/// Whether a filter is a plain comparison with the time.
fn is_of_time(column: &str, filter: &Expr) -> bool {
    let (mut start, mut end) = (i64::MIN, i64::MAX);
    narrow(column, filter, &mut start, &mut end)
}

/// Narrows a range to what a filter says of the time; whether that is all that it says.
pub(super) fn narrow(column: &str, filter: &Expr, start: &mut i64, end: &mut i64) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return false };
    if *op == Operator::And {
        let left = narrow(column, left, start, end);
        return narrow(column, right, start, end) && left;
    }
    let (time, op) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(found), Expr::Literal(ScalarValue::TimestampNanosecond(Some(time), _), _))
            if found.name == column =>
        {
            (*time, *op)
        }
        (Expr::Literal(ScalarValue::TimestampNanosecond(Some(time), _), _), Expr::Column(found))
            if found.name == column =>
        {
            (*time, op.swap().unwrap_or(*op))
        }
        _ => return false,
    };
    let next = time.saturating_add(1);
    match op {
        Operator::Gt => *start = (*start).max(next),
        Operator::GtEq => *start = (*start).max(time),
        Operator::Lt => *end = (*end).min(time),
        Operator::LtEq => *end = (*end).min(next),
        Operator::Eq => {
            *start = (*start).max(time);
            *end = (*end).min(next);
        }
        _ => return false,
    }
    true
}
