//! `DoPut`: batches of our tables from a client, acknowledged one by one once they are durable.
//!
//! The descriptor's path names the table; the bulk ingestion of Flight SQL works too. A message may carry
//! `{"source": …, "position": …}` as application metadata. While the recorder is full nothing is read from the client.
//!
//! A position is named again in the acknowledgement, and means nothing else here: rows that come a second time are told
//! by what they say (EV-2), so that a client that starts to count anew loses nothing. Rows that can never be recorded are
//! refused as INVALID_ARGUMENT; a table or a column that is not known here, and a server without a recorder, as NOT_FOUND:
//! another server may take the same rows.

use std::sync::Arc;

use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::sql::CommandStatementIngest;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::{FlightDescriptor, PutResult};
use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use hindcast_model::{TableId, report};
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::DoPutStream;
use super::conform::{Known, conform};
use crate::doors::Doors;
use crate::fault::Fault;
use crate::intake::{Push, PushReceipt};

/// Pushes of one stream that may wait for the disk at once. Their order is kept.
const IN_FLIGHT: usize = 4;
/// The name of a source that gives none.
const UNNAMED: &str = "flight";

/// What a message says besides its rows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    source: Option<String>,
    position: Option<u64>,
}

/// What a client is told of a message.
#[derive(Debug, Serialize)]
struct Acknowledged {
    recorded: u64,
    deduplicated: u64,
    rejected: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

/// Accepts a stream of batches for the table that the descriptor's path names.
pub(super) async fn accept(doors: Arc<Doors>, mut stream: PeekableFlightDataStream) -> Result<DoPutStream, Status> {
    let first = stream.peek().await.cloned();
    let Some(first) = first.transpose()? else {
        return Err(Status::invalid_argument("DoPut was called without any message"));
    };
    let table = table_of(first.flight_descriptor.as_ref())?;
    // A client that keeps a position relies on everything before it being durable: one at a time then.
    let width = if said(&first.app_metadata)?.position.is_some() { 1 } else { IN_FLIGHT };
    let acknowledged = pushes(doors, table, UNNAMED.to_owned(), stream)
        .try_buffered(width)
        .and_then(|(receipt, position)| async move { acknowledge(receipt, position) });
    Ok(Box::pin(acknowledged))
}

/// Bulk ingestion of Flight SQL: everything, then one number.
pub(super) async fn ingest(
    doors: &Arc<Doors>,
    command: CommandStatementIngest,
    stream: PeekableFlightDataStream,
) -> Result<i64, Status> {
    if command.temporary {
        return Err(Status::invalid_argument("there are no temporary tables"));
    }
    let table = table_named(&command.table)?;
    let source = command.options.get("source").cloned().unwrap_or_else(|| UNNAMED.to_owned());
    let mut receipts = std::pin::pin!(pushes(Arc::clone(doors), table, source, stream).try_buffered(IN_FLIGHT));
    let mut n_accepted = 0;
    while let Some((receipt, _position)) = receipts.try_next().await? {
        n_accepted += receipt.recorded + receipt.deduplicated;
    }
    Ok(i64::try_from(n_accepted).unwrap_or(i64::MAX))
}

/// Reads the parameters of a prepared statement; there are none to set.
pub(super) async fn refuse_parameters(stream: PeekableFlightDataStream) -> Result<(), Status> {
    let mut decoder = decoder(stream);
    while let Some(message) = decoder.try_next().await.map_err(Status::from)? {
        if let DecodedPayload::RecordBatch(records) = message.payload
            && records.num_columns() > 0
            && records.num_rows() > 0
        {
            return Err(Status::unimplemented("statements take no parameters here: write the values into the text"));
        }
    }
    Ok(())
}

type Pushed = Result<(PushReceipt, Option<u64>), Status>;

/// One push per message with rows, in order, not yet begun.
fn pushes(
    doors: Arc<Doors>,
    table: TableId,
    unnamed: String,
    stream: PeekableFlightDataStream,
) -> impl Stream<Item = Result<impl Future<Output = Pushed> + Send, Status>> + Send {
    let mut source = unnamed;
    decoder(stream).map_err(Status::from).try_filter_map(move |message| {
        let push = prepare(&doors, table, &mut source, message.app_metadata(), message.payload);
        let doors = Arc::clone(&doors);
        std::future::ready(push.map(|push| {
            push.map(|push| async move {
                let position = push.position;
                let receipt = doors.intake.push(push).await.map_err(|error| {
                    let text = report(&error);
                    Status::from(Fault::new(error.kind, text))
                })?;
                Ok((receipt, position))
            })
        }))
    })
}

fn prepare(
    doors: &Doors,
    table: TableId,
    source: &mut String,
    metadata: Bytes,
    payload: DecodedPayload,
) -> Result<Option<Push>, Status> {
    let said = said(&metadata)?;
    if let Some(name) = said.source {
        *source = name;
    }
    let DecodedPayload::RecordBatch(records) = payload else { return Ok(None) };
    let known = Known { source, recorded_at: doors.clock.now() };
    let batch = conform(table, &records, known).map_err(|error| Fault::new(error.kind(), report(&error)))?;
    Ok(Some(Push { source: source.clone(), batches: vec![batch], position: said.position }))
}

fn decoder(stream: PeekableFlightDataStream) -> FlightDataDecoder {
    FlightDataDecoder::new(stream.map_err(|status| FlightError::Tonic(Box::new(status))))
}

fn acknowledge(receipt: PushReceipt, position: Option<u64>) -> Result<PutResult, Status> {
    let PushReceipt { recorded, deduplicated, rejected } = receipt;
    let text = serde_json::to_vec(&Acknowledged { recorded, deduplicated, rejected, position });
    let text = text.map_err(|error| Status::internal(error.to_string()))?;
    Ok(PutResult { app_metadata: text.into() })
}

fn said(metadata: &Bytes) -> Result<Said, Status> {
    if metadata.is_empty() {
        return Ok(Said::default());
    }
    serde_json::from_slice(metadata).map_err(|error| {
        let form = "application metadata is read as {\"source\": text, \"position\": number}";
        Status::invalid_argument(format!("{form}: {error}"))
    })
}

fn table_of(descriptor: Option<&FlightDescriptor>) -> Result<TableId, Status> {
    match descriptor.map(|descriptor| descriptor.path.as_slice()) {
        Some([table]) => table_named(table),
        _ => Err(Status::invalid_argument("DoPut needs a descriptor with the path [table], for example [flows]")),
    }
}

fn table_named(name: &str) -> Result<TableId, Status> {
    TableId::parse(name).ok_or_else(|| {
        let names = TableId::ALL.map(TableId::name).join(", ");
        Status::not_found(format!("there is no table {name:?}: there are {names}"))
    })
}
