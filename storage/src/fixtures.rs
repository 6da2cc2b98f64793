//! Seeded, realistic rows for tests: a sparse graph of workloads with uneven edges.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hindcast_model::tables::{flows, runtime_events};
use hindcast_model::{Batch, ManualClock, TableId, Timestamp};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::{Config, Store};

/// When generated recordings start: an hour's start.
pub(crate) const T0: i64 = 1_780_002_000_000_000_000;
pub(crate) const MINUTE: i64 = 60_000_000_000;

/// A clock at [`T0`].
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_nanos(T0)))
}

/// Settings of a store in that directory. What `HINDCAST_TEST_CLICKHOUSE` names, a server whose schema is up to date, gets
/// its rows as well.
pub(crate) fn config(dir: &Path) -> Config {
    let mut config = Config::at(dir);
    config.clickhouse.url = std::env::var("HINDCAST_TEST_CLICKHOUSE").unwrap_or_default();
    config
}

/// Waits until every sealed row is where it is to be sent.
pub(crate) async fn settled(store: &Store) {
    for _ in 0..6000 {
        if store.n_unsent() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.n_unsent(), 0, "rows are not sent: {:?}", store.status().last_clickhouse_error);
}

/// A source of flows.
pub(crate) struct Traffic {
    rng: SmallRng,
    edges: Vec<Edge>,
    sent: u64,
}

#[derive(Clone, Copy)]
struct Edge {
    src: u32,
    dst: Option<u32>,
    kind: u8,
    port: u16,
}

impl Traffic {
    pub(crate) fn new(seed: u64, n_edges: u32) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let n_workloads = n_edges / 8 + 2;
        let edges = (0..n_edges)
            .map(|_| {
                let kind = rng.random_range(0..4);
                Edge {
                    src: rng.random_range(0..n_workloads),
                    dst: (kind != 3).then(|| rng.random_range(0..n_workloads)),
                    kind,
                    port: [5432, 8080, 53, 443][usize::from(kind)],
                }
            })
            .collect();
        Self { rng, edges, sent: 0 }
    }

    /// `n_rows` flows spread over `span` nanoseconds from `start` on, nearly in order.
    pub(crate) fn flows(&mut self, n_rows: usize, start: i64, span: i64) -> Batch {
        let mut builder = flows::Builder::default();
        for i in 0..n_rows {
            let place = i64::try_from(i).unwrap() * span / i64::try_from(n_rows).unwrap();
            let time = (start + place + self.rng.random_range(-1_000_000..1_000_000)).clamp(start, start + span - 1);
            self.flow(&mut builder, time);
            builder.commit();
        }
        Batch { table: TableId::Flows, records: builder.finish().unwrap() }
    }

    fn flow(&mut self, b: &mut flows::Builder, time: i64) {
        let row = b.row();
        // Few edges carry most of the traffic.
        let bound = self.rng.random_range(1..=self.edges.len());
        let edge = self.edges[self.rng.random_range(0..bound)];
        let is_reply = self.rng.random_bool(0.5);
        let pod = self.rng.random_range(0..4_u32);
        self.sent += 1;
        b.time.set(row, time);
        b.recorded_at.set(row, time / MINUTE * MINUTE);
        b.source_kind.set(row, "generated");
        b.node.set(row, &format!("node-{:03}.eu-west-1", (edge.src + pod) % 100));
        let is_denied = self.rng.random_bool(0.02);
        b.verdict.set(row, if is_denied { "DROPPED" } else { "FORWARDED" });
        if is_denied {
            b.drop_reason.set(row, "POLICY_DENIED");
            b.drop_reason_code.set(row, 133);
        }
        b.direction.set(row, if is_reply { "INGRESS" } else { "EGRESS" });
        b.is_reply.set(row, is_reply);
        b.protocol.set(row, if edge.kind == 2 { "UDP" } else { "TCP" });
        let client_port = self.rng.random_range(32_768..61_000);
        let (sport, dport) = if is_reply { (edge.port, client_port) } else { (client_port, edge.port) };
        b.src_port.set(row, sport);
        b.dst_port.set(row, dport);
        b.tcp_flags.set(row, [2, 16, 24, 17][usize::from(self.rng.random_range(0..4_u8))]);
        let sides = if is_reply { (edge.dst, Some(edge.src)) } else { (Some(edge.src), edge.dst) };
        set_side!(self, b, row, sides.0, pod, src);
        set_side!(self, b, row, sides.1, pod, dst);
        b.event_type.set(row, 4);
        b.trace_observation_point.set(row, if is_reply { "TO_ENDPOINT" } else { "TO_STACK" });
        self.layer7(b, row, edge);
        b.bytes_sent.set(row, self.rng.random_range(60..9000));
        b.packets_sent.set(row, self.rng.random_range(1..30));
        b.flow_count.set(row, if self.rng.random_bool(0.01) { 5 } else { 1 });
    }

    fn layer7(&mut self, b: &mut flows::Builder, row: usize, edge: Edge) {
        match edge.kind {
            1 => {
                b.l7_protocol.set(row, "HTTP");
                b.l7_type.set(row, "RESPONSE");
                b.http_status.set(row, if self.rng.random_bool(0.03) { 503 } else { 200 });
                b.http_method.set(row, "GET");
                b.http_url.set(row, &format!("/api/v1/{}", self.rng.random_range(0..16)));
                b.latency_ns.set(row, self.rng.random_range(50_000..40_000_000));
            }
            2 => {
                b.l7_protocol.set(row, "DNS");
                b.l7_type.set(row, "RESPONSE");
                b.dns_query.set(row, &format!("svc-{}.team.svc.cluster.local.", edge.src));
                b.dns_rcode.set(row, if self.rng.random_bool(0.05) { 3 } else { 0 });
                b.latency_ns.set(row, self.rng.random_range(50_000..12_000_000_000));
            }
            _ => {}
        }
    }
}

macro_rules! set_side {
    ($self:ident, $b:ident, $row:ident, $workload:expr, $pod:ident, src) => {
        set_side!(@ $self, $b, $row, $workload, $pod, src_ip, src_identity, src_namespace, src_pod, src_workload,
            src_workload_kind, src_labels, src_names)
    };
    ($self:ident, $b:ident, $row:ident, $workload:expr, $pod:ident, dst) => {
        set_side!(@ $self, $b, $row, $workload, $pod, dst_ip, dst_identity, dst_namespace, dst_pod, dst_workload,
            dst_workload_kind, dst_labels, dst_names)
    };
    (@ $self:ident, $b:ident, $row:ident, $workload:expr, $pod:ident, $ip:ident, $identity:ident, $namespace:ident,
        $name:ident, $owner:ident, $kind:ident, $labels:ident, $names:ident) => {
        match $workload {
            Some(workload) => {
                $b.$ip.set($row, &format!("10.0.{}.{}", workload % 250, $pod));
                $b.$identity.set($row, 10_000 + workload);
                $b.$namespace.set($row, &format!("team-{:02}", workload % 40));
                $b.$name.set($row, &format!("svc-{workload:03}-5d4f8c7b9-x{}", $pod));
                $b.$owner.set($row, &format!("svc-{workload:03}"));
                $b.$kind.set($row, "Deployment");
                $b.$labels.set($row, &format!("k8s:app=svc-{workload:03},k8s:tier=be"));
            }
            None => {
                let host = $self.rng.random_range(0..5000_u32);
                $b.$ip.set($row, &format!("52.1.{}.{}", host / 250, host % 250));
                $b.$identity.set($row, 2);
                $b.$names.set($row, &format!("api{}.example.com,alias{}.example.com", host % 30, host % 7));
            }
        }
    };
}
use set_side;

/// Process events, one a second.
pub(crate) fn runtime(seed: u64, n_rows: usize, start: i64) -> Batch {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut builder = runtime_events::Builder::default();
    for i in 0..n_rows {
        let row = builder.row();
        builder.time.set(row, start + i64::try_from(i).unwrap() * 1_000_000_000);
        builder.recorded_at.set(row, start);
        builder.source_kind.set(row, "tetragon");
        builder.kind.set(row, "process_exec");
        builder.exec_id.set(row, &format!("exec-{}", rng.random::<u32>()));
        builder.process.set(row, &[0, 1, 2, u8::try_from(i % 250).unwrap()]);
        if i % 3 == 0 {
            builder.rest.set(row, b"\x00rest\xff");
        }
        builder.commit();
    }
    Batch { table: TableId::RuntimeEvents, records: builder.finish().unwrap() }
}
