//! The fold against summing by hand, with texts as keys.

use std::collections::BTreeMap;

use hindcast_model::tables::{edges, flows};

use super::*;
use crate::fixtures::{MINUTE, T0, Traffic};

/// Flows, rows, bytes sent, errors, latencies, their sum, first and last seen.
type Row = (u64, u64, Option<u64>, u64, u64, u64, i64, i64);
type Wide = (i64, Vec<Option<String>>);

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn all() -> Vec<&'static str> {
    edges::COLUMNS.iter().map(|column| column.name).collect()
}

fn brute(batch: &RecordBatch, width: i64) -> BTreeMap<Wide, Row> {
    let view = flows::View::new(batch).unwrap();
    let mut edges: BTreeMap<Wide, Row> = BTreeMap::new();
    for row in 0..view.n_rows() {
        let first = |names: Option<&str>| {
            names.and_then(|names| hindcast_model::list::split(names).next().map(|name| name.into_owned()))
        };
        let (src_wl, dst_wl) = (view.src_workload.get(row), view.dst_workload.get(row));
        let port = if view.is_reply.get(row) == Some(true) { view.src_port.get(row) } else { view.dst_port.get(row) };
        let status = view.http_status.get(row);
        let key = vec![
            text(view.src_namespace.get(row)),
            text(src_wl),
            text(view.src_workload_kind.get(row)),
            src_wl.is_none().then(|| text(view.src_identity.get(row))).flatten(),
            src_wl.is_none().then(|| first(view.src_names.get(row))).flatten(),
            text(view.dst_namespace.get(row)),
            text(dst_wl),
            dst_wl.is_none().then(|| text(view.dst_identity.get(row))).flatten(),
            dst_wl.is_none().then(|| first(view.dst_names.get(row))).flatten(),
            text(view.protocol.get(row)),
            text(port),
            text(view.verdict.get(row)),
            text(view.drop_reason.get(row)),
            text(view.direction.get(row)),
            text(view.is_reply.get(row)),
            text(view.trace_observation_point.get(row)),
            text(view.l7_protocol.get(row)),
            text(view.l7_type.get(row)),
            text(status.filter(|status| *status >= 100).map(|status| status / 100)),
        ];
        let time = view.time.get(row).unwrap();
        let count = view.flow_count.get(row).unwrap();
        let sums =
            edges.entry((time.div_euclid(width) * width, key)).or_insert((0, 0, None, 0, 0, 0, i64::MAX, i64::MIN));
        sums.0 += count;
        sums.1 += 1;
        if let Some(bytes) = view.bytes_sent.get(row) {
            sums.2 = Some(sums.2.unwrap_or(0) + bytes);
        }
        if status.is_some_and(|status| status >= 500) || view.dns_rcode.get(row).is_some_and(|rcode| rcode != 0) {
            sums.3 += count;
        }
        if let Some(nanos) = view.latency_ns.get(row) {
            sums.4 += 1;
            sums.5 += nanos;
        }
        sums.6 = sums.6.min(time);
        sums.7 = sums.7.max(time);
    }
    edges
}

fn read(batch: &RecordBatch) -> BTreeMap<Wide, Row> {
    let view = edges::View::new(batch).unwrap();
    let mut rows = BTreeMap::new();
    for row in 0..view.n_rows() {
        let key = vec![
            text(view.src_namespace.get(row)),
            text(view.src_workload.get(row)),
            text(view.src_workload_kind.get(row)),
            text(view.src_identity.get(row)),
            text(view.src_name.get(row)),
            text(view.dst_namespace.get(row)),
            text(view.dst_workload.get(row)),
            text(view.dst_identity.get(row)),
            text(view.dst_name.get(row)),
            text(view.protocol.get(row)),
            text(view.port.get(row)),
            text(view.verdict.get(row)),
            text(view.drop_reason.get(row)),
            text(view.direction.get(row)),
            text(view.is_reply.get(row)),
            text(view.trace_observation_point.get(row)),
            text(view.l7_protocol.get(row)),
            text(view.l7_type.get(row)),
            text(view.http_status_class.get(row)),
        ];
        let buckets = [view.latency_le_100us.get(row), view.latency_le_1ms.get(row), view.latency_le_inf.get(row)];
        assert_eq!(buckets[0].is_some(), view.latency_count.get(row) != Some(0));
        let sums = (
            view.flows.get(row).unwrap(),
            view.rows.get(row).unwrap(),
            view.bytes_sent.get(row),
            view.errors.get(row).unwrap(),
            view.latency_count.get(row).unwrap(),
            view.latency_sum_ns.get(row).unwrap(),
            view.first_seen.get(row).unwrap(),
            view.last_seen.get(row).unwrap(),
        );
        assert!(rows.insert((view.time.get(row).unwrap(), key), sums).is_none(), "an edge stands twice");
    }
    rows
}

#[test]
fn folding_gives_what_summing_by_hand_gives() {
    for (seed, n_rows, n_edges) in [(1, 5000, 30), (2, 777, 500), (3, 1, 1), (4, 2000, 8)] {
        let mut traffic = Traffic::new(seed, n_edges);
        let batches: Vec<RecordBatch> =
            (0..3).map(|i| traffic.flows(n_rows, T0 + i * 7 * MINUTE, 30 * MINUTE).records).collect();
        let whole = arrow::compute::concat_batches(&flows::schema(), &batches).unwrap();
        for width in [MINUTE_NS, HOUR_NS] {
            let folded = fold(&batches, width, &all()).unwrap();
            assert_eq!(read(&folded), brute(&whole, width), "seed {seed}");
        }
        let merged = Merged::new(TableId::Flows, &batches).unwrap();
        let keys = Keys::of(&merged).unwrap().into_edges();
        let rolled = Rolled::of(&merged, &keys);
        assert_eq!(read(&rolled.table(TableId::Edges1m, &keys).unwrap()), brute(&whole, MINUTE_NS));
        assert_eq!(read(&rolled.table(TableId::Edges1h, &keys).unwrap()), brute(&whole, HOUR_NS));
    }
}

#[test]
fn joining_edges_of_parts_gives_the_edges_of_the_whole() {
    let mut traffic = Traffic::new(9, 40);
    let batches: Vec<RecordBatch> =
        (0..4).map(|i| traffic.flows(1500, T0 + i * 5 * MINUTE, 20 * MINUTE).records).collect();
    for (table, width) in [(TableId::Edges1m, MINUTE_NS), (TableId::Edges1h, HOUR_NS)] {
        let parts: Vec<RecordBatch> =
            batches.iter().map(|batch| fold(std::slice::from_ref(batch), width, &all()).unwrap()).collect();
        let whole = fold(&batches, width, &all()).unwrap();
        let joined = refold(table, &parts).unwrap();
        assert!(joined.num_rows() < parts.iter().map(RecordBatch::num_rows).sum());
        assert_eq!(read(&joined), read(&whole));
    }
}
