//! An import into a running server: files are decoded here, batches go over Arrow Flight, and each is acknowledged
//! once it is durable there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use futures::TryStreamExt as _;
use hindcast_ingest::file::{ImportConfig, ImportSummary, Taken};
use hindcast_model::Batch;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use url::Url;

use crate::args::ImportArgs;
use crate::progress;
use crate::server::Token;
use crate::setup;

/// The HTTP door's usual port, and the gRPC door's beside it.
const DOORS: (u16, u16) = (7171, 4245);
/// The largest message sent; servers take at least 4 MiB.
const MAX_MESSAGE_BYTES: usize = 2 << 20;
/// Acknowledgements are small.
const MAX_ANSWER_BYTES: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the server says of a batch.
#[derive(Debug, Deserialize)]
struct Acknowledged {
    recorded: u64,
    deduplicated: u64,
}

/// Decodes the files of the arguments and pushes them.
pub(super) async fn into_server(
    args: &ImportArgs,
    url: &str,
    config: ImportConfig,
    cancel: CancellationToken,
) -> anyhow::Result<ImportSummary> {
    let began = Instant::now();
    let pusher = Arc::new(Pusher::connect(args, url).await?);
    let paths: Vec<String> = args.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let recorded_at = setup::clock().now();
    let runtime = tokio::runtime::Handle::current();
    let reading = tokio::task::spawn_blocking(move || {
        let bar = progress::bytes(0);
        let take = |_path: &str, batch| {
            if cancel.is_cancelled() {
                bail!("stopped; what was acknowledged is recorded, and the same import again counts it as duplicate");
            }
            runtime.block_on(pusher.push(batch))
        };
        let done = hindcast_ingest::file::read(&paths, &config, recorded_at, take, |now| super::show(&bar, now));
        bar.finish_and_clear();
        done
    });
    let mut summary = reading.await.context("reading broke off")??;
    summary.duration = began.elapsed();
    Ok(summary)
}

struct Pusher {
    client: FlightServiceClient<Channel>,
    authorization: Option<String>,
}

impl Pusher {
    async fn connect(args: &ImportArgs, url: &str) -> anyhow::Result<Self> {
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
            if let Some(file) = &args.access.tls_ca {
                let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            endpoint = endpoint.tls_config(tls).context("TLS cannot be set up")?;
        }
        let channel = endpoint.connect().await.with_context(|| format!("no gRPC door answers at {url}"))?;
        let client = FlightServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        let token = Token::read(args.access.token_file.as_deref())?;
        Ok(Self { client, authorization: token.map(|token| token.header()) })
    }

    /// Pushes one batch and waits until all of it is durable. The rows name their files themselves.
    async fn push(&self, batch: Batch) -> anyhow::Result<Taken> {
        let descriptor = FlightDescriptor::new_path(vec![batch.table.name().to_owned()]);
        let said = serde_json::json!({ "source": super::SOURCE }).to_string();
        let messages: Vec<FlightData> = FlightDataEncoderBuilder::new()
            .with_max_flight_data_size(MAX_MESSAGE_BYTES)
            .with_dictionary_handling(DictionaryHandling::Resend)
            .with_flight_descriptor(Some(descriptor))
            .with_metadata(Bytes::from(said))
            .build(futures::stream::iter([Ok(batch.records)]))
            .try_collect()
            .await
            .context("a batch cannot be encoded")?;
        let mut request = tonic::Request::new(futures::stream::iter(messages));
        if let Some(authorization) = &self.authorization {
            let value = authorization.parse().context("the token holds characters that no header can")?;
            request.metadata_mut().insert("authorization", value);
        }
        let mut answers = self.client.clone().do_put(request).await.map_err(refused)?.into_inner();
        let mut taken = Taken::default();
        while let Some(answer) = answers.try_next().await.map_err(refused)? {
            if let Ok(acknowledged) = serde_json::from_slice::<Acknowledged>(&answer.app_metadata) {
                taken.recorded += acknowledged.recorded;
                taken.deduplicated += acknowledged.deduplicated;
            }
        }
        Ok(taken)
    }
}

/// What the server says, without gRPC's own words.
fn refused(status: tonic::Status) -> anyhow::Error {
    let (code, message) = (status.code(), status.message().to_owned());
    anyhow!("the server did not take a batch: {message} ({code:?})")
}
