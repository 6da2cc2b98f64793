//! The answer to a question: batches as they come, in the types of the lake.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use futures::Stream;
use hindcast_model::TableId;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ClickHouseError;
use super::watch::Reached;
use crate::error::ReadError;

/// Batches that may wait for a slow reader; then the server waits.
const QUEUE: usize = 2;

/// Batches of an answer. Dropping it takes the question back.
#[derive(Debug)]
pub struct RemoteRows {
    receiver: mpsc::Receiver<Result<RecordBatch, ReadError>>,
    _cancel_on_drop: DropGuard,
}

impl RemoteRows {
    /// Asks. The connection is used on the runtime that it belongs to, whoever reads the answer.
    pub(super) fn ask(
        reached: &Arc<Reached>,
        table: TableId,
        statement: String,
        settings: Vec<(String, String)>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let worker = Arc::clone(reached);
        let cancel = CancellationToken::new();
        let dropped = cancel.clone();
        let _detached = reached.runtime.spawn(async move {
            // Losing arm: the connection ends, and the server stops working on a question that nobody waits for.
            let pumped = tokio::select! {
                () = dropped.cancelled() => return,
                pumped = pump(&worker, table, &statement, settings, &sender) => pumped,
            };
            if let Err(error) = pumped {
                // A reader that left does not want to know.
                let _gone = sender.send(Err(error)).await;
            }
        });
        Self { receiver, _cancel_on_drop: cancel.drop_guard() }
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// The server does not answer, or broke off.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, ReadError>> {
        self.receiver.recv().await
    }
}

impl Stream for RemoteRows {
    type Item = Result<RecordBatch, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context)
    }
}

async fn pump(
    reached: &Reached,
    table: TableId,
    statement: &str,
    settings: Vec<(String, String)>,
    sender: &mpsc::Sender<Result<RecordBatch, ReadError>>,
) -> Result<(), ReadError> {
    let failed = |source| ReadError::Remote { table, source: Arc::new(source) };
    let broken = |source| ReadError::RemoteForm { table, source: Arc::new(source) };
    let mut cursor = reached.connection.stream(statement, settings).map_err(failed)?;
    let mut decoder = StreamDecoder::new();
    loop {
        let part = cursor.next().await.map_err(|source| failed(reached.connection.refused("answer", source)))?;
        let Some(part) = part else { break };
        let mut buffer = Buffer::from(part);
        while !buffer.is_empty() {
            let Some(batch) = decoder.decode(&mut buffer).map_err(broken)? else { break };
            let batch = plain(table, &batch).map_err(broken)?;
            if batch.num_rows() > 0 && sender.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
    }
    decoder.finish().map_err(broken)
}

/// The batch in the types that the lake gives the table's columns. Other columns keep the server's type.
fn plain(table: TableId, records: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::with_capacity(records.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(records.num_columns());
    for (field, array) in records.schema().fields().iter().zip(records.columns()) {
        let known = table.columns().iter().find(|column| column.name == field.name());
        let wanted = known.map_or_else(|| array.data_type().clone(), |column| column.kind.data_type());
        let array = to(array, &wanted)?;
        fields.push(Field::new(field.name(), wanted, true));
        columns.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(records.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn to(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), wanted) {
        (found, wanted) if found == wanted => Ok(Arc::clone(array)),
        // Only the name of the time zone differs.
        (DataType::Timestamp(TimeUnit::Nanosecond, _), DataType::Timestamp(TimeUnit::Nanosecond, zone)) => {
            use arrow::array::AsArray as _;
            use arrow::datatypes::TimestampNanosecondType;
            let times = array.as_primitive::<TimestampNanosecondType>().clone();
            Ok(Arc::new(times.with_timezone_opt(zone.clone())))
        }
        _ => cast(array, wanted),
    }
}

impl super::Connection {
    fn stream(
        &self,
        statement: &str,
        settings: Vec<(String, String)>,
    ) -> Result<clickhouse::query::BytesCursor, ClickHouseError> {
        let mut query = self.client.query_raw(statement);
        for (name, value) in settings {
            query = query.with_setting(name, value);
        }
        query.fetch_bytes("ArrowStream").map_err(self.failed("answer"))
    }

    fn refused(&self, action: &'static str, source: clickhouse::error::Error) -> ClickHouseError {
        self.failed(action)(source)
    }
}

/// How text comes: as bytes, since a text column may be bytes in the lake; words that repeat stand once.
pub(super) fn form() -> Vec<(String, String)> {
    [
        ("output_format_arrow_low_cardinality_as_dictionary", "1"),
        ("output_format_arrow_use_signed_indexes_for_dictionary", "1"),
        ("output_format_arrow_use_64_bit_indexes_for_dictionary", "0"),
        ("output_format_arrow_string_as_string", "0"),
        ("output_format_arrow_compression_method", "lz4_frame"),
        ("cancel_http_readonly_queries_on_client_close", "1"),
        ("wait_end_of_query", "0"),
        ("readonly", "2"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
