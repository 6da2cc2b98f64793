//! The gRPC door of a server, for what is pushed over Arrow Flight: batches go out, and each is acknowledged once it is
//! durable there.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use futures::TryStreamExt as _;
use hindcast_model::Batch;
use serde::{Deserialize, Serialize};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use url::Url;

use crate::args::Access;
use crate::server::Token;

/// The HTTP door's usual port, and the gRPC door's beside it.
const DOORS: (u16, u16) = (7171, 4245);
/// The largest message sent; servers take at least 4 MiB.
const MAX_MESSAGE_BYTES: usize = 2 << 20;
/// Acknowledgements are small.
const MAX_ANSWER_BYTES: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection in use is asked whether it is still there, and how long the answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// What is said of a batch.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Said<'a> {
    /// The account it stands on.
    pub(crate) source: &'a str,
    /// How far into its input the sender is with it; the acknowledgement names it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
}

/// What the server says of a batch: rows that are durable there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Acknowledged {
    /// Recorded now.
    pub(crate) recorded: u64,
    /// There already.
    pub(crate) deduplicated: u64,
    /// Refused, and counted there.
    #[serde(default)]
    pub(crate) rejected: u64,
}

/// Why a batch is not durable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    /// It cannot be put on the wire.
    #[error("a batch cannot be encoded")]
    Encode(#[source] Box<FlightError>),
    /// The server refuses, or does not answer.
    #[error("the server did not take a batch: {} ({:?})", .0.message(), .0.code())]
    Refused(Box<tonic::Status>),
}

/// The door.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    client: FlightServiceClient<Channel>,
    access: Access,
    authorization: Option<AsciiMetadataValue>,
}

impl Door {
    /// A door that answers.
    ///
    /// # Errors
    /// The URL or the access is wrong, or nobody answers.
    pub(crate) async fn connect(url: &str, access: &Access) -> anyhow::Result<Self> {
        let endpoint = endpoint(url, access)?;
        let channel = endpoint.connect().await;
        let channel = channel.with_context(|| format!("no gRPC door answers at {}", endpoint.uri()))?;
        Self::new(channel, access)
    }

    /// A door that is dialled when it is first used, and again whenever the connection breaks; with its URL.
    ///
    /// # Errors
    /// The URL or the access is wrong.
    pub(crate) fn lazy(url: &str, access: &Access) -> anyhow::Result<(Self, String)> {
        let endpoint = endpoint(url, access)?.http2_keep_alive_interval(KEEP_ALIVE.0).keep_alive_timeout(KEEP_ALIVE.1);
        let url = endpoint.uri().to_string();
        Ok((Self::new(endpoint.connect_lazy(), access)?, url))
    }

    fn new(channel: Channel, access: &Access) -> anyhow::Result<Self> {
        let client = FlightServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        let mut door = Self { client, access: access.clone(), authorization: None };
        door.read_token()?;
        Ok(door)
    }

    /// Reads the token again: it may have been exchanged.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(crate) fn read_token(&mut self) -> anyhow::Result<()> {
        let token = Token::read(self.access.token_file.as_deref())?;
        let header = token.map(|token| token.header().parse()).transpose();
        self.authorization = header.context("the token holds characters that no header can")?;
        Ok(())
    }

    /// Pushes one batch and waits until all of it is durable.
    ///
    /// # Errors
    /// It is not, or nobody said so; parts of it may be.
    pub(crate) async fn put(&self, batch: &Batch, said: &Said<'_>) -> Result<Acknowledged, PutError> {
        let descriptor = FlightDescriptor::new_path(vec![batch.table.name().to_owned()]);
        let metadata = Bytes::from(serde_json::json!(said).to_string());
        let messages: Vec<FlightData> = FlightDataEncoderBuilder::new()
            .with_max_flight_data_size(MAX_MESSAGE_BYTES)
            .with_dictionary_handling(DictionaryHandling::Resend)
            .with_flight_descriptor(Some(descriptor))
            .build(futures::stream::iter([Ok(batch.records.clone())]))
            .map_ok(|message| FlightData { app_metadata: metadata.clone(), ..message })
            .try_collect()
            .await
            .map_err(|error| PutError::Encode(Box::new(error)))?;
        let mut request = tonic::Request::new(futures::stream::iter(messages));
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        let refused = |status| PutError::Refused(Box::new(status));
        let mut answers = self.client.clone().do_put(request).await.map_err(refused)?.into_inner();
        let mut all = Acknowledged::default();
        while let Some(answer) = answers.try_next().await.map_err(refused)? {
            if let Ok(acknowledged) = serde_json::from_slice::<Acknowledged>(&answer.app_metadata) {
                all.recorded += acknowledged.recorded;
                all.deduplicated += acknowledged.deduplicated;
                all.rejected += acknowledged.rejected;
            }
        }
        Ok(all)
    }
}

fn endpoint(url: &str, access: &Access) -> anyhow::Result<Endpoint> {
    let text = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let mut url = Url::parse(&text).with_context(|| format!("{text} is no URL"))?;
    if url.port() == Some(DOORS.0) {
        url.set_port(Some(DOORS.1)).map_err(|()| anyhow!("{text} names no host"))?;
    }
    let mut endpoint = Endpoint::from_shared(url.to_string())
        .with_context(|| format!("{url} is no address of a gRPC door"))?
        .connect_timeout(CONNECT_TIMEOUT);
    if url.scheme() == "https" {
        let mut tls = ClientTlsConfig::new();
        if let Some(file) = &access.tls_ca {
            let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        endpoint = endpoint.tls_config(tls).context("TLS cannot be set up")?;
    }
    Ok(endpoint)
}
