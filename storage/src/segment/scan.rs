//! Reading some columns of a segment, for parts that ask no question: `ingest` tells repeats with it.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use hindcast_model::{TimeRange, Timestamp};
use object_store::ObjectStoreExt as _;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::Segment;
use crate::error::ReadError;
use crate::ids::time_column;

/// Bytes of a segment whose footer is known.
struct Open {
    segment: Arc<Segment>,
    metadata: Arc<ParquetMetaData>,
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for Open {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.segment.store.get_range(&self.segment.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.segment.store.get_ranges(&self.segment.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let metadata = Arc::clone(&self.metadata);
        async move { Ok(metadata) }.boxed()
    }
}

impl Segment {
    /// The named columns of all row groups that may have a row in `range`, in file order, batch by batch. Rows outside
    /// of the range may be among them; a column that is null in every row is absent.
    ///
    /// # Errors
    /// The file is away or damaged.
    pub async fn scan(
        self: &Arc<Self>,
        range: TimeRange,
        columns: &[&str],
    ) -> Result<BoxStream<'static, Result<RecordBatch, ReadError>>, ReadError> {
        let footer = self.metadata().await?;
        let reader = Open { segment: Arc::clone(self), metadata: Arc::clone(&footer) };
        let metadata = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new())
            .map_err(|source| self.read_error(source))?;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        let time = time_column(self.table);
        let groups = builder.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| may_overlap(group, time, range)).map(|(index, _)| index).collect();
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let stream =
            builder.with_projection(mask).with_row_groups(groups).build().map_err(|source| self.read_error(source))?;
        let segment = Arc::clone(self);
        Ok(stream.map_err(move |source| segment.read_error(source)).boxed())
    }
}

/// Whether a row group may have a row in `range`; one without statistics may.
fn may_overlap(group: &RowGroupMetaData, time: &str, range: TimeRange) -> bool {
    let column = group.columns().iter().find(|column| column.column_path().string() == time);
    let Some(Statistics::Int64(times)) = column.and_then(|column| column.statistics()) else { return true };
    match (times.min_opt(), times.max_opt()) {
        (Some(min), Some(max)) => range.overlaps_inclusive(Timestamp::from_nanos(*min), Timestamp::from_nanos(*max)),
        _ => true,
    }
}
