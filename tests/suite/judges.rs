//! Programs that are not ours judge the result: DuckDB on the live data directory, the ADBC driver, schemathesis.

use std::path::Path;
use std::process::Command;

use hindcast_cli::generate::{Recipe, Shape, Traffic, columns, json};
use hindcast_model::tables::flows;
use hindcast_model::{TableId, Timestamp};
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::repository::{python, root, shared};
use hindcast_tests::tool::run;
use hindcast_tests::{Options, Server, http};
use serde_json::Value;
use tempfile::tempdir;

use crate::import::{import, number};

fn recipe(n_flows: u64) -> Recipe {
    Recipe {
        seed: 11,
        start: Timestamp::from_nanos(1_780_000_000_000_000_000),
        duration: std::time::Duration::from_secs(4 * 3600),
        n_flows,
        shape: Shape::Mesh { n_workloads: 60, n_edges: 300, n_nodes: 8 },
        has_uuids: false,
    }
}

pub(crate) fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(root().join("tests/python").join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Small limits, so that a little traffic already seals and compacts.
pub(crate) fn busy_store() -> Options {
    let environment = [
        ("HINDCAST_STORAGE_MEMORY_MAX_AGE", "300ms"),
        ("HINDCAST_STORAGE_MEMORY_MAX_PARTITION_ROWS", "20000"),
        ("HINDCAST_STORAGE_SEGMENTS_MAINTENANCE_INTERVAL", "200ms"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Options { environment: environment.into(), ..Options::default() }
}

/// One number that a server answers to a query.
pub(crate) fn asked(server: &Server, query: &str) -> u64 {
    let document = serde_json::json!({ "query": query });
    let answer = http::post(&server.url("/api/v1/sql"), "application/x-ndjson", &document).unwrap();
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let text = answer.text();
    let first: Value = serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap();
    let value = first.as_object().and_then(|row| row.values().next()).cloned().unwrap_or_default();
    value.as_u64().or_else(|| value.as_str().and_then(|digits| digits.parse().ok())).unwrap_or_else(|| panic!("{text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_counts_the_same_rows_while_hindcast_writes() {
    const TEST: &str = "judges::duckdb_counts_the_same_rows_while_hindcast_writes";
    let Some(python) = python(TEST) else { return };
    let folder = tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &busy_store()).unwrap();
    let recipe = recipe(120_000);
    let fleet = recipe.fleet();
    let mut pusher = Pusher::connect(&server.grpc_url()).await.unwrap();
    let mut traffic = Traffic::new(&recipe, &fleet);
    let mut n_pushed = 0;
    let mut push = async |n_rows: usize| {
        let mut builder = flows::Builder::default();
        traffic.by_ref().take(n_rows).for_each(|draw| columns::append(&draw, recipe.start, &mut builder));
        n_pushed += builder.row() as u64;
        let messages = encode(TableId::Flows, vec![builder.finish().unwrap()]).await.unwrap();
        pusher.push(messages).await.unwrap();
        n_pushed
    };
    push(30_000).await;
    let data_dir = server.data_dir().display().to_string();
    let counting = tokio::task::spawn_blocking(move || {
        run(script(&python, "count_rows.py").args([&data_dir, "12", "flows", "edges_1m"])).unwrap()
    });
    for _ in 0..9 {
        push(10_000).await;
    }
    let printed = counting.await.unwrap().success().unwrap();
    let mut before = 0;
    for pass in printed.lines() {
        let counts: Value = serde_json::from_str(pass).unwrap();
        let (counted, promised) = (counts["flows"][0].as_u64().unwrap(), counts["flows"][1].as_u64().unwrap());
        assert_eq!(counted, promised, "the catalogue and the files disagree: {pass}");
        assert!(before <= counted && counted <= 120_000, "{pass} after {before}");
        before = counted;
    }

    assert_eq!(asked(&server, "SELECT count(*) FROM flows"), 120_000);
    let data_dir = server.data_dir().to_path_buf();
    server.stop().unwrap();
    // A clean stop seals everything: what DuckDB sees now is all there is.
    let Some(python) = hindcast_tests::repository::python(TEST) else { return };
    let last =
        run(script(&python, "count_rows.py").arg(&data_dir).args(["1", "flows", "edges_1m", "edges_1h"])).unwrap();
    let counts: Value = serde_json::from_str(last.success().unwrap().trim()).unwrap();
    assert_eq!(counts["flows"], serde_json::json!([120_000, 120_000]));
    for table in ["edges_1m", "edges_1h"] {
        let n_folded = number(&data_dir, &format!("SELECT sum(rows) FROM {table}"));
        assert_eq!(n_folded, 120_000, "{table} counts every row once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adbc_driver_runs_a_query() {
    const TEST: &str = "judges::the_adbc_driver_runs_a_query";
    let Some(python) = python(TEST) else { return };
    let folder = tempdir().unwrap();
    let lines = folder.path().join("flows.jsonl");
    let recipe = recipe(3_000);
    let fleet = recipe.fleet();
    let mut text = Vec::new();
    Traffic::new(&recipe, &fleet).for_each(|draw| json::write_line(&draw, &mut text));
    std::fs::write(&lines, text).unwrap();
    let data_dir = folder.path().join("data");
    assert_eq!(import(&data_dir, &[&lines])["recorded"], 3_000);
    let server = Server::start(&data_dir, &Options::default()).unwrap();
    let query = "SELECT verdict, count(*) AS n FROM flows GROUP BY verdict ORDER BY n DESC";
    let printed = run(script(&python, "adbc_query.py").args([server.grpc_address(), query.to_owned()])).unwrap();
    let rows: Vec<Value> = printed.success().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0][0], "FORWARDED");
    let total: u64 = rows.iter().map(|row| row[1].as_u64().unwrap()).sum();
    assert_eq!(total, 3_000);
}

#[test]
fn schemathesis_finds_no_server_error() {
    const TEST: &str = "judges::schemathesis_finds_no_server_error";
    let Some(python) = python(TEST) else { return };
    let Some(recording) = shared(TEST, "data/hubble") else { return };
    let folder = tempdir().unwrap();
    let data_dir = folder.path().join("data");
    import(&data_dir, &[&recording]);
    let server = Server::start(&data_dir, &Options::default()).unwrap();
    let mut command = Command::new(python.with_file_name("schemathesis"));
    command
        .current_dir(folder.path())
        .arg("run")
        .arg(server.url("/api/v1/openapi.json"))
        .args(["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", "40", "--seed", "1", "--request-timeout", "20", "--workers", "2"])
        // A stream of live events has no end to wait for.
        .args(["--exclude-path", "/api/v1/live"])
        .args(["--suppress-health-check", "all", "--warnings", "off"]);
    let ended = run(&mut command).unwrap();
    assert_eq!(ended.code, Some(0), "{}\n{}\n{}", ended.stdout, ended.stderr, server.said());
}
