//! A store with events in a temporary directory, and doors onto it.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use hindcast_model::tables::{flows, losses};
use hindcast_model::{Batch, Clock, Kind, ManualClock, SourceKind, TableId, Timestamp};
use hindcast_proto::{EventBuilders, Origin};
use hindcast_query::Engine;
use hindcast_storage::{Append, Store};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use prometheus_client::registry::Registry;
use tower::ServiceExt as _;

use crate::auth::Auth;
use crate::config::{AuthConfig, Config, LimitsConfig};
use crate::doors::{Doors, Parts};
use crate::intake::{BoxFuture, Intake, Push, PushError, PushReceipt, SourceState, SourceStatus};
use crate::metrics::Metrics;
use crate::{rest, when};

/// 2023-11-14T22:13:20Z.
pub(crate) const T0: i64 = 1_700_000_000_000_000_000;
/// A second.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Records what is pushed straight into the store.
#[derive(Debug)]
struct StoreIntake(Store);

impl Intake for StoreIntake {
    fn push(&self, push: Push) -> BoxFuture<'_, Result<PushReceipt, PushError>> {
        Box::pin(async move {
            let n_rows = push.batches.iter().map(Batch::n_rows).sum::<usize>();
            self.0.append(Append { batches: push.batches }).await.map_err(|error| PushError {
                kind: Kind::Unavailable,
                text: "the store refused".to_owned(),
                source: Some(Box::new(error)),
            })?;
            Ok(PushReceipt { recorded: u64::try_from(n_rows).expect("few rows"), ..PushReceipt::default() })
        })
    }

    fn sources(&self) -> Vec<SourceStatus> {
        vec![SourceStatus {
            name: "relay:80".to_owned(),
            kind: "hubble".to_owned(),
            state: SourceState::Waiting,
            detail: Some("connection refused".to_owned()),
            since: Some(Timestamp::from_nanos(T0)),
            received: 5,
            recorded: 3,
            deduplicated: 1,
            rejected: vec![("missing_time".to_owned(), 1)],
            lost: Vec::new(),
            last_event: None,
        }]
    }
}

/// A store and doors onto it.
pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) doors: Arc<Doors>,
    _dir: tempfile::TempDir,
}

/// An empty house.
pub(crate) async fn empty() -> House {
    with_limits(LimitsConfig::default(), &AuthConfig::default()).await
}

/// An empty house with these limits and credentials.
pub(crate) async fn with_limits(limits: LimitsConfig, auth: &AuthConfig) -> House {
    let (dir, store, parts) = parts().await;
    let doors = Arc::new(Doors::new(parts, Auth::new(auth), limits, false));
    House { store, doors, _dir: dir }
}

/// What a server is built from.
pub(crate) async fn parts() -> (tempfile::TempDir, Store, Parts) {
    let dir = tempfile::tempdir().expect("a directory");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_nanos(T0 + 3600 * SECOND)));
    let config = hindcast_storage::Config::at(dir.path()).validate().expect("a configuration");
    let store = Store::open(config, Arc::clone(&clock)).await.expect("a store");
    let engine = Engine::new(store.clone(), &hindcast_query::Config::default(), Arc::clone(&clock));
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let parts = Parts {
        engine,
        intake: Arc::new(StoreIntake(store.clone())),
        registry: Arc::new(registry),
        metrics,
        clock,
        version: "test".to_owned(),
    };
    (dir, store, parts)
}

/// A configuration on free ports.
pub(crate) fn free_ports() -> Config {
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Config { http: any, grpc: any, ..Config::default() }
}

/// Flows a second apart, from pod `web-<n>` to pod `db`, every third of them dropped.
pub(crate) fn flow_batch(range: std::ops::Range<u16>) -> Batch {
    let mut rows = flows::Builder::default();
    for n in range {
        let row = rows.row();
        let is_dropped = n % 3 == 0;
        rows.time.set(row, T0 + i64::from(n) * SECOND);
        rows.recorded_at.set(row, T0 + 3600 * SECOND);
        rows.source_kind.set(row, "hubble");
        rows.flow_count.set(row, 1);
        rows.cluster.set(row, "prod");
        rows.node.set(row, "node-1");
        rows.verdict.set(row, if is_dropped { "DROPPED" } else { "FORWARDED" });
        rows.ip_version.set(row, "IPv4");
        rows.src_ip.set(row, "10.0.0.1");
        rows.dst_ip.set(row, "10.0.0.2");
        rows.protocol.set(row, "TCP");
        rows.src_port.set(row, 40_000 + n);
        rows.dst_port.set(row, 5432);
        rows.src_namespace.set(row, "shop");
        rows.src_pod.set(row, &format!("web-{n}"));
        rows.src_labels.set(row, "k8s:app=web,k8s:tier=fe");
        rows.dst_namespace.set(row, "data");
        rows.dst_pod.set(row, "db");
        rows.is_reply.set(row, false);
        rows.summary.set(row, "TCP Flags: SYN");
        rows.commit();
    }
    Batch { table: TableId::Flows, records: rows.finish().expect("flows") }
}

/// A loss of seven flows at `seconds` after the first flow.
pub(crate) fn loss_batch(seconds: i64) -> Batch {
    let mut rows = losses::Builder::default();
    let row = rows.row();
    rows.time.set(row, T0 + seconds * SECOND);
    rows.recorded_at.set(row, T0);
    rows.source_kind.set(row, "hubble");
    rows.stage.set(row, "agent");
    rows.reason.set(row, "ring_full");
    rows.count.set(row, 7);
    rows.commit();
    Batch { table: TableId::Losses, records: rows.finish().expect("a loss") }
}

/// Runtime events a second apart: executions of `/bin/<n>`, then one of a kind that `tetra` does not know.
pub(crate) fn runtime_batch(n_execs: u16) -> Batch {
    let origin = Origin { kind: SourceKind::Tetragon, source: "test", recorded_at: Timestamp::from_nanos(T0) };
    let mut rows = EventBuilders::default();
    for n in 0..=n_execs {
        let kind = if n == n_execs { "process_connect" } else { "process_exec" };
        let time = when::format(Timestamp::from_nanos(T0 + i64::from(n) * SECOND));
        let process =
            format!(r#"{{"exec_id":"id-{n}","binary":"/bin/{n}","pod":{{"namespace":"shop","name":"web-1"}}}}"#);
        let mut line =
            format!(r#"{{"{kind}":{{"process":{process}}},"node_name":"node-1","time":"{time}"}}"#).into_bytes();
        hindcast_proto::line::decode_line(&mut line, &origin, &mut rows).expect("an event");
    }
    rows.finish().expect("events").pop().expect("one table")
}

impl House {
    pub(crate) async fn append(&self, batches: Vec<Batch>) {
        self.store.append(Append { batches }).await.expect("an append");
    }

    /// The response to a request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 7171));
        rest::router(Arc::clone(&self.doors), address).oneshot(request).await.expect("a response")
    }

    /// Status, headers, body and trailers of a GET.
    pub(crate) async fn get(&self, path: &str, accept: Option<&str>) -> (u16, HeaderMap, Vec<u8>, HeaderMap) {
        let mut request = Request::builder().uri(path);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let response = self.send(request.body(Body::empty()).expect("a request")).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let collected = response.into_body().collect().await.expect("a whole body");
        let trailers = collected.trailers().cloned().unwrap_or_default();
        (status, headers, collected.to_bytes().to_vec(), trailers)
    }

    /// The JSON of a GET and its status.
    pub(crate) async fn json(&self, path: &str) -> (u16, serde_json::Value) {
        let (status, _headers, body, _trailers) = self.get(path, None).await;
        (status, serde_json::from_slice(&body).expect("json"))
    }
}
