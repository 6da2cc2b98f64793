//! A table of a snapshot, to DataFusion: its segments through the Parquet source, its memory beside them.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_storage::Snapshot;
use parquet::arrow::async_reader::AsyncFileReader;

use crate::Engine;
use crate::engine::{Part, Reader, SegmentBytes, read_folded, shape, time_column, unrolled};

/// The name under which the segments' store is known to a session.
const STORE_URL: &str = "hindcast://segments";

/// A table of a snapshot.
pub(super) struct Table {
    table: TableId,
    schema: SchemaRef,
    snapshot: Snapshot,
    reader: Arc<Reader>,
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "table {}", self.table)
    }
}

impl Table {
    pub(super) fn new(table: TableId, snapshot: Snapshot, engine: Engine) -> Self {
        Self { table, schema: table.schema(), snapshot, reader: engine.reader() }
    }

    async fn segments(
        &self,
        state: &dyn Session,
        range: TimeRange,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let segments = self.snapshot.segments(self.table, range);
        if segments.is_empty() {
            return Ok(None);
        }
        let mut groups = vec![Vec::new(); state.config().target_partitions().max(1).min(segments.len())];
        let n_groups = groups.len();
        for (position, segment) in segments.into_iter().enumerate() {
            let reader =
                self.reader.open(&segment).await.map_err(|error| DataFusionError::External(Box::new(error)))?;
            let file = PartitionedFile::new(segment.path.to_string(), segment.n_bytes)
                .with_extension(SegmentBytes { metadata: Arc::clone(reader.metadata()), segment });
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
        let schema = datafusion::common::DFSchema::try_from(Arc::clone(&self.schema))?;
        let predicate = datafusion::logical_expr::utils::conjunction(filters.iter().cloned());
        if let Some(predicate) = predicate {
            source = source.with_predicate(state.create_physical_expr(predicate, &schema)?);
        }
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(Some(DataSourceExec::from_data_source(config)))
    }

    fn memory(
        &self,
        state: &dyn Session,
        range: TimeRange,
        projection: Option<&Vec<usize>>,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let batches = self.snapshot.memory(self.table, range);
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
            if let Some(partition) = partitions.get_mut(position % n_partitions) {
                partition.push(records);
            }
        }
        let exec = MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&self.schema), projection.cloned())?;
        Ok(Some(exec))
    }

    /// What a roll-up has in no segment of its own, folded while it is read.
    async fn unrolled(
        &self,
        state: &dyn Session,
        range: TimeRange,
        projection: Option<&Vec<usize>>,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let parts = unrolled(&self.reader, &self.snapshot, self.table, range).await;
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
        let schema = &self.schema;
        let streams = groups.into_iter().map(|parts| {
            let stream = Unrolled { table: self.table, schema: Arc::clone(schema), parts };
            Arc::new(stream) as Arc<dyn PartitionStream>
        });
        let exec = StreamingTableExec::try_new(Arc::clone(schema), streams.collect(), projection, [], false, None)?;
        Ok(Some(Arc::new(exec)))
    }
}

/// Parts of flows read as edges.
struct Unrolled {
    table: TableId,
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
        let table = self.table;
        let edges = futures::stream::iter(self.parts.clone()).then(move |part| async move {
            read_folded(&part, table).await.map_err(|error| DataFusionError::External(Box::new(error)))
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
        let range = time_range(time_column(self.table), filters);
        // A limit counts what the scan gives, so it only holds where nothing is left out behind it.
        let limit = limit.filter(|_| filters.is_empty());
        let sealed = self.segments(state, range, projection, filters, limit).await?;
        let unsealed = self.memory(state, range, projection)?;
        let unrolled = self.unrolled(state, range, projection).await?;
        let mut plans = [unsealed, unrolled, sealed].into_iter().flatten().collect::<Vec<_>>();
        match (plans.pop(), plans.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                plans.push(last);
                UnionExec::try_new(plans)
            }
            (None, _) => {
                let schema = match projection {
                    Some(columns) => Arc::new(self.schema.project(columns)?),
                    None => Arc::clone(&self.schema),
                };
                Ok(Arc::new(EmptyExec::new(schema)))
            }
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
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
