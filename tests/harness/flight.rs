//! A Flight client that pushes batches and counts what became of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use futures::{StreamExt as _, TryStreamExt as _};
use hindcast_model::TableId;
use tonic::transport::Channel;

/// The largest message we send; servers take at least 4 MiB.
const MOST_BYTES_PER_MESSAGE: usize = 2 << 20;

/// A connection to push over.
#[derive(Debug)]
pub struct Pusher {
    client: FlightServiceClient<Channel>,
}

impl Pusher {
    /// Connects to a server's gRPC door.
    ///
    /// # Errors
    /// Nobody answers there.
    pub async fn connect(url: &str) -> Result<Self> {
        let endpoint = Channel::from_shared(url.to_owned()).with_context(|| format!("{url} is not a URL"))?;
        let channel = endpoint.connect().await.with_context(|| format!("cannot reach {url}"))?;
        Ok(Self { client: FlightServiceClient::new(channel).max_decoding_message_size(64 << 20) })
    }

    /// Pushes messages made by [`encode`]; returns when the server has acknowledged all of them, with the time that
    /// took and the metadata of every acknowledgement.
    ///
    /// # Errors
    /// The server refused.
    pub async fn push(&mut self, messages: Vec<FlightData>) -> Result<(Duration, Vec<Vec<u8>>)> {
        let started = Instant::now();
        let answer = self.client.do_put(futures::stream::iter(messages)).await?;
        let results: Vec<_> = answer.into_inner().map_ok(|result| result.app_metadata.to_vec()).try_collect().await?;
        Ok((started.elapsed(), results))
    }
}

/// The same messages, each with what is said of its rows.
#[must_use]
pub fn saying(messages: Vec<FlightData>, said: &serde_json::Value) -> Vec<FlightData> {
    let said = said.to_string();
    messages.into_iter().map(|message| FlightData { app_metadata: said.clone().into(), ..message }).collect()
}

/// Batches of one table as messages of one push.
///
/// # Errors
/// A batch cannot be encoded.
pub async fn encode(table: TableId, batches: Vec<RecordBatch>) -> Result<Vec<FlightData>> {
    let encoder = FlightDataEncoderBuilder::new()
        .with_max_flight_data_size(MOST_BYTES_PER_MESSAGE)
        .with_dictionary_handling(arrow_flight::encode::DictionaryHandling::Resend)
        .with_flight_descriptor(Some(FlightDescriptor::new_path(vec![table.name().to_owned()])))
        .build(futures::stream::iter(batches.into_iter().map(Ok)));
    encoder.map(|message| message.context("cannot encode a batch")).try_collect().await
}
