//! An agent that goes away leaves a loss of unknown size, and every event it did send is recorded once.
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use hindcast_model::TableId;
use hindcast_model::tables::losses;
use hindcast_proto::json::{self, Message};
use hindcast_proto::tetragon::fine_guidance_sensors_server::{FineGuidanceSensors, FineGuidanceSensorsServer};
use hindcast_proto::{RawMessage, tetragon as wire};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{TetragonConfig, run};
use crate::stream::{ConnectConfig, StreamConfig};
use crate::testing::Bench;

type Events = Pin<Box<dyn Stream<Item = Result<RawMessage, Status>> + Send>>;

/// The events of each connection; the last stays open.
#[derive(Clone, Debug, Default)]
struct Agent {
    connections: Arc<Mutex<Vec<Vec<RawMessage>>>>,
    requests: Arc<Mutex<Vec<wire::GetEventsRequest>>>,
}

impl Agent {
    fn connect(&self, request: wire::GetEventsRequest) -> Events {
        self.requests.lock().push(request);
        let mut connections = self.connections.lock();
        let events = if connections.is_empty() { Vec::new() } else { connections.remove(0) };
        let stream = futures::stream::iter(events.into_iter().map(Ok));
        if connections.is_empty() { Box::pin(stream.chain(futures::stream::pending())) } else { Box::pin(stream) }
    }
}

/// The whole service; only the stream is of use here.
macro_rules! agent {
    ($($method:ident $request:ident $response:ident),+) => {
        #[tonic::async_trait]
        impl FineGuidanceSensors for Agent {
            type GetEventsStream = Events;

            async fn get_events(&self, request: Request<wire::GetEventsRequest>) -> Result<Response<Events>, Status> {
                Ok(Response::new(self.connect(request.into_inner())))
            }

            $(async fn $method(&self, _: Request<wire::$request>) -> Result<Response<wire::$response>, Status> {
                Err(Status::unimplemented("not asked for"))
            })+
        }
    };
}

agent! {
    get_health GetHealthStatusRequest GetHealthStatusResponse,
    add_tracing_policy AddTracingPolicyRequest AddTracingPolicyResponse,
    delete_tracing_policy DeleteTracingPolicyRequest DeleteTracingPolicyResponse,
    list_tracing_policies ListTracingPoliciesRequest ListTracingPoliciesResponse,
    configure_tracing_policy ConfigureTracingPolicyRequest ConfigureTracingPolicyResponse,
    enable_tracing_policy EnableTracingPolicyRequest EnableTracingPolicyResponse,
    disable_tracing_policy DisableTracingPolicyRequest DisableTracingPolicyResponse,
    list_sensors ListSensorsRequest ListSensorsResponse,
    enable_sensor EnableSensorRequest EnableSensorResponse,
    disable_sensor DisableSensorRequest DisableSensorResponse,
    remove_sensor RemoveSensorRequest RemoveSensorResponse,
    list_domains ListDomainsRequest ListDomainsResponse,
    get_version GetVersionRequest GetVersionResponse,
    get_info GetInfoRequest GetInfoResponse,
    runtime_hook RuntimeHookRequest RuntimeHookResponse,
    get_debug GetDebugRequest GetDebugResponse,
    set_debug SetDebugRequest SetDebugResponse
}

fn exec(second: u32) -> RawMessage {
    let json = format!(
        r#"{{"process_exec":{{"process":{{"exec_id":"id-{second}","pid":{second},"binary":"/bin/true"}}}},"node_name":"n1","time":"2026-03-01T00:00:{second:02}Z"}}"#
    );
    let mut wire = Vec::new();
    json::to_wire(Message::GetEventsResponse, &mut json.into_bytes(), &mut wire).expect("an event");
    RawMessage(wire.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_recorded_once_and_a_reconnect_is_a_loss() {
    let bench = Bench::new().await;
    let agent = Agent::default();
    let seconds = |range: std::ops::Range<u32>| range.map(exec).collect::<Vec<_>>();
    // The agent tells again of what it told before: the last event of the first connection comes twice.
    *agent.connections.lock() = vec![seconds(0..10), seconds(9..30)];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let (stop, cancel) = (CancellationToken::new(), CancellationToken::new());
    let server = tonic::transport::Server::builder().add_service(FineGuidanceSensorsServer::new(agent.clone()));
    tokio::spawn(server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()));
    let config = TetragonConfig {
        connect: ConnectConfig { address, ..ConnectConfig::default() },
        stream: StreamConfig {
            flush_interval: Duration::from_millis(5),
            min_backoff: Duration::from_millis(1),
            ..StreamConfig::default()
        },
        allow_list: vec![r#"{"binary_regex":["true"]}"#.to_owned()],
        ..TetragonConfig::default()
    };
    let source = bench.pipeline.source(&config.source_name());
    let task = tokio::spawn(run(bench.pipeline.clone(), config, cancel.clone(), 1));
    let wait = async {
        while source.status().recorded < 30 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("in time");
    cancel.cancel();
    task.await.expect("a listener");
    let status = source.status();
    assert_eq!((status.recorded, status.deduplicated, status.n_under_way()), (30, 1, 0));
    assert_eq!(bench.texts(TableId::RuntimeEvents, "source_kind").await, vec!["tetragon"; 30]);
    assert_eq!(agent.requests.lock()[0].allow_list[0].binary_regex, ["true"]);
    let rows = bench.rows(TableId::Losses).await;
    let view = losses::View::new(&rows[0]).expect("own schema");
    assert_eq!((view.n_rows(), view.node.get(0), view.count.get(0)), (1, Some("n1"), None));
    assert_eq!((view.stage.get(0), view.reason.get(0)), (Some("connection"), Some("disconnected")));
    stop.cancel();
}
