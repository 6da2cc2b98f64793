//! Rows in ClickHouse: all of them, each once, whoever dies when; and the schema they are in.
//!
//! `HINDCAST_CLICKHOUSE_DEATHS` says how often one of the two dies (16 unless told), `HINDCAST_SEED` repeats a run.

use std::time::Duration;

use hindcast_model::{ColumnKind, TableId};
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::repository::shared;
use hindcast_tests::tool::{Ended, hindcast, run, run_hindcast};
use hindcast_tests::{Options, Server, pause};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::tempdir;

use crate::crash::{Ledger, load, rows, setting};
use crate::judges::{asked, busy_store};

const SENT: [TableId; 6] = [
    TableId::Flows,
    TableId::RuntimeEvents,
    TableId::AgentEvents,
    TableId::Workloads,
    TableId::Policies,
    TableId::Losses,
];
/// How long rows may take to arrive once nothing is in the way.
const PATIENCE: u32 = 1200;

pub(crate) fn migrate(clickhouse: &ClickHouse, verb: &str) -> Ended {
    let mut command = hindcast().unwrap();
    command.args(["migrate", verb]).env("HINDCAST_STORAGE_CLICKHOUSE_URL", clickhouse.url());
    run(&mut command).unwrap()
}

/// A recorder that seals and compacts soon, and sends in small blocks.
fn sending(clickhouse: &ClickHouse) -> Options {
    let mut options = busy_store();
    let set = |name: &str, value: String| (format!("HINDCAST_STORAGE_CLICKHOUSE_{name}"), value);
    options.environment.extend([
        set("URL", clickhouse.url()),
        set("BLOCK_ROWS", "1000".to_owned()),
        set("TIMEOUT", "10s".to_owned()),
    ]);
    options
}

fn number(clickhouse: &ClickHouse, query: &str) -> u64 {
    let text = clickhouse.ask(query).unwrap();
    text.parse().unwrap_or_else(|_| panic!("{query}: {text}"))
}

/// Waits until ClickHouse has that many rows, and no longer.
fn wait_for(clickhouse: &ClickHouse, server: &Server, table: TableId, n_rows: u64) {
    let query = format!("SELECT count() FROM hindcast.{table}");
    for _ in 0..PATIENCE {
        if number(clickhouse, &query) >= n_rows {
            break;
        }
        pause(Duration::from_millis(50));
    }
    assert_eq!(number(clickhouse, &query), n_rows, "{table}\n{}", server.said());
}

#[test]
fn the_schema_is_made_in_steps_and_has_every_column() {
    const TEST: &str = "clickhouse::the_schema_is_made_in_steps_and_has_every_column";
    let folder = tempdir().unwrap();
    let Some(clickhouse) = ClickHouse::start(TEST, &folder.path().join("clickhouse")).unwrap() else { return };
    assert_eq!(migrate(&clickhouse, "status").code, Some(1), "nothing is applied");
    let plan = migrate(&clickhouse, "plan").success().unwrap();
    assert!(plan.contains("CREATE TABLE IF NOT EXISTS hindcast.flows\n"), "{plan}");
    assert_eq!(migrate(&clickhouse, "apply").success().unwrap(), "17 steps applied\n");
    assert_eq!(migrate(&clickhouse, "apply").success().unwrap(), "the schema is up to date\n");
    assert_eq!(migrate(&clickhouse, "status").code, Some(0));
    assert_eq!(migrate(&clickhouse, "plan").success().unwrap(), "-- the schema is up to date\n");

    for table in SENT {
        let query = format!(
            "SELECT name, type FROM system.columns WHERE database = 'hindcast' AND table = '{table}' ORDER BY position"
        );
        let found = clickhouse.ask(&query).unwrap();
        let expected = table.columns().iter().map(|column| {
            let plain = match column.kind {
                ColumnKind::Time => "DateTime64(9, \\'UTC\\')",
                ColumnKind::Bool => "Bool",
                ColumnKind::U8 => "UInt8",
                ColumnKind::U16 => "UInt16",
                ColumnKind::U32 => "UInt32",
                ColumnKind::U64 => "UInt64",
                ColumnKind::I32 => "Int32",
                ColumnKind::I64 => "Int64",
                ColumnKind::Dict | ColumnKind::DictBytes | ColumnKind::Text | ColumnKind::Bytes => "String",
            };
            let kind = if column.required { plain.to_owned() } else { format!("Nullable({plain})") };
            let is_repeating = matches!(column.kind, ColumnKind::Dict | ColumnKind::DictBytes);
            let kind = if is_repeating { format!("LowCardinality({kind})") } else { kind };
            format!("{}\t{kind}", column.name)
        });
        let more = ["segment_store\tLowCardinality(String)", "segment\tUInt64"].map(str::to_owned);
        assert_eq!(found.lines().collect::<Vec<_>>(), expected.chain(more).collect::<Vec<_>>(), "{table}");
    }

    // Every earlier state, and one from the future.
    for version in 0..17 {
        clickhouse.ask("TRUNCATE TABLE hindcast.schema_migrations").unwrap();
        for done in 1..=version {
            let noted = format!("INSERT INTO hindcast.schema_migrations (version, name) VALUES ({done}, 'x')");
            clickhouse.ask(&noted).unwrap();
        }
        assert_eq!(migrate(&clickhouse, "apply").code, Some(0), "from version {version}");
    }
    clickhouse.ask("INSERT INTO hindcast.schema_migrations (version, name) VALUES (99, 'later')").unwrap();
    let refused = migrate(&clickhouse, "apply");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("version 99"), "{}", refused.stderr);
}

/// What is true of a column in both: how many values, how many different ones, their bytes or their sum.
fn facts(kind: ColumnKind, name: &str, is_clickhouse: bool) -> Option<String> {
    let distinct = if is_clickhouse { "uniqExact" } else { "count(DISTINCT " };
    let close = if is_clickhouse { "(" } else { "" };
    let text = |length: &str| format!("count({name}), {distinct}{close}{name}), sum({length}({name}))");
    match kind {
        ColumnKind::Dict | ColumnKind::Text => Some(text(if is_clickhouse { "length" } else { "octet_length" })),
        ColumnKind::U8 | ColumnKind::U16 | ColumnKind::U32 | ColumnKind::I32 => {
            Some(format!("count({name}), {distinct}{close}{name}), sum({name})"))
        }
        ColumnKind::U64 | ColumnKind::I64 | ColumnKind::Time | ColumnKind::Bool => {
            Some(format!("count({name}), {distinct}{close}{name})"))
        }
        // Bytes have no length in our SQL.
        ColumnKind::Bytes | ColumnKind::DictBytes => Some(format!("count({name})")),
    }
}

#[test]
fn recordings_arrive_as_they_are_recorded() {
    const TEST: &str = "clickhouse::recordings_arrive_as_they_are_recorded";
    let Some(hubble) = shared(TEST, "data/hubble") else { return };
    let Some(tetragon) = shared(TEST, "data/tetragon") else { return };
    let folder = tempdir().unwrap();
    let Some(clickhouse) = ClickHouse::start(TEST, &folder.path().join("clickhouse")).unwrap() else { return };
    let data_dir = folder.path().join("data");
    let paths = [&data_dir, &hubble, &tetragon].map(|path| path.display().to_string());
    run_hindcast(["import", "--data-dir", &paths[0], &paths[1], &paths[2]]).unwrap();
    // Rows that were sealed before there was a schema are sent once there is one.
    let server = Server::start(&data_dir, &sending(&clickhouse)).unwrap();
    for _ in 0..PATIENCE {
        if server.said().contains("hindcast migrate apply") {
            break;
        }
        pause(Duration::from_millis(50));
    }
    assert!(server.said().contains("run `hindcast migrate apply`"), "{}", server.said());
    migrate(&clickhouse, "apply").success().unwrap();
    for table in [TableId::Flows, TableId::RuntimeEvents, TableId::Losses, TableId::Workloads] {
        let n_rows = asked(&server, &format!("SELECT count(*) FROM {table}"));
        assert!(n_rows > 0, "{table}");
        wait_for(&clickhouse, &server, table, n_rows);
        for column in table.columns() {
            let Some(ours) = facts(column.kind, column.name, false) else { continue };
            let theirs = facts(column.kind, column.name, true).unwrap();
            let place = ["--server", &server.url("")].map(str::to_owned);
            let query = format!("SELECT {ours} FROM {table}");
            let answer = run_hindcast(["sql", &place[0], &place[1], "-o", "csv", &query]).unwrap().success().unwrap();
            let ours = answer.lines().nth(1).unwrap_or_default().to_owned();
            let theirs = clickhouse.ask(&format!("SELECT {theirs} FROM hindcast.{table} FORMAT TSV")).unwrap();
            // A sum of nothing is nothing here and null there.
            let theirs = theirs.replace("\\N", "").replace('\t', ",");
            assert_eq!(ours, theirs, "{table}.{}", column.name);
        }
    }
    server.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_arrives_once_whoever_dies() {
    const TEST: &str = "clickhouse::every_row_arrives_once_whoever_dies";
    let (deaths, seed) = (setting("HINDCAST_CLICKHOUSE_DEATHS", 16), setting("HINDCAST_SEED", 20_260_822));
    println!("HINDCAST_CLICKHOUSE_DEATHS={deaths} HINDCAST_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let folder = tempdir().unwrap();
    let Some(mut clickhouse) = ClickHouse::start(TEST, &folder.path().join("clickhouse")).unwrap() else { return };
    migrate(&clickhouse, "apply").success().unwrap();
    let (data_dir, options) = (folder.path().join("data"), sending(&clickhouse));
    let mut ledger = Ledger::default();
    for death in 0..deaths {
        let server = Server::start(&data_dir, &options).unwrap();
        let loading = tokio::spawn(load(server.grpc_url(), ledger));
        tokio::time::sleep(Duration::from_millis(chance.random_range(50..900))).await;
        if death % 3 != 0 {
            clickhouse.kill().unwrap();
        }
        if death % 3 == 1 {
            // The recorder goes on without it for a while, and is still there when it comes back.
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..700))).await;
            clickhouse.restart().unwrap();
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..700))).await;
        }
        server.kill().unwrap();
        ledger = loading.await.unwrap();
        clickhouse.restart().unwrap();
    }
    let server = Server::start(&data_dir, &options).unwrap();
    let mut pusher = Pusher::connect(&server.grpc_url()).await.unwrap();
    for numbers in std::mem::take(&mut ledger.in_doubt) {
        pusher.push(encode(TableId::Flows, vec![rows(&numbers)]).await.unwrap()).await.unwrap();
    }
    wait_for(&clickhouse, &server, TableId::Flows, ledger.next);
    assert_eq!(number(&clickhouse, "SELECT uniqExact(time) FROM hindcast.flows"), ledger.next);
    let ports = "SELECT sum(src_port) FROM";
    let expected = asked(&server, &format!("{ports} flows"));
    assert_eq!(number(&clickhouse, &format!("{ports} hindcast.flows")), expected);
    println!("{deaths} deaths, {} rows", ledger.next);
    assert!(ledger.next > deaths * 200, "hardly anything was under way: {} rows", ledger.next);
    server.stop().unwrap();
    assert_eq!(number(&clickhouse, "SELECT count() FROM hindcast.flows"), ledger.next, "stopping sends nothing twice");
}
