//! What is left out unread, against every row (QU-2): sealed rows with many texts, in several row groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use hindcast_model::tables::flows;
use hindcast_model::{Batch, Clock, ManualClock, TableId, TimeRange, Timestamp};
use hindcast_storage::{Append, Config as StoreConfig, Store};
use proptest::prelude::*;

use crate::filter::{Filter, NumberTest, Pattern, TextTest};
use crate::{Config, Engine, EventQuery, Limits, Weight};

const T0: i64 = 1_780_002_000_000_000_000;
const N_ROWS: u32 = 6000;

/// Rows whose number is their port and second; every text has many values, and sometimes none.
fn recording() -> RecordBatch {
    let mut builder = flows::Builder::default();
    for number in 0..N_ROWS {
        let row = builder.row();
        // Spread so that neighbours in time are not neighbours in any other column.
        let mixed = number.wrapping_mul(2_654_435_761) >> 7;
        builder.time.set(row, T0 + i64::from(number) * 100_000_000);
        builder.recorded_at.set(row, T0);
        builder.source_kind.set(row, "generated");
        builder.flow_count.set(row, 1);
        builder.src_port.set(row, u16::try_from(number).unwrap());
        builder.verdict.set(row, if mixed % 97 == 0 { "DROPPED" } else { "FORWARDED" });
        if mixed % 11 != 0 {
            builder.src_namespace.set(row, &format!("ns-{}", mixed % 5));
            builder.src_workload.set(row, &format!("app-{}", mixed % 40));
            builder.src_pod.set(row, &format!("app-{}-{}", mixed % 40, mixed % 400));
        }
        if mixed % 3 != 0 {
            builder.dst_pod.set(row, &format!("db-{}", mixed % 700));
        }
        builder.dst_ip.set(row, &format!("10.0.{}.{}", mixed % 7, mixed % 251));
        builder.commit();
    }
    builder.finish().unwrap()
}

async fn sealed(dir: &std::path::Path, records: &RecordBatch) -> Engine {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_nanos(T0)));
    let mut config = StoreConfig::at(dir);
    config.segments.row_group_rows = 1024;
    let store = Store::open(config.validate().unwrap(), Arc::clone(&clock)).await.unwrap();
    store.append(Append { batches: vec![Batch { table: TableId::Flows, records: records.clone() }] }).await.unwrap();
    store.seal_all().await.unwrap();
    Engine::new(store, &Config::default(), clock)
}

fn any_test() -> impl Strategy<Value = TextTest> {
    let text = prop_oneof![
        (0_u32..45).prop_map(|n| format!("app-{n}")),
        (0_u32..45, 0_u32..420).prop_map(|(n, m)| format!("app-{n}-{m}")),
        (0_u32..720).prop_map(|n| format!("db-{n}")),
        (0_u32..8, 0_u32..255).prop_map(|(n, m)| format!("10.0.{n}.{m}")),
        Just("ns-3".to_owned()),
        Just("DROPPED".to_owned()),
        Just("d".to_owned()),
        Just(String::new()),
    ];
    (text, 0_u8..7).prop_map(|(text, kind)| match kind {
        0 => TextTest::OneOf(BTreeSet::from([text, "app-7-47".to_owned()])),
        1 => TextTest::Prefix(text),
        2 => TextTest::Family(text),
        3 => TextTest::Absent,
        4 => TextTest::Contains(text),
        5 => TextTest::Matches(Pattern::native(&format!("{text}$")).unwrap()),
        _ => TextTest::InNetwork(vec!["10.0.3.0/28".parse().unwrap()]),
    })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let column = prop::sample::select(vec!["src_namespace", "src_workload", "src_pod", "dst_pod", "dst_ip", "verdict"]);
    let leaf = prop_oneof![
        6 => (column, any_test()).prop_map(|(column, test)| Filter::Text { column, test }),
        1 => (0_i128..6000, 0_i128..6000)
            .prop_map(|(low, high)| Filter::Number { column: "src_port", test: NumberTest::Between(low, high) }),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::all),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::any),
            1 => inner.prop_map(Filter::negate),
        ]
    })
}

#[test]
fn nothing_that_matches_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let records = recording();
    let engine = runtime.block_on(sealed(dir.path(), &records));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    let found = std::cell::Cell::new(0_usize);
    runner
        .run(&any_filter(), |filter| {
            let expected = filter.evaluate(&records).unwrap().true_count();
            let query = EventQuery { filter: filter.clone(), ..EventQuery::all(TableId::Flows) };
            let (events, cut, _) =
                runtime.block_on(async { engine.events(query).await.unwrap().collect_all().await.unwrap() });
            prop_assert_eq!(cut, None);
            prop_assert_eq!(events.num_rows(), expected, "events, {:?}", filter);
            let limits = Limits::default();
            let counting = engine.count(TableId::Flows, filter.clone(), TimeRange::ALL, Weight::Rows, limits);
            let (count, _) = runtime.block_on(counting).unwrap();
            prop_assert_eq!(usize::try_from(count).unwrap(), expected, "count, {:?}", filter);
            found.set(found.get() + usize::from(expected > 0 && expected < records.num_rows()));
            Ok(())
        })
        .unwrap();
    assert!(found.get() > 15, "hardly any filter told rows apart: {}", found.get());
}
