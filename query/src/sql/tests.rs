//! Statements and their answers as tables; what is refused; what is bounded.

use std::time::Duration;

use arrow::util::pretty::pretty_format_batches;
use hindcast_model::Kind;

use super::{Work, guard, newest};
use crate::engine::tests::{append, engine, seal};
use crate::{CutReason, Engine, Limits, QueryError};

async fn ask(engine: &Engine, text: &str) -> String {
    let stream = match engine.sql(text, Limits::default()).await {
        Ok(stream) => stream,
        Err(error) => return format!("error: {error} {:?}", place(&error)),
    };
    match stream.collect_all().await {
        Ok((batches, _)) => pretty_format_batches(&batches).unwrap().to_string(),
        Err(error) => format!("error: {error}"),
    }
}

fn place(error: &QueryError) -> (Option<(u64, u64)>, Option<String>) {
    match error {
        QueryError::Sql { place, suggestion, .. } => (*place, suggestion.clone()),
        _ => (None, None),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_have_these_answers() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    append(&engine, &(0..50).map(|number| (i64::from(number) * 1_000_000_000, number)).collect::<Vec<_>>()).await;
    seal(&engine).await;
    append(&engine, &[(60_000_000_000, 1000), (61_000_000_000, 1001)]).await;
    for (text, expected) in [
        ("SELECT count(*) AS n FROM flows", "| 52 |"),
        ("SELECT src_pod, count(*) AS n FROM flows GROUP BY src_pod ORDER BY src_pod", "| even    | 26 |"),
        ("SELECT dst_port FROM flows ORDER BY time DESC LIMIT 2", "| 1001     |"),
        ("SELECT count(*) AS n FROM flows WHERE verdict = 'DROPPED' AND dst_port < 50", "| 10 |"),
        (
            "SELECT time_bucket('1m', time) AS t, count(*) AS n FROM flows GROUP BY t ORDER BY t",
            "| 2026-05-28T21:00:00Z | 50 |",
        ),
        ("SELECT count(*) AS n FROM flows WHERE time >= TIMESTAMP '2026-05-28T21:01:00Z'", "| 2 |"),
        ("SELECT count(*) AS n FROM flows WHERE src_pod = 'odd' AND summary IS NULL AND dns_query IS NULL", "| 26 |"),
        ("SELECT sum(flows) AS n FROM edges_1m", "| 52 |"),
        ("SELECT max(dst_port) AS n FROM flows WHERE time < TIMESTAMP '2026-05-28T21:00:10Z'", "| 9 |"),
        ("SELECT cidr_match('10.1.2.3', '10.0.0.0/8') AS inside", "| true   |"),
        ("SELECT label('k8s:app=web,k8s:tier=fe', 'tier') AS l", "| fe |"),
        ("SELECT has_label('k8s:app=web', 'app in (a,web)') AS l", "| true |"),
        ("SELECT unnest(list_items('a,b')) AS item", "| b    |"),
        ("SELECT list_contains_text('a,b', 'b') AS found", "| true  |"),
        ("WITH x AS (SELECT * FROM flows WHERE dst_port = 7) SELECT src_pod FROM x", "| odd     |"),
        ("VALUES (1), (2)", "| 2       |"),
        ("SELECT dst_port, cluster FROM flows WHERE dst_port = 7 AND cluster IS NULL", "| 7        |         |"),
        ("DESCRIBE losses", "stage"),
        ("SHOW TABLES", "edges_1m"),
        ("EXPLAIN SELECT 1", "logical_plan"),
    ] {
        let found = ask(&engine, text).await;
        assert!(found.contains(expected), "{text}\n{found}\n{expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_rows_are_those_of_a_sort_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    let rows = |start: u16| {
        // Several rows of one time.
        (start..start + 60).map(|port| (i64::from(port / 3) * 1_000_000_000, port)).collect::<Vec<_>>()
    };
    append(&engine, &rows(0)).await;
    seal(&engine).await;
    append(&engine, &rows(30)).await;
    seal(&engine).await;
    append(&engine, &rows(45)).await;
    let bound = "TIMESTAMP '2026-05-28T21:00:12Z'";
    for from in [
        "flows".to_owned(),
        "flows f".to_owned(),
        format!("flows WHERE time < {bound}"),
        format!("flows WHERE time > {bound}"),
        format!("flows WHERE time >= {bound} AND time <= TIMESTAMP '2026-05-28T21:00:25Z'"),
        format!("flows WHERE time <= {bound} AND src_pod = 'odd'"),
        "(SELECT dst_port, time FROM flows) x".to_owned(),
        "(SELECT dst_port, recorded_at - INTERVAL '1s' * dst_port AS time FROM flows) x".to_owned(),
        "(SELECT dst_port, time FROM flows LIMIT 200) x".to_owned(),
        "(SELECT DISTINCT dst_port, time FROM flows) x".to_owned(),
    ] {
        for order in ["DESC", "ASC"] {
            for limit in ["1", "10", "7 OFFSET 5", "1000"] {
                let asked = format!("SELECT dst_port FROM {from} ORDER BY time {order}, dst_port LIMIT {limit}");
                // A sort by an expression is not recognised: every row is read.
                let plain = asked.replace("BY time", "BY time + INTERVAL '0s'");
                assert_eq!(ask(&engine, &asked).await, ask(&engine, &plain).await, "{asked}");
            }
        }
    }
    let all = ask(&engine, "SELECT * FROM flows ORDER BY time DESC LIMIT 1").await;
    assert!(all.contains("2026-05-28T21:00:34Z"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_limit_on_the_time_of_a_table_narrows_its_scan() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    append(&engine, &(0..50).map(|number| (i64::from(number) * 1_000_000_000, number)).collect::<Vec<_>>()).await;
    seal(&engine).await;
    for (text, is_narrowed) in [
        ("SELECT * FROM flows ORDER BY time DESC LIMIT 20", true),
        ("SELECT node FROM flows ORDER BY time DESC LIMIT 20", true),
        ("SELECT f.dst_port AS p FROM flows f ORDER BY f.time LIMIT 5 OFFSET 5", true),
        ("SELECT * FROM flows WHERE time > TIMESTAMP '2026-05-28T21:00:12Z' ORDER BY time LIMIT 5", true),
        ("SELECT * FROM flows WHERE src_pod = 'odd' ORDER BY time DESC LIMIT 5", false),
        ("SELECT dst_port, recorded_at AS time FROM flows ORDER BY time DESC LIMIT 5", false),
        ("SELECT * FROM flows ORDER BY node, time DESC LIMIT 5", false),
        ("SELECT src_pod, max(time) AS time FROM flows GROUP BY src_pod ORDER BY time DESC LIMIT 5", false),
        ("SELECT * FROM flows ORDER BY time DESC LIMIT 500", false),
        ("SELECT * FROM flows LIMIT 5", false),
        ("SELECT * FROM edges_1m ORDER BY time DESC LIMIT 1", false),
    ] {
        let work = Work {
            snapshot: engine.store().snapshot(),
            text: text.to_owned(),
            limits: Limits::default(),
            engine: engine.clone(),
        };
        let state = work.context().unwrap().state();
        let plan = state.statement_to_plan(guard::single_question(text).unwrap()).await.unwrap();
        assert!(newest::is_candidate(&plan), "{text}");
        let optimized = state.optimize(&plan).unwrap();
        let shown = optimized.display_indent().to_string();
        let found = newest::narrowed(&engine, &work.snapshot, optimized, work.limits).await.unwrap();
        assert_eq!(found.is_some(), is_narrowed, "{text}\n{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    for text in [
        "CREATE TABLE x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "COPY flows TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO '/tmp/x' STORED AS PARQUET",
        "INSERT INTO flows SELECT * FROM flows",
        "DELETE FROM flows",
        "UPDATE flows SET node = 'x'",
        "DROP TABLE flows",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; SELECT 2",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "EXPLAIN INSERT INTO flows SELECT * FROM flows",
        "PREPARE x AS SELECT 1",
        "SELECT * INTO y FROM flows",
        "",
    ] {
        let error = engine.sql(text, Limits::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{text}: {error:?}");
    }
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(engine.sql(&deep, Limits::default()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_where_and_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    for (text, where_, meant) in [
        ("SELECT src_pods FROM flows", Some((1, 8)), Some("src_pod")),
        ("SELECT *\nFROM flow", None, Some("flows")),
        ("SELECT * FORM flows", Some((1, 10)), None),
    ] {
        let error = engine.sql(text, Limits::default()).await.unwrap_err();
        let (place, suggestion) = place(&error);
        assert_eq!(suggestion.as_deref(), meant, "{text}: {error:?}");
        if where_.is_some() {
            assert_eq!(place, where_, "{text}: {error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_obey_their_limits() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    let rows = Limits { max_rows: 5, ..Limits::default() };
    let (batches, cut) = engine.sql("SELECT * FROM range(1000)", rows).await.unwrap().collect_all().await.unwrap();
    assert_eq!(batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 5);
    assert_eq!(cut.map(|cut| cut.reason), Some(CutReason::Rows));
    let time = Limits { max_time: Duration::from_millis(200), ..Limits::default() };
    let endless = "SELECT count(*) FROM range(10000000000) a";
    let outcome = engine.sql(endless, time).await.unwrap().collect_all().await.unwrap();
    assert_eq!(outcome.1.map(|cut| cut.reason), Some(CutReason::Time));
    let memory = Limits { max_memory: bytesize::ByteSize::mib(1), ..Limits::default() };
    let sort = "SELECT * FROM range(10000000) a ORDER BY value DESC";
    let outcome = match engine.sql(sort, memory).await {
        Ok(stream) => stream.collect_all().await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert_eq!(outcome.unwrap_err().kind(), Kind::Busy);
}
