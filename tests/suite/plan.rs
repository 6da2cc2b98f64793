//! `hindcast plan` beside a simulation: generated traffic, recorded and sent, and what it really took.

use std::time::Duration;

use hindcast_cli::generate::{Recipe, Shape, Traffic, columns};
use hindcast_model::tables::flows;
use hindcast_model::{TableId, Timestamp};
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::tool::run_hindcast;
use hindcast_tests::{Options, Server, wait_until};
use serde_json::Value;
use tempfile::tempdir;

use crate::clickhouse::migrate;
use crate::judges::asked;

/// A minute of a fleet.
const SECONDS: u64 = 60;
const FLOWS_PER_SECOND: u64 = 4000;
const N_FLOWS: u64 = FLOWS_PER_SECOND * SECONDS;
/// How far a plan may be from what it is a plan of.
const WITHIN: f64 = 2.0;

async fn record(server: &Server) {
    let recipe = Recipe {
        seed: 11,
        // A full minute, so that there is one bucket.
        start: Timestamp::from_nanos(1_780_002_000 * 1_000_000_000),
        duration: Duration::from_secs(SECONDS),
        n_flows: N_FLOWS,
        shape: Shape::BENCH,
        has_uuids: false,
    };
    let fleet = recipe.fleet();
    let mut traffic = Traffic::new(&recipe, &fleet);
    let mut pusher = Pusher::connect(&server.grpc_url()).await.unwrap();
    for _ in 0..N_FLOWS / 20_000 {
        let mut builder = flows::Builder::default();
        traffic.by_ref().take(20_000).for_each(|draw| columns::append(&draw, draw.time, &mut builder));
        pusher.push(encode(TableId::Flows, vec![builder.finish().unwrap()]).await.unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_what_a_simulation_takes() {
    let folder = tempdir().unwrap();
    let started = ClickHouse::start("plan::a_plan_is_what_a_simulation_takes", &folder.path().join("theirs"));
    let Some(clickhouse) = started.unwrap() else { return };
    migrate(&clickhouse, "apply").success().unwrap();
    let environment = vec![
        ("HINDCAST_STORAGE_CLICKHOUSE_URL".to_owned(), clickhouse.url()),
        ("HINDCAST_STORAGE_MEMORY_MAX_AGE".to_owned(), "5s".to_owned()),
    ];
    let server = Server::start(&folder.path().join("data"), &Options { environment, ..Options::default() }).unwrap();
    record(&server).await;
    assert_eq!(asked(&server, "SELECT count(*) FROM flows"), N_FLOWS);
    let number = |query: &str| clickhouse.ask(query).unwrap().parse::<f64>().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let n_flows = N_FLOWS as f64;
    wait_until("rows are not sent", || number("SELECT count() FROM hindcast.flows") >= n_flows).unwrap();
    for table in ["flows", "edges_1m"] {
        clickhouse.ask(&format!("OPTIMIZE TABLE hindcast.{table} FINAL")).unwrap();
    }
    let on_disk = |table: &str| {
        number(&format!(
            "SELECT toFloat64(sum(bytes_on_disk)) FROM system.parts WHERE active AND database = 'hindcast' AND table = '{table}'"
        ))
    };

    let days = format!("{}", 1.0 / 1440.0);
    let rate = FLOWS_PER_SECOND.to_string();
    let line = ["plan", "--nodes", "100", "--edges", "3000", "--flows-per-second", &rate, "--days", &days, "--json"];
    let plan: Value = serde_json::from_str(&run_hindcast(line).unwrap().success().unwrap()).unwrap();
    let planned = |of: &str, name: &str| plan[of][name].as_f64().unwrap();
    let taken = [
        ("bytes of flows", planned("clickhouse", "flows_bytes"), on_disk("flows")),
        ("rows of edges_1m", planned("clickhouse", "edges_1m_rows"), number("SELECT count() FROM hindcast.edges_1m")),
        ("bytes of edges_1m", planned("clickhouse", "edges_1m_bytes"), on_disk("edges_1m")),
    ];
    for (what, planned, taken) in taken {
        let ratio = planned / taken;
        assert!((1.0 / WITHIN..WITHIN).contains(&ratio), "{what}: planned {planned:.0}, taken {taken:.0}");
    }
}
