//! Answers as Flight data. Dictionaries and views become plain arrays, which every client reads.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use tonic::Status;

use super::DoGetStream;
use crate::answer::{Answer, Piece};
use crate::doors::{Doors, Permit};
use crate::grpc::ending_status;

/// The schema as it is sent.
pub(super) fn plain_schema(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| plain_field(field)).collect::<Vec<_>>();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn plain_field(field: &Field) -> Field {
    Field::new(field.name(), plain(field.data_type()), field.is_nullable()).with_metadata(field.metadata().clone())
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => plain(value),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) | DataType::ListView(item) => DataType::List(Arc::new(plain_field(item))),
        other => other.clone(),
    }
}

/// The batch in the schema as it is sent.
fn plain_batch(records: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, FlightError> {
    let columns = records.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Batches of `schema` as Flight data.
pub(super) fn stream(
    schema: &SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
) -> DoGetStream {
    let encoder = FlightDataEncoderBuilder::new().with_schema(Arc::clone(schema)).build(batches);
    Box::pin(encoder.map_err(Status::from))
}

/// An answer as Flight data. A cut answer ends with an error, since a Flight stream has no other place to say it.
pub(super) fn answer(answer: Answer, doors: Arc<Doors>, permit: Permit) -> DoGetStream {
    let schema = Arc::new(plain_schema(&answer.schema));
    let sent_as = Arc::clone(&schema);
    let batches = answer.pieces.filter_map(move |piece| {
        // The place is held for as long as the stream lives.
        let _held = &permit;
        let batch = match piece {
            Piece::Rows(records) => {
                doors.metrics.rows.inc_by(u64::try_from(records.num_rows()).unwrap_or(0));
                Some(plain_batch(&records, &sent_as))
            }
            Piece::End(ending) => ending_status(ending).map(|status| Err(FlightError::Tonic(Box::new(status)))),
        };
        std::future::ready(batch)
    });
    stream(&schema, batches)
}
