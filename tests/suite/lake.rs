//! A lake that several share: two recorders write segments to one S3 store and name them in one PostgreSQL database;
//! servers that keep nothing, and DuckDB, answer from it.

use std::path::Path;

use hindcast_model::TableId;
use hindcast_tests::bucket::Bucket;
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::postgres::Postgres;
use hindcast_tests::repository::python;
use hindcast_tests::tool::{hindcast, run, run_hindcast};
use hindcast_tests::{Options, Server, http, wait_until};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::crash::rows;
use crate::judges::{asked, busy_store, script};

const RECORDERS: [&str; 2] = ["first", "second"];
/// Rows of a push, and how often each recorder is pushed to while parts are killed.
const N_ROWS: u64 = 500;
const N_ROUNDS: u64 = 6;

/// Where the shared parts of a lake are.
struct Shared {
    folder: TempDir,
    bucket: Bucket,
    postgres: Postgres,
}

impl Shared {
    async fn start(test: &str) -> Option<Self> {
        let folder = tempdir().unwrap();
        let bucket = Bucket::start(test, &folder.path().join("s3")).await.unwrap()?;
        let postgres = Postgres::start(test).unwrap()?;
        Some(Self { folder, bucket, postgres })
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut environment = Bucket::environment(self.bucket.port());
        let set = |name: &str, value: String| (format!("HINDCAST_STORAGE_{name}"), value);
        environment.extend([
            set("LAKE_CATALOG", self.postgres.url()),
            set("LAKE_INTERVAL", "100ms".to_owned()),
            set("LAKE_TIMEOUT", "5s".to_owned()),
            set("SEGMENTS_URL", self.bucket.url("lake")),
        ]);
        environment
    }

    /// A recorder that seals, compacts and deletes all the time.
    fn recorder(&self, name: &str) -> Server {
        let mut options = busy_store();
        options.environment.extend(self.environment());
        let more = [("LAKE_RECORDER", name), ("SEGMENTS_COMPACT_MIN_SEGMENTS", "3"), ("SEGMENTS_DELETE_GRACE", "2s")];
        options.environment.extend(more.map(|(name, value)| (format!("HINDCAST_STORAGE_{name}"), value.to_owned())));
        Server::start(&self.folder.path().join(name), &options).unwrap()
    }

    fn reader(&self, name: &str) -> Server {
        let options = Options { environment: self.environment(), ..Options::default() };
        Server::start_read_only(&self.folder.path().join(name), &options).unwrap()
    }

    /// Rows that DuckDB counts, and that the catalogue promises.
    fn duckdb(&self, python: &Path, tables: &[&str]) -> Value {
        let mut command = script(python, "count_shared.py");
        command.arg(self.postgres.dsn()).args(tables).envs(Bucket::environment(self.bucket.port()));
        serde_json::from_str(run(&mut command).unwrap().success().unwrap().trim()).unwrap()
    }
}

async fn push(server: &Server, begin: u64) {
    let mut pusher = Pusher::connect(&server.grpc_url()).await.unwrap();
    let batch = rows(&(begin..begin + N_ROWS));
    pusher.push(encode(TableId::Flows, vec![batch]).await.unwrap()).await.unwrap();
}

fn count(server: &Server) -> u64 {
    asked(server, "SELECT count(*) FROM flows")
}

fn wait(what: &str, holds: impl FnMut() -> bool) {
    wait_until(what, holds).unwrap();
}

fn status(server: &Server) -> Value {
    serde_json::from_str(&http::get(&server.url("/api/v1/status"), "application/json").unwrap().text()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_in_the_shared_lake_once_whoever_dies() {
    const TEST: &str = "lake::every_row_is_in_the_shared_lake_once_whoever_dies";
    let Some(python) = python(TEST) else { return };
    let Some(mut shared) = Shared::start(TEST).await else { return };
    let mut recorders: Vec<Server> = RECORDERS.iter().map(|name| shared.recorder(name)).collect();
    let readers = [shared.reader("reader-1"), shared.reader("reader-2")];
    let total = N_ROUNDS * N_ROWS * 2;
    for round in 0..N_ROUNDS {
        for (number, recorder) in recorders.iter().enumerate() {
            push(recorder, round * N_ROWS + u64::try_from(number).unwrap() * 1_000_000).await;
        }
        match round % 3 {
            // A recorder dies, with rows that are in its log only; then the catalogue, while there are news.
            0 => {
                recorders.remove(0).kill().unwrap();
                recorders.insert(0, shared.recorder(RECORDERS[0]));
            }
            1 => {
                shared.postgres.kill().unwrap();
                wait("nobody says that the catalogue is away", || {
                    status(&recorders[1])["lake"]["last_error"].is_string()
                });
                shared.postgres.restart().unwrap();
            }
            _ => {}
        }
        let n_seen = count(&readers[0]);
        assert!(n_seen <= total && n_seen.is_multiple_of(N_ROWS), "{n_seen} rows in round {round}");
    }
    for reader in &readers {
        wait("rows do not come", || count(reader) == total);
        assert_eq!(asked(reader, "SELECT sum(flows) FROM edges_1h"), total);
        assert_eq!(asked(reader, "SELECT count(DISTINCT time) FROM flows WHERE src_workload = 'web'"), 2000);
    }
    // Segments are joined and those they were made of deleted: what is read stays the same, and no file is named that is
    // gone.
    let metrics = || http::get(&recorders[1].url("/metrics"), "*/*").unwrap().text();
    wait("nothing is compacted", || !metrics().contains("hindcast_storage_compactions_total 0\n"));
    let n_files =
        |which: &str| shared.postgres.ask(&format!("SELECT count(*) FROM ducklake_data_file {which}")).unwrap();
    wait("what left the lake stays in its catalogue", || n_files("WHERE end_snapshot IS NULL") == n_files(""));
    assert_eq!(count(&readers[1]), total);
    assert_eq!(shared.duckdb(&python, &["flows"]), json!({ "flows": [total, total] }));
    let named = shared.postgres.ask("SELECT path FROM ducklake_data_file ORDER BY path").unwrap();
    let keys = shared.bucket.keys().await.unwrap();
    for path in named.lines() {
        assert!(keys.contains(&format!("lake/{path}")), "{path} is named and gone");
    }
    let shown = status(&readers[0]);
    let recorders = shown["lake"]["recorders"].as_array().unwrap();
    assert_eq!(recorders.iter().map(|one| one["recorder"].as_str().unwrap()).collect::<Vec<_>>(), RECORDERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_nothing_answers_and_takes_nothing() {
    const TEST: &str = "lake::a_server_that_keeps_nothing_answers_and_takes_nothing";
    let Some(mut shared) = Shared::start(TEST).await else { return };
    let early = shared.reader("early");
    assert_eq!(count(&early), 0);
    let trouble = run_hindcast(["status", "--server", &early.url("")]).unwrap();
    assert!(trouble.code == Some(1) && trouble.stdout.contains("no recorder has published there yet"), "{trouble:?}");

    let recorder = shared.recorder("only");
    push(&recorder, 0).await;
    wait("rows do not come", || count(&early) == N_ROWS);
    let last = ["observe", "--server", &early.url(""), "--last", "300", "--output", "jsonpb"];
    assert_eq!(run_hindcast(last).unwrap().stdout.lines().count(), 300);
    let mut pusher = Pusher::connect(&early.grpc_url()).await.unwrap();
    let refused = pusher.push(encode(TableId::Flows, vec![rows(&(0..5))]).await.unwrap()).await.unwrap_err();
    assert!(format!("{refused:#}").contains("this server only answers"), "{refused:#}");
    let followed = run_hindcast(["observe", "--server", &early.url(""), "--follow"]).unwrap();
    assert!(followed.code != Some(0) && followed.stderr.contains("follow events at a recorder"), "{followed:?}");

    // What was read is still there while the catalogue is not.
    shared.postgres.kill().unwrap();
    wait("nobody says that the catalogue is away", || status(&early)["lake"]["last_error"].is_string());
    assert_eq!(count(&early), N_ROWS);
    push(&recorder, N_ROWS).await;
    wait("nothing waits", || status(&recorder)["lake"]["waiting_segments"].as_u64() > Some(0));
    shared.postgres.restart().unwrap();
    wait("rows do not come after the catalogue is back", || count(&early) == 2 * N_ROWS);
    wait("the error stays", || status(&recorder)["lake"]["last_error"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_not_write_to_a_lake_is_told_so() {
    const TEST: &str = "lake::who_must_not_write_to_a_lake_is_told_so";
    let Some(postgres) = Postgres::start(TEST).unwrap() else { return };
    let folder = tempdir().unwrap();
    let open = |data: &str, segments: &str, recorder: &str| {
        let mut command = hindcast().unwrap();
        let lines = folder.path().join("nothing.jsonl");
        std::fs::write(&lines, "").unwrap();
        command
            .args(["import", "--data-dir", &folder.path().join(data).display().to_string()])
            .arg(lines)
            .env("HINDCAST_STORAGE_SEGMENTS_URL", format!("file://{}", folder.path().join(segments).display()))
            .env("HINDCAST_STORAGE_LAKE_CATALOG", postgres.url())
            .env("HINDCAST_STORAGE_LAKE_RECORDER", recorder);
        run(&mut command).unwrap()
    };
    let fine = open("one", "lake", "one");
    assert_eq!(fine.code, Some(0), "{}", fine.stderr);
    for (data, segments, recorder, word) in [
        ("other", "lake", "one", "those of another store"),
        ("other", "elsewhere", "two", "the shared catalogue is of segments in file://"),
        ("other", "lake", "", "storage.lake.recorder is empty"),
        ("other", "lake", "../one", "letters, digits"),
    ] {
        let refused = open(data, segments, recorder);
        assert!(refused.code != Some(0) && refused.stderr.contains(word), "{recorder}: {refused:?}");
    }
    postgres.ask("UPDATE hindcast_recorder SET store = 'another'").unwrap();
    let refused = open("one", "lake", "one");
    assert!(refused.code != Some(0) && refused.stderr.contains("another store publishes as one"), "{refused:?}");
    postgres.ask("UPDATE hindcast_schema SET version = 99").unwrap();
    let refused = open("two", "lake", "two");
    assert!(refused.code != Some(0) && refused.stderr.contains("use a later build"), "{refused:?}");
}

/// Buckets that are shared, objects that are put in each while recorders come and go, and lines of an object.
const N_BUCKETS: usize = 4;
const N_OBJECTS: usize = 6;
const N_LINES: usize = 300;

/// A recorder that reads its part of the shared buckets.
fn sharing(shared: &Shared, name: &str) -> Server {
    let config = shared.folder.path().join(format!("{name}.toml"));
    let buckets = (0..N_BUCKETS).map(|number| {
        let url = shared.bucket.url(&format!("exports/{number}"));
        format!("[[ingest.bucket]]\nurl = \"{url}\"\nshared = true\npoll_interval = \"100ms\"\n")
    });
    std::fs::write(&config, buckets.collect::<String>()).unwrap();
    let mut options = busy_store();
    options.environment.extend(shared.environment());
    options.environment.push(("HINDCAST_STORAGE_LAKE_RECORDER".to_owned(), name.to_owned()));
    options.arguments = vec!["--config".to_owned(), config.display().to_string()];
    Server::start(&shared.folder.path().join(name), &options).unwrap()
}

/// An export of flows, each of its own.
fn export(bucket: usize, object: usize) -> Vec<u8> {
    let lines = (0..N_LINES).map(|line| {
        let seconds = (bucket * N_OBJECTS + object) * N_LINES + line;
        let flow = json!({
            "time": format!("2026-05-28T{:02}:{:02}:{:02}.{:09}Z", seconds / 3600, seconds / 60 % 60, seconds % 60, line),
            "verdict": "FORWARDED",
            "IP": { "source": "10.0.0.1", "destination": "10.0.0.2", "ipVersion": "IPv4" },
            "l4": { "TCP": { "source_port": 1000 + line, "destination_port": 80 } },
            "node_name": format!("node-{bucket}"),
            "Type": "L3_L4",
        });
        format!("{}\n", json!({ "flow": flow, "node_name": format!("node-{bucket}") }))
    });
    lines.collect::<String>().into_bytes()
}

/// Who reads how many of the shared buckets.
fn readers(shared: &Shared) -> Vec<(String, usize)> {
    let said = "SELECT recorder, count(*) FROM hindcast_source WHERE recorder IS NOT NULL GROUP BY 1 ORDER BY 1";
    let said = shared.postgres.ask(said).unwrap();
    said.lines()
        .map(|line| line.split_once('|').unwrap())
        .map(|(name, n)| (name.to_owned(), n.parse().unwrap()))
        .collect()
}

fn lake(shared: &Shared, arguments: &[&str]) -> hindcast_tests::tool::Ended {
    run(hindcast().unwrap().arg("lake").args(arguments).envs(shared.environment())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_buckets_are_handed_over_without_loss_or_doubles() {
    const TEST: &str = "lake::shared_buckets_are_handed_over_without_loss_or_doubles";
    let Some(shared) = Shared::start(TEST).await else { return };
    let put = async |object: usize| {
        for bucket in 0..N_BUCKETS {
            shared.bucket.put(&format!("exports/{bucket}/{object}.log"), export(bucket, object)).await.unwrap();
        }
    };
    let reader = shared.reader("reader");
    put(0).await;
    let [one, two] = ["one", "two"].map(|name| sharing(&shared, name));
    let two_each = [("one".to_owned(), 2), ("two".to_owned(), 2)];
    wait("buckets are not shared out", || readers(&shared) == two_each);
    put(1).await;
    let total = |n_objects: usize| u64::try_from(N_BUCKETS * n_objects * N_LINES).unwrap();
    wait("rows do not come", || count(&reader) == total(2));

    // One stops in order while there is more to read: the other takes its part.
    put(2).await;
    one.stop().unwrap();
    wait("what a recorder gave back is not read", || readers(&shared) == [("two".to_owned(), 4)]);
    put(3).await;

    // Another one joins, and the first is killed: its buckets wait for it, until it is given up.
    let three = sharing(&shared, "three");
    let handed = [("three".to_owned(), 2), ("two".to_owned(), 2)];
    wait("nothing is handed to a recorder that joins", || readers(&shared) == handed);
    put(4).await;
    two.kill().unwrap();
    put(5).await;
    assert_eq!(readers(&shared), handed);
    let retired = lake(&shared, &["retire", "two"]);
    assert!(retired.code == Some(0) && retired.stdout.contains("two is retired"), "{retired:?}");
    wait("what a retired recorder read is not read on", || readers(&shared) == [("three".to_owned(), 4)]);
    wait("rows are missing", || count(&reader) == total(N_OBJECTS));
    // A double would come with the next sealing at the latest.
    wait("not all is published", || status(&three)["lake"]["waiting_segments"] == 0);
    assert_eq!(count(&reader), total(N_OBJECTS));
    assert_eq!(asked(&reader, "SELECT count(DISTINCT (time, src_port)) FROM flows"), total(N_OBJECTS));

    let mut refused = Server::spawn(
        &shared.folder.path().join("two"),
        &Options {
            environment: [shared.environment(), vec![("HINDCAST_STORAGE_LAKE_RECORDER".to_owned(), "two".to_owned())]]
                .concat(),
            ..Options::default()
        },
    )
    .unwrap();
    wait("a retired recorder goes on", || refused.has_ended().unwrap().is_some());
    assert!(refused.said().contains("two was retired from the lake"), "{}", refused.said());
    let shown = lake(&shared, &["status"]).stdout;
    assert!(shown.contains("recorder two: all until 2026-") && shown.contains(", retired 2026-"), "{shown}");
    assert_eq!(shown.matches(": read by three\n").count(), N_BUCKETS, "{shown}");
    assert_eq!(lake(&shared, &["retire", "nobody"]).code, Some(1));
}
