//! Whether rows are in the lake or in ClickHouse, an answer is the same: two stores with the same rows are asked the
//! same random questions, one of them while its rows are here, there and on their way.
//!
//! `HINDCAST_QUESTIONS` says how many (500 unless told, 5000 in `make test`), `HINDCAST_SEED` repeats a run.

mod aggregate;
mod ask;
mod draw;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hindcast_cli::generate::{Recipe, Shape, Traffic, columns};
use hindcast_model::tables::flows;
use hindcast_model::{Batch, Clock, ManualClock, TableId, Timestamp};
use hindcast_query::{Config, Engine};
use hindcast_storage::{Append, Config as StoreConfig, Store};
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::repository::shared;
use hindcast_tests::tool::{Ended, hindcast, run};
use hindcast_tests::{Options, Server};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tempfile::tempdir;

use crate::clickhouse::migrate;
use crate::crash::setting;
use crate::import::import;

/// Beginning of the generated rows.
const START: i64 = 1_780_000_000_000_000_000;
/// Questions between two changes of where rows are.
const ROUND: u64 = 100;

fn recipe(seed: u64, n_flows: u64) -> Recipe {
    Recipe {
        seed,
        start: Timestamp::from_nanos(START),
        duration: Duration::from_secs(3 * 3600),
        n_flows,
        shape: Shape::Mesh { n_workloads: 30, n_edges: 120, n_nodes: 4 },
        has_uuids: false,
    }
}

fn generated(seed: u64, n_flows: u64) -> Batch {
    let recipe = recipe(seed, n_flows);
    let fleet = recipe.fleet();
    let mut builder = flows::Builder::default();
    Traffic::new(&recipe, &fleet).for_each(|draw| columns::append(&draw, recipe.start, &mut builder));
    Batch { table: TableId::Flows, records: builder.finish().unwrap() }
}

async fn engine(data_dir: &Path, clickhouse: Option<&ClickHouse>) -> Engine {
    let clock = Arc::new(ManualClock::new(Timestamp::from_nanos(START + 4 * 3_600_000_000_000)));
    let mut config = StoreConfig::at(data_dir);
    if let Some(clickhouse) = clickhouse {
        config.clickhouse.url = clickhouse.url();
        config.clickhouse.block_rows = 1_000;
    }
    let store = Store::open(config.validate().unwrap(), Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
    Engine::new(store, &Config::default(), clock)
}

fn tier(clickhouse: &ClickHouse, data_dir: &Path, arguments: &[&str]) -> Ended {
    let mut command = hindcast().unwrap();
    command.arg("tier").args(arguments).arg("--data-dir").arg(data_dir);
    run(command.env("HINDCAST_STORAGE_CLICKHOUSE_URL", clickhouse.url())).unwrap()
}

/// Where a recorder's rows are when it is asked.
#[derive(Debug)]
pub(crate) enum Home {
    Lake,
    /// In ClickHouse, and no row in the lake.
    ClickHouse(ClickHouse),
}

impl Home {
    /// Both, where there is an engine.
    pub(crate) fn each(test: &str, folder: &Path) -> Vec<Self> {
        let clickhouse = ClickHouse::start(test, &folder.join("clickhouse")).unwrap();
        let clickhouse = clickhouse.inspect(|clickhouse| drop(migrate(clickhouse, "apply").success().unwrap()));
        std::iter::once(Self::Lake).chain(clickhouse.map(Self::ClickHouse)).collect()
    }

    /// A server on a data directory, whose rows go to where they are to be asked for.
    pub(crate) fn serve(&self, data_dir: &Path) -> Server {
        let mut options = Options::default();
        if let Self::ClickHouse(clickhouse) = self {
            tier(clickhouse, data_dir, &["move", "--to", "clickhouse"]).success().unwrap();
            let status = tier(clickhouse, data_dir, &["status"]).success().unwrap();
            let here = status.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
            assert!(here.into_iter().all(|n| n.parse::<u64>().map_or(true, |n| n == 0)), "rows are left:\n{status}");
            options.environment.push(("HINDCAST_STORAGE_CLICKHOUSE_URL".to_owned(), clickhouse.url()));
        }
        Server::start(data_dir, &options).unwrap()
    }
}

/// How many flows a data directory says that it has.
fn recorded(clickhouse: &ClickHouse, data_dir: &Path) -> u64 {
    let mut command = hindcast().unwrap();
    command.args(["status", "--json", "--data-dir"]).arg(data_dir);
    let ended = run(command.env("HINDCAST_STORAGE_CLICKHOUSE_URL", clickhouse.url())).unwrap();
    let status: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let flows = status["tables"].as_array().unwrap().iter().find(|table| table["table"] == "flows").unwrap();
    flows["rows"].as_u64().filter(|rows| *rows > 0).unwrap()
}

/// Everything that is asked of a data directory, as text.
fn contents(clickhouse: &ClickHouse, data_dir: &Path) -> String {
    let queries = [
        "SELECT verdict, count(*), sum(dst_port), min(time), max(time) FROM flows GROUP BY 1 ORDER BY 1",
        "SELECT src_workload, port, sum(flows), sum(errors), max(last_seen) FROM edges_1h GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT kind, count(*), count(DISTINCT exec_id) FROM runtime_events GROUP BY 1 ORDER BY 1",
        "SELECT count(*), max(learned_at) FROM workloads",
    ];
    let ask = |query: &str| {
        let mut command = hindcast().unwrap();
        command.args(["sql", "-o", "csv", query, "--data-dir"]).arg(data_dir);
        run(command.env("HINDCAST_STORAGE_CLICKHOUSE_URL", clickhouse.url())).unwrap().success().unwrap()
    };
    queries.map(ask).concat()
}

#[test]
fn rows_move_to_clickhouse_and_back_and_stay_the_same() {
    const TEST: &str = "tiers::rows_move_to_clickhouse_and_back_and_stay_the_same";
    let Some(hubble) = shared(TEST, "data/hubble") else { return };
    let Some(tetragon) = shared(TEST, "data/tetragon") else { return };
    let folder = tempdir().unwrap();
    let Some(mut clickhouse) = ClickHouse::start(TEST, &folder.path().join("clickhouse")).unwrap() else { return };
    let data_dir = folder.path().join("data");
    import(&data_dir, &[&hubble, &tetragon]);
    assert_eq!(tier(&clickhouse, &data_dir, &["move", "--to", "clickhouse"]).code, Some(1), "there is no schema");
    migrate(&clickhouse, "apply").success().unwrap();
    let (before, n_recorded) = (contents(&clickhouse, &data_dir), recorded(&clickhouse, &data_dir));
    let segments = |table: &str| match std::fs::read_dir(data_dir.join("segments").join(table)) {
        Ok(hours) => hours.flat_map(|hour| std::fs::read_dir(hour.unwrap().path()).unwrap()).count(),
        Err(_) => 0,
    };
    assert!(segments("flows") > 0);

    let said = tier(&clickhouse, &data_dir, &["move", "--to", "clickhouse"]).success().unwrap();
    assert!(said.contains("left the lake"), "{said}");
    assert_eq!(recorded(&clickhouse, &data_dir), n_recorded, "what has left is still recorded");
    let status = tier(&clickhouse, &data_dir, &["status"]).success().unwrap();
    let flows = status.lines().find(|line| line.starts_with("flows")).unwrap();
    assert_eq!(flows.split_whitespace().nth(1), Some("0"), "{status}");
    assert_eq!(contents(&clickhouse, &data_dir), before);
    // What is imported again is known, although it is there only.
    assert_eq!(reimport(&clickhouse, &data_dir, &hubble)["recorded"], 0);

    // Rows that cannot be reached are not passed over in silence.
    clickhouse.kill().unwrap();
    let mut command = hindcast().unwrap();
    command.args(["sql", "-o", "csv", "SELECT count(*) FROM flows", "--data-dir"]).arg(&data_dir);
    let answer = run(command.env("HINDCAST_STORAGE_CLICKHOUSE_URL", clickhouse.url())).unwrap();
    assert!(answer.stderr.contains("rows that are only there are missing"), "{answer:?}");
    clickhouse.restart().unwrap();

    let said = tier(&clickhouse, &data_dir, &["move", "--to", "lake"]).success().unwrap();
    assert!(said.contains("came back into the lake"), "{said}");
    assert_eq!(contents(&clickhouse, &data_dir), before);
    assert!(segments("flows") > 0);
    for table in ["flows", "edges_1m", "edges_1h", "runtime_events", "workloads"] {
        assert_eq!(clickhouse.ask(&format!("SELECT count() FROM hindcast.{table}")).unwrap(), "0", "{table}");
    }
    // What came back stays.
    tier(&clickhouse, &data_dir, &["move", "--to", "clickhouse"]).success().unwrap();
    assert_eq!(clickhouse.ask("SELECT count() FROM hindcast.flows").unwrap(), "0");
}

/// Imports what is recorded already, while it is in ClickHouse only.
fn reimport(clickhouse: &ClickHouse, data_dir: &Path, path: &Path) -> Value {
    let copied = data_dir.with_extension("again");
    copy(path, &copied);
    for entry in std::fs::read_dir(&copied).unwrap() {
        // Another name and another end: nothing but the events themselves is known.
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = std::fs::read_to_string(&path).unwrap();
            let turned = text.lines().rev().map(|line| format!("{line}\n")).collect::<String>();
            std::fs::write(path, turned).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
    let mut command = hindcast().unwrap();
    command.args(["import", "--summary", "json", "--data-dir"]).arg(data_dir).arg(&copied);
    let ended = run(command.env("HINDCAST_STORAGE_CLICKHOUSE_URL", clickhouse.url())).unwrap();
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// Waits until every sealed row is in ClickHouse.
async fn sent(store: &Store) {
    for _ in 0..1200 {
        let status = store.status();
        assert_eq!(status.last_clickhouse_error, None);
        if store.n_unsent() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("rows are not sent: {:?}", store.status());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Something happens to where the rows of `there` are; both get the same new rows.
async fn change(chance: &mut StdRng, round: u64, here: &Store, there: &Store) -> &'static str {
    match chance.random_range(0..5) {
        0 => {
            let late = generated(chance.random(), chance.random_range(1..400));
            for store in [here, there] {
                store.append(Append { batches: vec![late.clone()] }).await.unwrap();
            }
            "late rows come"
        }
        1 => {
            there.seal_all().await.unwrap();
            "they are sealed"
        }
        2 => {
            sent(there).await;
            "they are sent"
        }
        3 if round < 20 => {
            // Not all hours leave at once.
            let before = START + chance.random_range(0..4 * 3_600_000_000_000_i64);
            there.move_out(Timestamp::from_nanos(before)).await.unwrap();
            "some leave the lake"
        }
        _ => {
            there.move_out(Timestamp::MAX).await.unwrap();
            "all that can leave the lake"
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_questions_have_the_same_answers_on_both_tiers() {
    const TEST: &str = "tiers::random_questions_have_the_same_answers_on_both_tiers";
    let is_long = std::env::var_os("HINDCAST_LONG").is_some();
    let (n_questions, seed) =
        (setting("HINDCAST_QUESTIONS", if is_long { 5_000 } else { 500 }), setting("HINDCAST_SEED", 20_261_126));
    println!("HINDCAST_QUESTIONS={n_questions} HINDCAST_SEED={seed}");
    let Some(hubble) = shared(TEST, "data/hubble") else { return };
    let Some(tetragon) = shared(TEST, "data/tetragon") else { return };
    let folder = tempdir().unwrap();
    let Some(clickhouse) = ClickHouse::start(TEST, &folder.path().join("clickhouse")).unwrap() else { return };
    migrate(&clickhouse, "apply").success().unwrap();
    let (lake, moved) = (folder.path().join("lake"), folder.path().join("moved"));
    import(&lake, &[&hubble, &tetragon]);
    copy(&lake, &moved);
    let (here, there) = (engine(&lake, None).await, engine(&moved, Some(&clickhouse)).await);
    for store in [here.store(), there.store()] {
        store.append(Append { batches: vec![generated(seed, 20_000)] }).await.unwrap();
        store.seal_all().await.unwrap();
    }
    sent(there.store()).await;
    let mut chance = StdRng::seed_from_u64(seed);
    let values = draw::Values::of(&here).await;
    let mut changes = Vec::new();
    let mut differences = Vec::new();
    for number in 0..n_questions {
        if number % ROUND == 0 {
            changes.push(change(&mut chance, number / ROUND, here.store(), there.store()).await);
        }
        let question = draw::question(&mut chance, &values);
        let (one, other) = tokio::join!(ask::answer(&here, &question), ask::answer(&there, &question));
        if one != other {
            differences.push(format!("{number}: {question:?}\n  lake:       {one:.2000}\n  ClickHouse: {other:.2000}"));
        }
        assert!(differences.len() < 5, "after {changes:?}\n{}", differences.join("\n"));
    }
    assert!(differences.is_empty(), "after {changes:?}\n{}", differences.join("\n"));
    let flows = there.store().status().tables.into_iter().find(|status| status.table == TableId::Flows).unwrap();
    assert!(flows.stats.moved_rows > 20_000, "hardly anything was read in ClickHouse: {flows:?}");
    println!("{n_questions} questions, 0 differences; {} rows of flows had left the lake", flows.stats.moved_rows);
    for store in [here.store(), there.store()] {
        store.close().await.unwrap();
    }
}

/// The tests inside of a crate, as they were built last.
fn tests_of(krate: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let files = std::fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
    let built = files.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(&format!("hindcast_{krate}-")) && !name.contains('.')
    });
    let newest = built.max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    newest.expect("cargo builds it with this one")
}

#[test]
fn what_holds_of_questions_in_the_lake_holds_in_clickhouse() {
    const TEST: &str = "tiers::what_holds_of_questions_in_the_lake_holds_in_clickhouse";
    let folder = tempdir().unwrap();
    let Some(clickhouse) = ClickHouse::start(TEST, &folder.path().join("clickhouse")).unwrap() else { return };
    let mut tests = Command::new(tests_of("query"));
    tests.args(["engine::", "fold::", "sql::", "--test-threads=2"]);
    tests.env("HINDCAST_TEST_CLICKHOUSE", clickhouse.url()).env_remove("RUST_BACKTRACE");
    let ended = run(&mut tests).unwrap();
    let databases = clickhouse.ask("SELECT count() FROM system.databases WHERE name LIKE 'test\\_%'").unwrap();
    let said = ended.success().unwrap();
    assert!(databases.parse::<u64>().unwrap() > 20, "the tests did not go there: {databases}\n{said}");
}

#[test]
fn what_holds_of_a_store_holds_with_clickhouse_behind_it() {
    const TEST: &str = "tiers::what_holds_of_a_store_holds_with_clickhouse_behind_it";
    let folder = tempdir().unwrap();
    let Some(clickhouse) = ClickHouse::start(TEST, &folder.path().join("clickhouse")).unwrap() else { return };
    migrate(&clickhouse, "apply").success().unwrap();
    let mut tests = Command::new(tests_of("storage"));
    // A sample of the calls that can fail: every one opens a store, which asks the server.
    tests.args(["store::", "--test-threads=2"]).env_remove("HINDCAST_LONG").env_remove("RUST_BACKTRACE");
    tests.env("HINDCAST_TEST_CLICKHOUSE", clickhouse.url());
    let said = run(&mut tests).unwrap().success().unwrap();
    let stores = clickhouse.ask("SELECT count(DISTINCT segment_store) FROM hindcast.flows").unwrap();
    assert!(stores.parse::<u64>().unwrap() > 10, "the tests did not go there: {stores}\n{said}");
}
