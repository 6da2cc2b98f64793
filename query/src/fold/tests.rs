//! Roll-ups and rows together give what the rows alone give (QU-4), whatever is sealed and whatever the range.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{TimestampNanosecondType, UInt16Type, UInt64Type};
use hindcast_model::Batch;
use hindcast_model::column::TextView;
use hindcast_model::tables::flows;
use hindcast_storage::Append;
use proptest::prelude::*;

use super::*;
use crate::engine::tests::{cases, engine, seal};
use crate::filter::text;

const T0: i64 = 1_780_002_000_000_000_000;
const SECOND: i64 = 1_000_000_000;
const WORKLOADS: [Option<&str>; 4] = [None, Some("api"), Some("db"), Some("web")];
const VERDICTS: [&str; 3] = ["FORWARDED", "DROPPED", "AUDIT"];

/// A flow of the test.
#[derive(Clone, Debug)]
struct Row {
    time: i64,
    source: Option<&'static str>,
    destination: Option<&'static str>,
    verdict: &'static str,
    port: u16,
    is_reply: bool,
    flows: u64,
    bytes: Option<u64>,
    latency: Option<u64>,
    status: Option<u16>,
}

fn any_row() -> impl Strategy<Value = Row> {
    (
        (0_i64..4 * 3600, 0_i64..3),
        (0_usize..4, 0_usize..4, 0_usize..3),
        (80_u16..83, any::<bool>(), 1_u64..4),
        proptest::option::of(0_u64..1000),
        proptest::option::of(0_u64..1_000_000_000),
        proptest::option::of(prop_oneof![Just(200_u16), Just(404), Just(503)]),
    )
        .prop_map(
            |((second, nanos), (source, destination, verdict), (port, is_reply, flows), bytes, latency, status)| Row {
                time: T0 + second * SECOND + nanos,
                source: WORKLOADS[source],
                destination: WORKLOADS[destination],
                verdict: VERDICTS[verdict],
                port,
                is_reply,
                flows,
                bytes,
                latency,
                status,
            },
        )
}

fn batch(rows: &[Row]) -> Batch {
    let mut builder = flows::Builder::default();
    for flow in rows {
        let row = builder.row();
        builder.time.set(row, flow.time);
        builder.recorded_at.set(row, flow.time);
        builder.source_kind.set(row, "generated");
        builder.flow_count.set(row, flow.flows);
        builder.src_port.set(row, flow.port);
        builder.dst_port.set(row, flow.port);
        builder.is_reply.set(row, flow.is_reply);
        builder.verdict.set(row, flow.verdict);
        if let Some(source) = flow.source {
            builder.src_workload.set(row, source);
        }
        if let Some(destination) = flow.destination {
            builder.dst_workload.set(row, destination);
        }
        if let Some(bytes) = flow.bytes {
            builder.bytes_sent.set(row, bytes);
        }
        if let Some(latency) = flow.latency {
            builder.latency_ns.set(row, latency);
        }
        if let Some(status) = flow.status {
            builder.http_status.set(row, status);
        }
        builder.commit();
    }
    Batch { table: TableId::Flows, records: builder.finish().unwrap() }
}

/// A filter, and the same said plainly.
type Meaning = (&'static str, fn(&Row) -> bool);

fn filters() -> [Meaning; 6] {
    [
        ("", |_| true),
        ("verdict:dropped", |row| row.verdict == "DROPPED"),
        ("-from:workload:api", |row| row.source != Some("api")),
        ("reply:true (workload:db or verdict:audit)", |row| {
            row.is_reply && (row.source == Some("db") || row.destination == Some("db") || row.verdict == "AUDIT")
        }),
        // Not in a roll-up: rows have to be read.
        ("to:port:81", |row| row.port == 81),
        ("bytes>=500", |row| row.bytes.is_some_and(|bytes| bytes >= 500)),
    ]
}

const fn weight_of(row: &Row, weight: Weight) -> u64 {
    match weight {
        Weight::Rows => 1,
        Weight::Flows => row.flows,
    }
}

/// What is compared of an edge: flows, rows, bytes, errors, first and last, latencies and the greatest of them.
type Sums = (u64, u64, Option<u64>, u64, i64, i64, u64, Option<u64>);
type EdgeKey = (Option<String>, Option<String>, String, u16, bool, Option<u8>);

fn expected_edges(rows: &[Row]) -> BTreeMap<EdgeKey, Sums> {
    let mut found: BTreeMap<EdgeKey, Sums> = BTreeMap::new();
    for row in rows {
        let class = row.status.map(|status| u8::try_from(status / 100).unwrap());
        let key = (
            row.source.map(str::to_owned),
            row.destination.map(str::to_owned),
            row.verdict.to_owned(),
            row.port,
            row.is_reply,
            class,
        );
        let sums = found.entry(key).or_insert((0, 0, None, 0, i64::MAX, i64::MIN, 0, None));
        sums.0 += row.flows;
        sums.1 += 1;
        sums.2 = row.bytes.map_or(sums.2, |bytes| Some(sums.2.unwrap_or(0) + bytes));
        sums.3 += if row.status == Some(503) { row.flows } else { 0 };
        sums.4 = sums.4.min(row.time);
        sums.5 = sums.5.max(row.time);
        sums.6 += u64::from(row.latency.is_some());
        sums.7 = sums.7.max(row.latency);
    }
    found
}

fn found_edges(edges: &Edges) -> BTreeMap<EdgeKey, Sums> {
    let records = &edges.records;
    let column = |name: &str| records.column_by_name(name).unwrap();
    let text = |name: &str, row: usize| TextView::of(Some(column(name))).unwrap().get(row).map(str::to_owned);
    let number = |name: &str, row: usize| {
        let array = column(name).as_primitive::<UInt64Type>();
        array.is_valid(row).then(|| array.value(row))
    };
    let time = |name: &str, row: usize| column(name).as_primitive::<TimestampNanosecondType>().value(row);
    let mut found = BTreeMap::new();
    for row in 0..records.num_rows() {
        let class = column("http_status_class").as_primitive::<arrow::datatypes::UInt8Type>();
        let key = (
            text("src_workload", row),
            text("dst_workload", row),
            text("verdict", row).unwrap(),
            column("port").as_primitive::<UInt16Type>().value(row),
            column("is_reply").as_boolean().value(row),
            class.is_valid(row).then(|| class.value(row)),
        );
        let sums = (
            number("flows", row).unwrap(),
            number("rows", row).unwrap(),
            number("bytes_sent", row),
            number("errors", row).unwrap(),
            time("first_seen", row),
            time("last_seen", row),
            number("latency_count", row).unwrap(),
            number("latency_max_ns", row),
        );
        assert_eq!(time("time", row), time("first_seen", row));
        assert!(found.insert(key, sums).is_none(), "an edge stands twice");
    }
    found
}

fn expected_top(rows: &[Row], weight: Weight) -> Vec<CountedValue> {
    let mut counts: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.source.map(str::to_owned)).or_default() += weight_of(row, weight);
    }
    let mut counts = counts.into_iter().map(|(value, count)| CountedValue { value, count }).collect::<Vec<_>>();
    counts.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.value.cmp(&other.value)));
    counts
}

/// Everything that is asked of one range and filter.
async fn check(engine: &Engine, all: &[Row], range: TimeRange, width: i64, weight: Weight) {
    for (filter_text, means) in filters() {
        let filter = text::parse(filter_text).unwrap();
        let inside = |row: &&Row| range.contains(Timestamp::from_nanos(row.time)) && means(row);
        let rows = all.iter().filter(inside).cloned().collect::<Vec<_>>();
        let total = rows.iter().map(|row| weight_of(row, weight)).sum::<u64>();
        let limits = Limits::default();
        let counted = engine.count(TableId::Flows, filter.clone(), range, weight, limits).await.unwrap();
        assert_eq!(counted, (total, None), "count {filter_text:?} {range:?}");

        let top = TopQuery {
            table: TableId::Flows,
            column: "src_workload",
            filter: filter.clone(),
            range,
            count: 10,
            weight,
            limits,
        };
        let top = engine.top(top).await.unwrap();
        assert_eq!((top.values, top.total), (expected_top(&rows, weight), total), "top {filter_text:?} {range:?}");

        let histogram = HistogramQuery {
            table: TableId::Flows,
            filter: filter.clone(),
            range,
            buckets: Bucketed::Width(Duration::from_nanos(width.unsigned_abs())),
            by: Some("verdict"),
            weight,
            limits,
        };
        let histogram = engine.histogram(histogram).await.unwrap();
        let mut expected: BTreeMap<(Option<String>, i64), u64> = BTreeMap::new();
        for row in &rows {
            let start = row.time.div_euclid(width) * width;
            *expected.entry((Some(row.verdict.to_owned()), start)).or_default() += weight_of(row, weight);
        }
        let mut found = BTreeMap::new();
        for series in &histogram.series {
            for (count, number) in series.counts.iter().zip(0_i64..) {
                if *count > 0 {
                    found.insert((series.value.clone(), histogram.start.as_nanos() + number * width), *count);
                }
            }
        }
        assert_eq!(found, expected, "histogram {filter_text:?} {range:?} {width}");

        let edges = engine.edges(range, filter, limits).await.unwrap();
        assert_eq!(edges.cut, None);
        assert_eq!(found_edges(&edges), expected_edges(&rows), "edges {filter_text:?} {range:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn roll_ups_and_rows_give_what_rows_give(
        appends in proptest::collection::vec((proptest::collection::vec(any_row(), 1..40), any::<bool>()), 1..6),
        (from, length) in (-60_i64..4 * 3600, 0_i64..4 * 3600),
        is_round in any::<bool>(),
        width in prop_oneof![Just(30 * SECOND), Just(60 * SECOND), Just(90 * SECOND), Just(3600 * SECOND)],
        weight in prop_oneof![Just(Weight::Rows), Just(Weight::Flows)],
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let engine = engine(dir.path()).await;
            let mut all = Vec::new();
            for (rows, is_sealed) in &appends {
                engine.store().append(Append { batches: vec![batch(rows)] }).await.unwrap();
                all.extend(rows.iter().cloned());
                if *is_sealed {
                    seal(&engine).await;
                }
            }
            let unit = if is_round { 3600 * SECOND } else { SECOND + 1 };
            let start = T0 + if is_round { from / 3600 * unit } else { from * unit };
            let end = start + if is_round { (length / 3600 + 1) * unit } else { length * unit };
            let range = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end)).unwrap();
            check(&engine, &all, range, width, weight).await;
            check(&engine, &all, TimeRange::ALL, width, weight).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_flows_are_counted_from_roll_ups() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    let row = |second: i64| Row {
        time: T0 + second * SECOND,
        source: Some("web"),
        destination: Some("db"),
        verdict: "FORWARDED",
        port: 80,
        is_reply: false,
        flows: 1,
        bytes: None,
        latency: None,
        status: None,
    };
    let rows = (0..4 * 3600).step_by(7).map(row).collect::<Vec<_>>();
    engine.store().append(Append { batches: vec![batch(&rows)] }).await.unwrap();
    seal(&engine).await;
    let range = TimeRange::new(
        Timestamp::from_nanos(T0 + 30 * SECOND),
        Timestamp::from_nanos(T0 + 3 * 3600 * SECOND + 90 * SECOND),
    );
    let needs = cover::Needs { raw: &[], rolled: &["rows"], raw_grouping: None, rolled_grouping: Default::default() };
    let snapshot = engine.store().snapshot();
    let scans = cover::scans(&snapshot, range.unwrap(), &Filter::True, &needs, None);
    let sealed = scans.iter().filter(|scan| scan.sealed != Sealed::None).map(|scan| scan.table).collect::<Vec<_>>();
    assert_eq!(sealed.iter().copied().collect::<BTreeSet<_>>().len(), 3, "{scans:?}");
    let raw = scans.iter().filter(|scan| scan.sealed == Sealed::All && scan.table == TableId::Flows);
    let raw = raw.map(|scan| scan.range.end().as_nanos() - scan.range.start().as_nanos()).sum::<i64>();
    assert_eq!(raw, 60 * SECOND, "only the ragged ends are read row by row");
}
