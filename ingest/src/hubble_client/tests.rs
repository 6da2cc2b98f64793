//! Against a server that kills connections, repeats and reorders, every flow is recorded once and only true gaps are
//! losses.
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use hindcast_model::TableId;
use hindcast_proto::json::Message;
use hindcast_proto::observer::observer_server::{Observer, ObserverServer};
use hindcast_proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest, GetNamespacesRequest, GetNamespacesResponse,
    GetNodesRequest, GetNodesResponse, ServerStatusRequest, ServerStatusResponse,
};
use hindcast_proto::{RawMessage, json};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use tonic::{Request, Response, Status};

use super::{HubbleConfig, run};
use crate::source::{SourceState, SourceStatus};
use crate::stream::{AuthConfig, ConnectConfig, Secret, StreamConfig, TlsConfig};
use crate::testing::{Bench, flow_line};

type Messages = Pin<Box<dyn Stream<Item = Result<RawMessage, Status>> + Send>>;

/// What the ring holds and how the next connections go.
#[derive(Debug, Default)]
struct Script {
    /// Flows by number; the number is also the second of the flow.
    ring: Vec<u32>,
    /// How many messages each of the next connections gets before it is killed.
    kill_after: Vec<usize>,
    requests: Vec<GetFlowsRequest>,
    credentials: Vec<Option<String>>,
}

#[derive(Clone, Debug, Default)]
struct Relay(Arc<Mutex<Script>>);

fn message(json: &str) -> RawMessage {
    let mut wire = Vec::new();
    json::to_wire(Message::GetFlowsResponse, &mut json.as_bytes().to_vec(), &mut wire).expect("a response");
    RawMessage(wire.into())
}

#[tonic::async_trait]
impl Observer for Relay {
    type GetFlowsStream = Messages;
    type GetAgentEventsStream = Messages;
    type GetDebugEventsStream = Messages;

    async fn get_flows(&self, request: Request<GetFlowsRequest>) -> Result<Response<Messages>, Status> {
        let credentials = request.metadata().get("authorization").map(|it| it.to_str().expect("text").to_owned());
        let request = request.into_inner();
        let mut script = self.0.lock();
        let since = request.since.as_ref().map_or(0, |since| since.seconds);
        // Seconds since 2026-03-01T00:00:00Z.
        let first = u32::try_from((since - 1_772_323_200).max(0)).expect("a number");
        let mut numbers: Vec<u32> = script.ring.iter().copied().filter(|n| *n >= first).collect();
        // A relay repeats and reorders.
        for pair in numbers.chunks_mut(2) {
            pair.reverse();
        }
        numbers.extend(numbers.first().copied());
        let n_messages = if script.kill_after.is_empty() { usize::MAX } else { script.kill_after.remove(0) };
        script.requests.push(request);
        script.credentials.push(credentials);
        let mut messages: Vec<Result<RawMessage, Status>> =
            numbers.into_iter().map(|n| Ok(message(&flow_line(n)))).collect();
        messages.truncate(n_messages);
        let stream = futures::stream::iter(messages);
        if n_messages == usize::MAX {
            return Ok(Response::new(Box::pin(stream.chain(futures::stream::pending()))));
        }
        let killed = futures::stream::iter([Err(Status::unavailable("killed"))]);
        Ok(Response::new(Box::pin(stream.chain(killed))))
    }

    async fn get_agent_events(&self, _: Request<GetAgentEventsRequest>) -> Result<Response<Messages>, Status> {
        Err(Status::unimplemented("a relay has none"))
    }

    async fn get_debug_events(&self, _: Request<GetDebugEventsRequest>) -> Result<Response<Messages>, Status> {
        Err(Status::unimplemented("a relay has none"))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn server_status(&self, _: Request<ServerStatusRequest>) -> Result<Response<ServerStatusResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

async fn serve(relay: Relay, stop: CancellationToken) -> SocketAddr {
    serve_with(relay, stop, None).await
}

async fn serve_with(relay: Relay, stop: CancellationToken, tls: Option<ServerTlsConfig>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let mut builder = tonic::transport::Server::builder();
    if let Some(tls) = tls {
        builder = builder.tls_config(tls).expect("TLS settings");
    }
    let server = builder.add_service(ObserverServer::new(relay));
    tokio::spawn(async move { server.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await });
    address
}

fn config(address: SocketAddr) -> HubbleConfig {
    HubbleConfig {
        name: "relay".to_owned(),
        connect: ConnectConfig { address: address.to_string(), ..ConnectConfig::default() },
        stream: StreamConfig {
            max_batch_rows: 16,
            flush_interval: Duration::from_millis(5),
            min_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(5),
            overlap: Duration::from_secs(4),
        },
        ..HubbleConfig::default()
    }
}

/// Listens until the account satisfies `is_done`, then stops.
async fn listen(bench: &Bench, config: HubbleConfig, is_done: impl Fn(&SourceStatus) -> bool + Sync) -> SourceStatus {
    let source = bench.pipeline.source(&config.source_name());
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run(bench.pipeline.clone(), config, cancel.clone(), 7));
    let wait = async {
        while !is_done(&source.status()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(20), wait).await;
    cancel.cancel();
    task.await.expect("a listener");
    assert!(result.is_ok(), "not in time: {:?}", source.status());
    assert_eq!(source.status().n_under_way(), 0);
    source.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flow_is_recorded_once_over_killed_connections() {
    let (bench, stop) = (Bench::new().await, CancellationToken::new());
    let relay = Relay::default();
    relay.0.lock().ring = (0..200).collect();
    relay.0.lock().kill_after = vec![50, 0, 30, 61];
    let address = serve(relay.clone(), stop.clone()).await;
    let status = listen(&bench, config(address), |status| status.recorded >= 200).await;
    assert_eq!((status.recorded, bench.n_rows(TableId::Flows).await), (200, 200));
    assert!(status.deduplicated > 0 && status.state == SourceState::Finished, "{status:?}");
    assert_eq!(bench.n_rows(TableId::Losses).await, 0, "the ring held everything");
    let requests = relay.0.lock().requests.clone();
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| request.follow && request.number == 0));
    let since = |n: usize| requests[n].since.as_ref().expect("a time").seconds - 1_772_323_200;
    assert_eq!(since(0), -1_772_323_200, "everything the ring holds");
    assert_eq!((since(1), since(2)), (45, 45), "a little before the last recorded flow");
    // A later run goes on behind the last recorded flow, and knows it.
    let bench = bench.reopened().await;
    relay.0.lock().ring = (150..210).collect();
    let status = listen(&bench, config(address), |status| status.recorded >= 10).await;
    assert_eq!((status.recorded, status.received), (10, 16), "four seconds before, and one repeated");
    assert_eq!(bench.n_rows(TableId::Flows).await, 210);
    assert_eq!(bench.n_rows(TableId::Losses).await, 0);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ring_no_longer_holds_is_a_loss_of_unknown_size() {
    let (bench, stop) = (Bench::new().await, CancellationToken::new());
    let relay = Relay::default();
    relay.0.lock().ring = (0..20).collect();
    let address = serve(relay.clone(), stop.clone()).await;
    listen(&bench, config(address), |status| status.recorded >= 20).await;
    relay.0.lock().ring = (40..50).collect();
    listen(&bench, config(address), |status| status.recorded >= 30).await;
    let rows = bench.rows(TableId::Losses).await;
    assert_eq!(rows.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 1);
    let view = hindcast_model::tables::losses::View::new(&rows[0]).expect("own schema");
    let second = |time: Option<i64>| time.expect("a time") / 1_000_000_000 - 1_772_323_200;
    assert_eq!((second(view.time.get(0)), second(view.end_time.get(0))), (19, 40));
    assert_eq!((view.reason.get(0), view.count.get(0)), (Some("disconnected"), None));
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_filters_are_sent_and_a_relay_without_agent_events_is_no_failure() {
    let (bench, stop) = (Bench::new().await, CancellationToken::new());
    let relay = Relay::default();
    relay.0.lock().ring = (0..3).collect();
    let address = serve(relay.clone(), stop.clone()).await;
    let mut config = config(address);
    config.agent_events = true;
    config.allow_list = vec![r#"{"source_pod":["shop/"]}"#.to_owned()];
    config.connect.auth =
        AuthConfig { username: "ann".to_owned(), password: Secret::new("pw"), ..AuthConfig::default() };
    let agent = bench.pipeline.source("relay/agent-events");
    listen(&bench, config, |status| status.recorded >= 3 && agent.status().state == SourceState::Failed).await;
    assert!(agent.status().last_error.is_some_and(|(_, error)| error.contains("a relay has none")));
    let script = relay.0.lock();
    assert_eq!(script.credentials[0].as_deref(), Some("Basic YW5uOnB3"));
    assert_eq!(script.requests[0].whitelist[0].source_pod, ["shop/"]);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_may_have_to_show_a_certificate() {
    let (bench, stop) = (Bench::new().await, CancellationToken::new());
    let relay = Relay::default();
    relay.0.lock().ring = (0..3).collect();
    let pair = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let ((server_cert, server_key), (client_cert, client_key)) = (pair("relay.test"), pair("client.test"));
    for (name, text) in [("ca.pem", &server_cert), ("cert.pem", &client_cert), ("key.pem", &client_key)] {
        std::fs::write(bench.path(name), text).expect("a file");
    }
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&server_cert, &server_key))
        .client_ca_root(Certificate::from_pem(&client_cert));
    let address = serve_with(relay.clone(), stop.clone(), Some(tls)).await;
    let mut config = config(address);
    config.connect.tls = TlsConfig {
        enabled: true,
        ca_file: Some(bench.path("ca.pem")),
        server_name: "relay.test".to_owned(),
        ..TlsConfig::default()
    };
    config.connect.auth.bearer_token = Secret::new("token");
    // Without our certificate the relay does not talk to us; the listener says so and tries on.
    listen(&bench, config.clone(), |status| status.last_error.is_some()).await;
    assert_eq!(relay.0.lock().requests.len(), 0);
    config.connect.tls.cert_file = Some(bench.path("cert.pem"));
    config.connect.tls.key_file = Some(bench.path("key.pem"));
    listen(&bench, config, |status| status.recorded >= 3).await;
    assert_eq!(relay.0.lock().credentials[0].as_deref(), Some("Bearer token"));
    stop.cancel();
}
