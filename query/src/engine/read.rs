//! Reading columns of row groups.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, TryStreamExt as _};
use hindcast_model::{TableId, TimeRange};
use hindcast_storage::{Segment, SegmentId, Snapshot};
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::candidates::candidates;
use super::part::Part;
use super::times::TimesCache;
use crate::{Filter, QueryError};

/// Segments whose schema is kept ready.
const MAX_READY: usize = 128;

/// Opens segments; keeps the last ones ready.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    ready: Mutex<HashMap<SegmentId, Arc<SegmentReader>>>,
    pub(super) times: TimesCache,
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    pub(crate) segment: Arc<Segment>,
    metadata: ArrowReaderMetadata,
    /// Leaf columns by name.
    leaves: HashMap<String, usize>,
}

impl Reader {
    /// The segment, opened.
    pub(crate) async fn open(&self, segment: &Arc<Segment>) -> Result<Arc<SegmentReader>, QueryError> {
        if let Some(ready) = self.ready.lock().get(&segment.id) {
            return Ok(Arc::clone(ready));
        }
        let metadata = segment.metadata().await?;
        let metadata = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new())
            .map_err(|source| segment.read_error(source))?;
        let columns = metadata.parquet_schema().columns().iter().enumerate();
        let leaves = columns.map(|(leaf, column)| (column.name().to_owned(), leaf)).collect();
        let reader = Arc::new(SegmentReader { segment: Arc::clone(segment), metadata, leaves });
        let mut ready = self.ready.lock();
        if ready.len() >= MAX_READY {
            ready.clear();
        }
        ready.insert(segment.id, Arc::clone(&reader));
        Ok(reader)
    }
}

impl SegmentReader {
    /// The footer.
    pub(crate) fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.metadata.metadata()
    }

    /// The footer's part on a row group.
    pub(crate) fn group(&self, group: usize) -> Option<&RowGroupMetaData> {
        self.metadata().row_groups().get(group)
    }

    /// The number of a column in the file.
    pub(crate) fn leaf(&self, column: &str) -> Option<usize> {
        self.leaves.get(column).copied()
    }

    /// Whether a column has no value in a row group: then it need not be read, as one that the file does not have.
    fn is_null_throughout(&self, group: usize, leaf: usize) -> bool {
        self.group(group).is_some_and(|found| {
            let nulls = found.column(leaf).statistics().and_then(parquet::file::statistics::Statistics::null_count_opt);
            nulls.is_some_and(|nulls| u64::try_from(found.num_rows()) == Ok(nulls))
        })
    }

    fn builder(&self) -> ParquetRecordBatchStreamBuilder<SegmentBytes> {
        let reader = SegmentBytes { segment: Arc::clone(&self.segment), metadata: Arc::clone(self.metadata()) };
        ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.metadata.clone())
    }

    /// Columns of the selected rows of a row group, those that the file has.
    pub(crate) async fn read<'a>(
        &self,
        group: usize,
        columns: impl IntoIterator<Item = &'a str>,
        selection: Option<RowSelection>,
    ) -> Result<RecordBatch, QueryError> {
        let leaves = columns.into_iter().filter_map(|column| self.leaf(column));
        let leaves = leaves.filter(|leaf| !self.is_null_throughout(group, *leaf)).collect::<Vec<_>>();
        let n_rows = match &selection {
            Some(selection) => selection.row_count(),
            None => self.group(group).and_then(|found| usize::try_from(found.num_rows()).ok()).unwrap_or(0),
        };
        let mut builder = self.builder();
        let mask = ProjectionMask::leaves(builder.parquet_schema(), leaves);
        builder = builder.with_row_groups(vec![group]).with_projection(mask).with_batch_size(n_rows.max(1));
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        let stream = builder.build().map_err(|source| self.segment.read_error(source))?;
        let schema = Arc::clone(stream.schema());
        let batches = stream.try_collect::<Vec<_>>().await.map_err(|source| self.segment.read_error(source))?;
        match batches.as_slice() {
            [only] => Ok(only.clone()),
            several => arrow::compute::concat_batches(&schema, several)
                .map_err(QueryError::internal("join what was read of a row group")),
        }
    }

    /// The bloom filter of a column in a row group, if it has one.
    pub(crate) async fn bloom_filter(&self, group: usize, column: &str) -> Result<Option<Sbbf>, QueryError> {
        let Some(leaf) = self.leaf(column) else { return Ok(None) };
        let has_one = self.group(group).is_some_and(|found| found.column(leaf).bloom_filter_offset().is_some());
        if !has_one {
            return Ok(None);
        }
        let found = self.builder().get_row_group_column_bloom_filter(group, leaf).await;
        found.map_err(|source| QueryError::from(self.segment.read_error(source)))
    }
}

/// Bytes of a segment whose footer is known.
#[derive(Clone, Debug)]
pub(crate) struct SegmentBytes {
    pub(crate) segment: Arc<Segment>,
    pub(crate) metadata: Arc<ParquetMetaData>,
}

pub(super) fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for SegmentBytes {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.segment.object_store().get_range(&self.segment.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.segment.object_store().get_ranges(&self.segment.path, &ranges).await.map_err(external) }
            .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let metadata = Arc::clone(&self.metadata);
        async move { Ok(metadata) }.boxed()
    }
}

/// The batch with the columns of `schema`: absent ones are null, others are left off.
pub(crate) fn shape(records: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, QueryError> {
    shape_of(std::slice::from_ref(records), schema)
}

/// Like [`shape`], of batches that have different columns of the same rows.
pub(super) fn shape_of(shares: &[RecordBatch], schema: &SchemaRef) -> Result<RecordBatch, QueryError> {
    let n_rows = shares.first().map_or(0, RecordBatch::num_rows);
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = match shares.iter().find_map(|records| records.column_by_name(field.name())) {
            None => new_null_array(field.data_type(), n_rows),
            Some(array) if array.data_type() == field.data_type() => Arc::clone(array),
            Some(array) => arrow::compute::cast(array, field.data_type())
                .map_err(QueryError::internal("bring a column into its table's type"))?,
        };
        columns.push(column);
    }
    // A required column that an old file lacks would be null: the answer's schema allows for it.
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>();
    let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(QueryError::internal("put columns together"))
}

/// Which segments are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// None.
    None,
    /// All.
    All,
    /// Those of flows that are not folded in `edges_1m`.
    WithoutMinutes,
}

/// The parts of a table that may hold matches, in no order. `kinds` says which sealed rows are meant, and whether
/// unsealed ones are.
pub(crate) async fn parts(
    reader: &Reader,
    snapshot: &Snapshot,
    table: TableId,
    range: TimeRange,
    filter: &Filter,
    kinds: (Sealed, bool),
) -> Result<Vec<Part>, QueryError> {
    let mut found = Vec::new();
    if kinds.1 {
        found.extend(snapshot.memory(table, range).into_iter().map(|batch| Part::Memory(batch.records)));
    }
    if kinds.0 != Sealed::None {
        for segment in snapshot.segments(table, range) {
            if kinds.0 == Sealed::WithoutMinutes && segment.has_minutes {
                continue;
            }
            let reader = reader.open(&segment).await?;
            let groups = super::statistics::groups(&reader, table, super::part::time_column(table), range, filter);
            found.extend(groups.into_iter().map(|(group, _, _)| Part::Group(Arc::clone(&reader), group)));
        }
    }
    Ok(found)
}

/// Columns, the filter's among them, of the rows of a part that may match; `None` if there are none.
pub(crate) async fn read_part(
    part: &Part,
    table: TableId,
    filter: &Filter,
    columns: &[&str],
) -> Result<Option<RecordBatch>, QueryError> {
    match part {
        Part::Memory(records) => Ok(Some(records.clone())),
        Part::Group(reader, group) => {
            let found = candidates(reader, *group, table, filter, columns).await?;
            Ok(found.map(|found| found.records))
        }
        Part::Segment(segment) => Err(QueryError::Invalid(format!("segment {} was not opened", segment.id))),
        Part::Remote(_) | Part::Window(_) => Err(QueryError::Invalid("rows in ClickHouse are asked for".to_owned())),
    }
}
