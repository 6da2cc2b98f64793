//! Roll-ups against their flows, whichever of them are stored (QU-4).

use hindcast_model::tables::flows;
use hindcast_model::{Batch, TableId, TimeRange, Timestamp};
use hindcast_storage::{Append, Config as StoreConfig};
use proptest::prelude::*;

use crate::engine::tests::{cases, engine_of, seal};
use crate::{Engine, Filter, Limits, Weight};

const T0: i64 = 1_780_002_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// Time in seconds since the start, number of the edge, flows it stands for.
type Row = (i64, u16, u64);

fn batch(rows: &[Row]) -> Batch {
    let mut builder = flows::Builder::default();
    for (seconds, edge, count) in rows {
        let row = builder.row();
        builder.time.set(row, T0 + seconds * SECOND);
        builder.recorded_at.set(row, T0);
        builder.source_kind.set(row, "test");
        builder.verdict.set(row, if edge % 2 == 0 { "FORWARDED" } else { "DROPPED" });
        builder.src_workload.set(row, &format!("web-{edge}"));
        builder.dst_port.set(row, 80);
        builder.bytes_sent.set(row, 10 * *count);
        builder.flow_count.set(row, *count);
        builder.commit();
    }
    Batch { table: TableId::Flows, records: builder.finish().unwrap() }
}

async fn ask(engine: &Engine, text: &str) -> String {
    let stream = engine.sql(text, Limits::default()).await.unwrap();
    let (batches, cut) = stream.collect_all().await.unwrap();
    assert_eq!(cut, None);
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

async fn check(min_flows: usize, parts: &[(Vec<Row>, bool)], from: i64, span: i64) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = StoreConfig::at(dir.path());
    config.segments.rollup_1m_min_flows = min_flows;
    let engine = engine_of(config).await;
    let store = engine.store();
    for (rows, is_sealed) in parts {
        store.append(Append { batches: vec![batch(rows)] }).await.unwrap();
        if *is_sealed {
            seal(&engine).await;
        }
    }
    for (table, width) in [("edges_1m", "1m"), ("edges_1h", "1h")] {
        let rolled = "SELECT time, src_workload, sum(flows) AS flows, sum(rows) AS n, sum(bytes_sent) AS bytes,
                      min(first_seen) AS first, max(last_seen) AS last";
        let rolled = ask(&engine, &format!("{rolled} FROM {table} GROUP BY 1, 2 ORDER BY 1, 2")).await;
        let raw = format!(
            "SELECT time_bucket('{width}', time) AS time, src_workload, sum(flow_count) AS flows, count(*) AS n,
             sum(bytes_sent) AS bytes, min(time) AS first, max(time) AS last FROM flows GROUP BY 1, 2 ORDER BY 1, 2"
        );
        let brute = ask(&engine, &raw).await;
        // Both answers name their columns alike; only types of sums may differ in how wide they are.
        assert_eq!(rolled, brute, "{table}");
    }
    let (start, end) = (T0 + from * SECOND, T0 + (from + span) * SECOND);
    let range = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end)).unwrap();
    let inside = parts.iter().flat_map(|(rows, _)| rows).filter(|row| (from..from + span).contains(&row.0));
    let expected = inside.map(|row| row.2).sum::<u64>();
    let limits = Limits::default();
    let (count, _) = engine.count(TableId::Flows, Filter::True, range, Weight::Flows, limits).await.unwrap();
    assert_eq!(count, expected);
    store.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases() / 2))]

    #[test]
    fn roll_ups_are_what_their_flows_fold_to(
        min_flows in prop_oneof![Just(0_usize), Just(3), Just(1000)],
        parts in prop::collection::vec(
            (prop::collection::vec((0_i64..9000, 0_u16..4, 1_u64..4), 1..60), any::<bool>()), 1..5),
        from in 0_i64..4000,
        span in 1_i64..9000,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check(min_flows, &parts, from, span));
    }
}
