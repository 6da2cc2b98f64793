//! How long ClickHouse keeps rows: what it removes because it is old is not lost, and is not waited for.

use std::time::Duration;

use hindcast_model::TableId;
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::tool::{Ended, hindcast, run, run_hindcast};
use hindcast_tests::{Options, Server, http, pause, wait_until};
use tempfile::tempdir;

use crate::crash::rows;
use crate::judges::{asked, busy_store};

const N_ROWS: u64 = 2500;
const KEEP: [(&str, &str); 3] = [("FLOWS", "30d"), ("EDGES_1M", "30d"), ("EDGES_1H", "60d")];

fn environment(clickhouse: &ClickHouse, keep: bool) -> Vec<(String, String)> {
    let mut environment = vec![("HINDCAST_STORAGE_CLICKHOUSE_URL".to_owned(), clickhouse.url())];
    let keep = KEEP.into_iter().filter(|_| keep);
    environment.extend(keep.map(|(table, age)| (format!("HINDCAST_STORAGE_CLICKHOUSE_KEEP_{table}"), age.to_owned())));
    environment
}

fn options(clickhouse: &ClickHouse, keep: bool) -> Options {
    let mut options = busy_store();
    options.environment.extend(environment(clickhouse, keep));
    options
}

fn tool(clickhouse: &ClickHouse, keep: bool, arguments: &[&str]) -> Ended {
    run(hindcast().unwrap().args(arguments).envs(environment(clickhouse, keep))).unwrap()
}

fn status(server: &Server) -> Ended {
    run_hindcast(["status", "--server", &server.url("")]).unwrap()
}

fn wait(what: &str, server: &Server, holds: impl FnMut() -> bool) {
    wait_until(what, holds).unwrap_or_else(|error| panic!("{error}: {:?}\n{}", status(server), server.said()));
}

/// Rows that were observed months ago.
async fn record(server: &Server) {
    let mut pusher = Pusher::connect(&server.grpc_url()).await.unwrap();
    pusher.push(encode(TableId::Flows, vec![rows(&(0..N_ROWS))]).await.unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clickhouse_keeps_no_longer_is_not_lost() {
    let folder = tempdir().unwrap();
    let started = ClickHouse::start("keep::what_clickhouse_keeps_no_longer_is_not_lost", &folder.path().join("theirs"));
    let Some(mut clickhouse) = started.unwrap() else { return };
    tool(&clickhouse, false, &["migrate", "apply"]).success().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, &options(&clickhouse, true)).unwrap();
    record(&server).await;
    // Another TTL than is configured: nothing is sent, and it is said what to do.
    wait("no complaint", &server, || status(&server).stdout.contains("storage.clickhouse.keep wants"));
    assert_eq!(tool(&clickhouse, true, &["migrate", "status"]).code, Some(1));
    let plan = tool(&clickhouse, true, &["migrate", "plan"]).success().unwrap();
    assert!(plan.contains("MODIFY TTL toDateTime(time) + toIntervalSecond(2592000);"), "{plan}");
    let applied = tool(&clickhouse, true, &["migrate", "apply"]).success().unwrap();
    assert_eq!(applied, "set how long rows are kept\n");
    assert_eq!(tool(&clickhouse, true, &["migrate", "status"]).code, Some(0));
    let is_well = || {
        let shown = status(&server);
        shown.code == Some(0) && shown.stdout.contains("\n0 B wait for ClickHouse\n")
    };
    wait("rows are not sent", &server, is_well);

    // They go, and nobody misses them after the next start.
    for table in ["flows", "edges_1m", "edges_1h"] {
        clickhouse.ask(&format!("OPTIMIZE TABLE hindcast.{table} FINAL")).unwrap();
        assert_eq!(clickhouse.ask(&format!("SELECT count() FROM hindcast.{table}")).unwrap(), "0", "{table}");
    }
    clickhouse.kill().unwrap();
    clickhouse.restart().unwrap();
    pause(Duration::from_secs(5));
    wait("rows are missed", &server, is_well);
    let metrics = http::get(&server.url("/metrics"), "*/*").unwrap().text();
    assert!(metrics.contains("hindcast_storage_clickhouse_lost_rows_total 0\n"), "{metrics}");
    assert_eq!(asked(&server, "SELECT count(*) FROM flows"), N_ROWS);
    server.stop().unwrap();

    // Nor do they leave the lake for a place where they would not stay.
    let data = data.display().to_string();
    tool(&clickhouse, true, &["tier", "move", "--to", "clickhouse", "--data-dir", &data]).success().unwrap();
    let places = tool(&clickhouse, true, &["tier", "status", "--data-dir", &data]).success().unwrap();
    let flows = places.lines().find(|line| line.starts_with("flows ")).unwrap();
    assert_eq!(flows.split_whitespace().collect::<Vec<_>>(), ["flows", "2", "500", "0", "0"], "{places}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_that_are_nowhere_any_more_are_forgotten() {
    let folder = tempdir().unwrap();
    let started =
        ClickHouse::start("keep::hours_that_are_nowhere_any_more_are_forgotten", &folder.path().join("theirs"));
    let Some(clickhouse) = started.unwrap() else { return };
    tool(&clickhouse, false, &["migrate", "apply"]).success().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, &options(&clickhouse, false)).unwrap();
    record(&server).await;
    server.stop().unwrap();
    let data_dir = data.display().to_string();
    tool(&clickhouse, false, &["tier", "move", "--to", "clickhouse", "--data-dir", &data_dir]).success().unwrap();
    let only_there = |server: &Server| asked(server, "SELECT count(*) FROM flows");

    let server = Server::start(&data, &options(&clickhouse, false)).unwrap();
    wait("rows cannot be read there", &server, || only_there(&server) == N_ROWS);
    server.stop().unwrap();
    tool(&clickhouse, true, &["migrate", "apply"]).success().unwrap();
    let server = Server::start(&data, &options(&clickhouse, true)).unwrap();
    wait("the hours are not forgotten", &server, || {
        let metrics = http::get(&server.url("/metrics"), "*/*").unwrap().text();
        metrics.contains(&format!("hindcast_storage_retired_rows_total {N_ROWS}\n"))
    });
    assert_eq!(only_there(&server), 0);
    assert_eq!(status(&server).code, Some(0));
}

#[test]
fn a_limit_that_cannot_be_is_refused() {
    for (options, words) in [
        (&[("FLOWS", "1h")][..], "storage.clickhouse.keep.flows is 3600s"),
        (&[("FLOWS", "30d"), ("EDGES_1M", "7d")], "storage.clickhouse.keep.edges_1m is 604800s"),
        (&[("EDGES_1H", "30d")], "storage.clickhouse.keep.edges_1h is 2592000s"),
    ] {
        let mut command = hindcast().unwrap();
        command.args(["config", "check"]);
        for (table, age) in options {
            command.env(format!("HINDCAST_STORAGE_CLICKHOUSE_KEEP_{table}"), age);
        }
        let ended = run(&mut command).unwrap();
        assert!(ended.code == Some(64) && ended.stderr.contains(words), "{words}: {ended:?}");
    }
}
