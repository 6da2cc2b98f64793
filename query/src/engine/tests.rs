//! Exact order, paging and following, against a plain sort.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{TimestampNanosecondType, UInt16Type};
use futures::StreamExt as _;
use hindcast_model::tables::flows;
use hindcast_model::{Batch, ManualClock};
use hindcast_storage::{Append, ClickHouseSchema, Config as StoreConfig};
use proptest::prelude::*;

use super::*;
use crate::filter::text;
use crate::{Cut, CutReason};

const T0: i64 = 1_780_002_000_000_000_000;

/// Flows by time offset and port.
pub(crate) fn batch(rows: &[(i64, u16)]) -> Batch {
    let mut builder = flows::Builder::default();
    for (time, port) in rows {
        let row = builder.row();
        builder.time.set(row, T0 + time);
        builder.recorded_at.set(row, T0 + time);
        builder.source_kind.set(row, "generated");
        builder.flow_count.set(row, 1);
        builder.dst_port.set(row, *port);
        builder.src_pod.set(row, if port % 2 == 0 { "even" } else { "odd" });
        builder.src_namespace.set(row, "shop");
        builder.verdict.set(row, if port % 5 == 0 { "DROPPED" } else { "FORWARDED" });
        builder.commit();
    }
    Batch { table: TableId::Flows, records: builder.finish().unwrap() }
}

pub(crate) async fn engine(dir: &std::path::Path) -> Engine {
    engine_of(StoreConfig::at(dir)).await
}

/// An engine over a store of its own. `HINDCAST_TEST_CLICKHOUSE` names a server: then what is sealed is read there.
pub(crate) async fn engine_of(mut config: StoreConfig) -> Engine {
    let clock = Arc::new(ManualClock::new(Timestamp::from_nanos(T0)));
    let clickhouse = std::env::var("HINDCAST_TEST_CLICKHOUSE").ok();
    if let Some(url) = &clickhouse {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        config.clickhouse.url.clone_from(url);
        config.clickhouse.database = format!("test_{}_{number}", std::process::id());
        config.clickhouse.block_rows = 1000;
    }
    let config = config.validate().unwrap();
    if clickhouse.is_some() {
        ClickHouseSchema::of(&config).unwrap().apply(|_step| {}).await.unwrap();
    }
    let store = Store::open(config, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
    Engine::new(store, &Config::default(), clock)
}

/// Cases of a property: a server takes a second or two to make a store's tables.
pub(crate) fn cases() -> u32 {
    if std::env::var_os("HINDCAST_TEST_CLICKHOUSE").is_none() { 24 } else { 6 }
}

/// Seals what is in memory. Where there is a ClickHouse server it gets all of it, and the lake keeps nothing.
pub(crate) async fn seal(engine: &Engine) {
    let store = engine.store();
    store.seal_all().await.unwrap();
    if std::env::var_os("HINDCAST_TEST_CLICKHOUSE").is_none() {
        return;
    }
    while store.n_unsent() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    store.move_out(Timestamp::MAX).await.unwrap();
}

pub(crate) async fn append(engine: &Engine, rows: &[(i64, u16)]) {
    engine.store().append(Append { batches: vec![batch(rows)] }).await.unwrap();
}

fn rows(records: &RecordBatch) -> Vec<(i64, u16)> {
    let times = records.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>().clone();
    let ports = records.column_by_name("dst_port").unwrap().as_primitive::<UInt16Type>().clone();
    (0..records.num_rows()).map(|row| (times.value(row) - T0, ports.value(row))).collect()
}

async fn ask(engine: &Engine, query: EventQuery) -> (Vec<(i64, u16)>, Option<Cut>, Option<Cursor>) {
    let stream = engine.events(query).await.unwrap();
    let (records, cut, cursor) = stream.collect_all().await.unwrap();
    (rows(&records), cut, cursor)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The times that a plain sort gives.
fn expected(all: &[(i64, u16)], range: TimeRange, pick: Pick, order: Order) -> Vec<i64> {
    let matching = all.iter().filter(|(time, port)| range.contains(Timestamp::from_nanos(T0 + time)) && port % 2 == 0);
    let mut times = matching.map(|(time, _)| *time).collect::<Vec<_>>();
    times.sort_unstable();
    let at_most = |count: u64| usize::try_from(count).unwrap();
    match pick {
        Pick::Newest(count) => drop(times.drain(..times.len().saturating_sub(at_most(count)))),
        Pick::Oldest(count) => times.truncate(at_most(count)),
        Pick::All => {}
    }
    if order == Order::Descending {
        times.reverse();
    }
    times
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn any_question_equals_a_plain_sort_and_pages_equal_one_answer(
        appends in proptest::collection::vec(proptest::collection::vec((0_i64..60, any::<u16>()), 1..30), 1..8),
        sealed in any::<u8>(),
        count in 0_u64..40,
        page in 1_u64..9,
        from in 0_i64..30,
        length in 0_i64..60,
    ) {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let engine = engine(dir.path()).await;
            for (number, rows) in appends.iter().enumerate() {
                append(&engine, rows).await;
                if sealed & (1 << number) != 0 {
                    seal(&engine).await;
                }
            }
            let all = appends.concat();
            let range = TimeRange::new(Timestamp::from_nanos(T0 + from), Timestamp::from_nanos(T0 + from + length)).unwrap();
            for pick in [Pick::Newest(count), Pick::Oldest(count), Pick::All] {
                for order in [Order::Ascending, Order::Descending] {
                    let query = EventQuery {
                        filter: text::parse("pod:even").unwrap(),
                        range,
                        pick,
                        order,
                        ..EventQuery::all(TableId::Flows)
                    };
                    let (found, cut, _) = ask(&engine, query.clone()).await;
                    prop_assert_eq!(cut, None);
                    let times = found.iter().map(|(time, _)| *time).collect::<Vec<_>>();
                    prop_assert_eq!(times, expected(&all, range, pick, order), "{:?} {:?}", pick, order);
                }
            }
            // Equal rows are one event: pages are compared where all differ.
            let mut distinct = all.clone();
            distinct.sort_unstable();
            let n_all = distinct.len();
            distinct.dedup();
            prop_assume!(distinct.len() == n_all);
            let whole = ask(&engine, EventQuery { order: Order::Descending, ..EventQuery::all(TableId::Flows) }).await.0;
            let mut paged = Vec::new();
            let mut after = None;
            loop {
                let query = EventQuery { order: Order::Descending, after, ..EventQuery::newest(TableId::Flows, page) };
                let (found, _, cursor) = ask(&engine, query).await;
                if found.is_empty() {
                    break;
                }
                paged.extend(found);
                after = cursor.map(|cursor| cursor.to_string().parse().unwrap());
            }
            prop_assert_eq!(paged, whole);
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_obeys_its_limits_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    append(&engine, &(0..100).map(|number| (number, 2)).collect::<Vec<_>>()).await;
    let limited =
        |max_rows| EventQuery { limits: Limits { max_rows, ..Limits::default() }, ..EventQuery::all(TableId::Flows) };
    let (found, cut, _) = ask(&engine, limited(10)).await;
    assert_eq!((found.len(), cut), (10, Some(Cut { reason: CutReason::Rows, n_rows: 10 })));
    let (found, cut, _) = ask(&engine, limited(100)).await;
    assert_eq!((found.len(), cut), (100, None));
    let hurried = EventQuery {
        limits: Limits { max_time: std::time::Duration::ZERO, ..Limits::default() },
        ..EventQuery::all(TableId::Flows)
    };
    assert_eq!(ask(&engine, hurried).await.1.map(|cut| cut.reason), Some(CutReason::Time));
    let strange = EventQuery { filter: Filter::one_of("binary", ["x"]), ..EventQuery::all(TableId::Flows) };
    assert_eq!(engine.events(strange).await.unwrap_err().kind(), hindcast_model::Kind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_gives_every_row_once() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    append(&engine, &[(1, 2), (2, 3), (3, 4)]).await;
    let query = EventQuery { filter: text::parse("pod:even").unwrap(), ..EventQuery::newest(TableId::Flows, 1) };
    let mut stream = engine.events_then_follow(query).await.unwrap();
    // Sealed and no more: a follower asks the lake, which rows leave long after they were followed.
    append(&engine, &[(4, 5)]).await;
    engine.store().seal_all().await.unwrap();
    append(&engine, &[(5, 6), (6, 7), (7, 8)]).await;
    engine.store().seal_all().await.unwrap();
    let mut found = Vec::new();
    while found.len() < 3 {
        found.extend(rows(&stream.next().await.unwrap().unwrap().records));
    }
    assert_eq!(found, [(3, 4), (5, 6), (7, 8)]);
    let mut later = engine.follow(TableId::Flows, Filter::True, hindcast_storage::Lsn::new(2)).await.unwrap();
    assert_eq!(rows(&later.next().await.unwrap().unwrap().records), [(5, 6), (6, 7), (7, 8)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_answer_stops_its_work() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    append(&engine, &(0..60_000).map(|number| (number, 2)).collect::<Vec<_>>()).await;
    for _ in 0..20 {
        let mut stream = engine.events(EventQuery::all(TableId::Flows)).await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
    }
    // Every permit comes back.
    for _ in 0..Config::default().max_concurrent {
        drop(engine.permit().await.unwrap());
    }
}
