//! The gRPC door, through real clients over a real connection.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use hindcast_proto::flow::{FlowFilter, Verdict};
use hindcast_proto::observer::observer_client::ObserverClient;
use hindcast_proto::observer::{GetFlowsRequest, GetNamespacesRequest, GetNodesRequest, ServerStatusRequest};
use hindcast_proto::peer::NotifyRequest;
use hindcast_proto::peer::peer_client::PeerClient;
use hindcast_proto::tetragon::fine_guidance_sensors_client::FineGuidanceSensorsClient;
use hindcast_proto::tetragon::{AddTracingPolicyRequest, Filter, GetEventsRequest, GetVersionRequest};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::config::{AuthConfig, Config};
use crate::secret::Secret;
use crate::server::Server;
use crate::testing::{self, SECOND, T0, flow_batch, loss_batch, runtime_batch};

/// A running server; stops when dropped.
pub(super) struct Running {
    pub(super) channel: Channel,
    pub(super) store: hindcast_storage::Store,
    pub(super) uri: String,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) async fn serve(config: Config) -> Running {
    let (dir, store, parts) = testing::parts().await;
    let server = Server::open(config.validate().expect("a configuration"), parts).expect("free ports");
    let uri = format!("http://{}", server.grpc_addr());
    let stop = CancellationToken::new();
    tokio::spawn(server.run(stop.clone()));
    let channel = Channel::from_shared(uri.clone()).expect("an address").connect().await.expect("a connection");
    Running { channel, store, uri, stop, _dir: dir }
}

impl Running {
    pub(super) async fn append(&self, batches: Vec<hindcast_model::Batch>) {
        self.store.append(hindcast_storage::Append { batches }).await.expect("an append");
    }

    async fn flows(&self, request: GetFlowsRequest) -> Result<Vec<String>, tonic::Status> {
        let mut client = ObserverClient::new(self.channel.clone());
        let stream = client.get_flows(request).await?.into_inner();
        stream.map_ok(|message| describe(&message.0)).try_collect().await
    }
}

/// A response as its JSON.
fn json(response: &[u8]) -> serde_json::Value {
    let mut text = Vec::new();
    hindcast_proto::json::from_wire(hindcast_proto::json::Message::GetFlowsResponse, response, &mut text)
        .expect("a response");
    serde_json::from_slice(&text).expect("JSON")
}

/// The pod of a flow, or how many flows were lost.
fn describe(response: &[u8]) -> String {
    let response = json(response);
    match (&response["flow"]["source"]["pod_name"], &response["lost_events"]["num_events_lost"]) {
        (serde_json::Value::String(pod), _) => pod.clone(),
        (_, serde_json::Value::String(lost)) => format!("lost {lost}"),
        _ => "?".to_owned(),
    }
}

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: T0 / SECOND + seconds, nanos: 0 })
}

fn pods(range: std::ops::Range<u16>) -> Vec<String> {
    range.map(|n| format!("web-{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn get_flows_gives_the_rows_its_request_means() {
    let house = serve(testing::free_ports()).await;
    house.append(vec![flow_batch(0..6)]).await;
    house.append(vec![flow_batch(6..12)]).await;
    let ask = |number, first, since: Option<i64>, until: Option<i64>| GetFlowsRequest {
        number,
        first,
        since: since.and_then(at),
        until: until.and_then(at),
        ..GetFlowsRequest::default()
    };
    let cases = [
        (ask(3, false, None, None), pods(9..12)),
        (ask(3, true, None, None), pods(0..3)),
        (ask(0, false, None, None), pods(0..12)),
        (ask(u64::MAX, false, None, None), pods(0..12)),
        (ask(0, false, Some(2), Some(4)), pods(2..5)),
        (ask(2, false, Some(2), Some(4)), pods(3..5)),
        (ask(2, true, Some(2), None), pods(2..4)),
        (ask(5, false, None, Some(1)), pods(0..2)),
    ];
    for (request, expected) in cases {
        assert_eq!(house.flows(request.clone()).await.expect("flows"), expected, "{request:?}");
    }
    let dropped = FlowFilter { verdict: vec![Verdict::Dropped.into()], ..FlowFilter::default() };
    let request = GetFlowsRequest { blacklist: vec![dropped], number: 2, ..GetFlowsRequest::default() };
    assert_eq!(house.flows(request).await.expect("flows"), ["web-10", "web-11"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_stand_between_flows_and_count_for_nothing() {
    let house = serve(testing::free_ports()).await;
    house.append(vec![flow_batch(0..4), loss_batch(2)]).await;
    let all = house.flows(GetFlowsRequest::default()).await.expect("flows");
    assert_eq!(all, ["web-0", "web-1", "lost 7", "web-2", "web-3"]);
    let newest = house.flows(GetFlowsRequest { number: 1, ..GetFlowsRequest::default() }).await.expect("flows");
    assert_eq!(newest, ["web-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_what_is_held_too() {
    let house = serve(testing::free_ports()).await;
    house.append(vec![flow_batch(0..4)]).await;
    let both = GetFlowsRequest { first: true, follow: true, ..GetFlowsRequest::default() };
    let status = house.flows(both).await.expect_err("a contradiction");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "first cannot be specified with follow"));
    let bad = FlowFilter { http_path: vec!["(".to_owned()], ..FlowFilter::default() };
    let status = house.flows(GetFlowsRequest { whitelist: vec![bad], ..GetFlowsRequest::default() }).await;
    assert_eq!(status.expect_err("a bad expression").code(), Code::InvalidArgument);
    let old = GetFlowsRequest { until: at(-10), ..GetFlowsRequest::default() };
    let status = house.flows(old).await.expect_err("too old");
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("begins at 2023-11-14T22:13:20"), "{}", status.message());
    let held = status.metadata().get("x-hindcast-held-range").expect("a range");
    assert_eq!(held, "2023-11-14T22:13:20.000000000Z/2023-11-14T22:13:23.000000000Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_gives_the_past_then_what_arrives() {
    let house = serve(testing::free_ports()).await;
    house.append(vec![flow_batch(0..4)]).await;
    let request = GetFlowsRequest { number: 2, follow: true, ..GetFlowsRequest::default() };
    let mut client = ObserverClient::new(house.channel.clone());
    let stream = client.get_flows(request).await.expect("a stream").into_inner();
    let mut stream = stream.map_ok(|message| describe(&message.0));
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(stream.next().await.expect("more").expect("a flow"));
    }
    house.append(vec![flow_batch(4..6)]).await;
    while seen.len() < 4 {
        seen.push(stream.next().await.expect("more").expect("a flow"));
    }
    assert_eq!(seen, pods(2..6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_is_honoured_and_what_the_cli_needs_is_sent_anyway() {
    let house = serve(testing::free_ports()).await;
    house.append(vec![flow_batch(0..1)]).await;
    let mask = prost_types::FieldMask { paths: vec!["source.pod_name".to_owned(), "no.such.field".to_owned()] };
    let request = GetFlowsRequest { field_mask: Some(mask), ..GetFlowsRequest::default() };
    let mut client = ObserverClient::new(house.channel.clone());
    let mut stream = client.get_flows(request).await.expect("a stream").into_inner();
    let response = stream.next().await.expect("a response").expect("a flow").0;
    let flow = &json(&response)["flow"];
    assert_eq!(flow["verdict"], "DROPPED");
    assert_eq!(flow["source"]["pod_name"], "web-0");
    assert!(flow["source"]["labels"].is_null(), "{flow}");
    assert!(flow["destination"]["pod_name"].is_null(), "{flow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_small_calls_of_hubble_are_answered() {
    let house = serve(testing::free_ports()).await;
    house.append(vec![flow_batch(0..4)]).await;
    let mut client = ObserverClient::new(house.channel.clone());
    let status = client.server_status(ServerStatusRequest {}).await.expect("a status").into_inner();
    assert_eq!((status.num_flows, status.version.as_str()), (4, "test"));
    let namespaces = client.get_namespaces(GetNamespacesRequest {}).await.expect("an answer").into_inner();
    let names: Vec<&str> = namespaces.namespaces.iter().map(|found| found.namespace.as_str()).collect();
    assert_eq!(names, ["data", "shop"]);
    let nodes = client.get_nodes(GetNodesRequest {}).await.expect("an answer").into_inner();
    assert_eq!(nodes.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["prod/node-1"]);
    let service = "hubble.server.Observer".to_owned();
    let health = HealthClient::new(house.channel.clone()).check(HealthCheckRequest { service }).await;
    assert_eq!(health.expect("an answer").into_inner().status, 1);
    let mut peers = PeerClient::new(house.channel.clone()).notify(NotifyRequest {}).await.expect("peers").into_inner();
    let peer = peers.next().await.expect("a peer").expect("a peer");
    assert!(house.uri.ends_with(&peer.address), "{peer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_events_gives_the_past_by_metadata_and_only_known_kinds() {
    let house = serve(testing::free_ports()).await;
    house.append(vec![runtime_batch(3)]).await;
    let mut client = FineGuidanceSensorsClient::new(house.channel.clone());
    let filter = Filter { binary_regex: vec!["/bin/[12]".to_owned()], ..Filter::default() };
    let mut count = async |allow_list: Vec<Filter>| {
        let mut request = Request::new(GetEventsRequest { allow_list, ..GetEventsRequest::default() });
        request.metadata_mut().insert("x-hindcast-since", "2023-11-14T22:13:20Z".parse().expect("ascii"));
        request.metadata_mut().insert("x-hindcast-until", "now".parse().expect("ascii"));
        let stream = client.get_events(request).await.expect("a stream").into_inner();
        stream.try_collect::<Vec<_>>().await.expect("events").len()
    };
    assert_eq!(count(vec![]).await, 3);
    assert_eq!(count(vec![filter]).await, 2);
    let version = client.get_version(GetVersionRequest {}).await.expect("a version").into_inner();
    assert_eq!(version.version, "test");
    let refused = client.add_tracing_policy(AddTracingPolicyRequest::default()).await.expect_err("no agent");
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_runtime_events_begin_now() {
    let house = serve(testing::free_ports()).await;
    house.append(vec![runtime_batch(3)]).await;
    let mut client = FineGuidanceSensorsClient::new(house.channel.clone());
    let mut stream = client.get_events(GetEventsRequest::default()).await.expect("a stream").into_inner();
    assert!(tokio::time::timeout(Duration::from_millis(200), stream.next()).await.is_err());
    house.append(vec![runtime_batch(1)]).await;
    stream.next().await.expect("more").expect("an event");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_is_asked_for() {
    let auth = AuthConfig { token: Some(Secret::new("t0ken")), ..AuthConfig::default() };
    let house = serve(Config { auth, ..testing::free_ports() }).await;
    let mut client = ObserverClient::new(house.channel.clone());
    let status = client.server_status(ServerStatusRequest {}).await.expect_err("no credential");
    assert_eq!(status.code(), Code::Unauthenticated);
    let mut request = Request::new(ServerStatusRequest {});
    request.metadata_mut().insert("authorization", "Bearer t0ken".parse().expect("ascii"));
    client.server_status(request).await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_its_streams_and_returns() {
    let (_dir, _store, parts) = testing::parts().await;
    let server = Server::open(testing::free_ports().validate().expect("a configuration"), parts).expect("free ports");
    let uri = format!("http://{}", server.grpc_addr());
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone()));
    let channel = Channel::from_shared(uri).expect("an address").connect().await.expect("a connection");
    let request = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let mut stream = ObserverClient::new(channel).get_flows(request).await.expect("a stream").into_inner();
    stop.cancel();
    let status = stream.next().await.expect("an end").expect_err("an error");
    assert_eq!(status.code(), Code::Unavailable);
    let ended = tokio::time::timeout(Duration::from_secs(5), running).await.expect("in time");
    ended.expect("no panic").expect("no error");
}
