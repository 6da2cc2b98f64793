//! Recordings in a bucket of a real S3 server give what the same files give, whatever happens on the way.
//!
//! `HINDCAST_SEED` repeats a run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hindcast_model::TableId;
use hindcast_tests::bucket::{BadWire, Bucket};
use hindcast_tests::repository::shared;
use hindcast_tests::tool::{Ended, hindcast, run, run_hindcast};
use hindcast_tests::{Options, Server, pause};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tempfile::tempdir;

use crate::crash::setting;
use crate::import::{import, number};

/// How long a bucket may take to be read, in looks.
const PATIENCE: u32 = 600;
const LOOK: Duration = Duration::from_millis(200);

/// Every row of a data directory but for when and whence it came, table by table.
fn contents(data_dir: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let tables = [TableId::Flows, TableId::RuntimeEvents, TableId::AgentEvents, TableId::Losses];
    let rows = tables.map(|table| {
        let names = table.columns().iter().map(|column| column.name);
        let names = names.filter(|name| !["recorded_at", "source", "summary"].contains(name));
        let names = names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
        let query = format!("SELECT {} FROM {table}", names.join(", "));
        let data_dir = data_dir.display().to_string();
        let printed =
            run_hindcast(["sql", "--data-dir", &data_dir, "-o", "ndjson", &query]).unwrap().success().unwrap();
        let mut rows: Vec<String> = printed.lines().map(str::to_owned).collect();
        // What a report says of a file names it.
        if table == TableId::Losses {
            rows = rows.iter().map(|row| reason(row)).collect();
        }
        rows.sort();
        (table.name(), rows)
    });
    rows.into()
}

fn reason(row: &str) -> String {
    let row: Value = serde_json::from_str(row).unwrap();
    format!("{} {}", row["reason"], row["count"])
}

/// Every file under a folder, by its name in the bucket.
fn files(folder: &Path, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}/{}", path.file_name().unwrap().to_string_lossy());
        match path.is_dir() {
            true => found.extend(files(&path, &name)),
            false => found.push((name, std::fs::read(&path).unwrap())),
        }
    }
    found
}

fn import_from(port: u16, data_dir: &Path, url: &str) -> Ended {
    let mut command = hindcast().unwrap();
    command.args(["import", "--summary", "json", "--data-dir"]).arg(data_dir).arg(url);
    run(command.envs(Bucket::environment(port))).unwrap()
}

/// A recorder that reads a bucket, as configured in `folder`.
fn reading(folder: &Path, port: u16, config: &str) -> Options {
    let path = folder.join("hindcast.toml");
    std::fs::write(&path, config).unwrap();
    let arguments = vec!["--config".to_owned(), path.display().to_string()];
    Options { arguments, environment: Bucket::environment(port), ..Options::default() }
}

/// What the bucket's account says, once it says it.
fn account(server: &Server) -> Option<Value> {
    let ended = run_hindcast(["status", "--json", "--server", &server.url("")]).ok()?;
    let document: Value = serde_json::from_str(&ended.stdout).ok()?;
    document["sources"].as_array()?.iter().find(|source| source["name"] == "bucket").cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_read_over_a_bad_wire_gives_what_its_files_give() {
    const TEST: &str = "buckets::a_bucket_read_over_a_bad_wire_gives_what_its_files_give";
    let seed = setting("HINDCAST_SEED", 20_261_126);
    println!("HINDCAST_SEED={seed}");
    let (Some(hubble), Some(tetragon)) = (shared(TEST, "data/hubble"), shared(TEST, "data/tetragon")) else { return };
    let folder = tempdir().unwrap();
    let Some(bucket) = Bucket::start(TEST, &folder.path().join("s3")).await.unwrap() else { return };
    let (plain, read) = (folder.path().join("files"), folder.path().join("bucket"));
    import(&plain, &[&hubble, &tetragon]);
    for (key, content) in [files(&hubble, "prod/hubble"), files(&tetragon, "prod/tetragon")].concat() {
        bucket.put(&key, content).await.unwrap();
    }
    let wire = BadWire::start(bucket.port(), seed).await.unwrap();
    let config =
        format!("[[ingest.bucket]]\nname = \"bucket\"\nurl = {:?}\npoll_interval = \"300ms\"\n", bucket.url("prod"));
    let options = reading(folder.path(), wire.port(), &config);
    let expected = contents(&plain);
    let wanted = expected["flows"].len() + expected["runtime_events"].len() + expected["agent_events"].len();
    let mut chance = StdRng::seed_from_u64(seed);
    for life in 0..PATIENCE {
        let server = Server::start(&read, &options).unwrap();
        // The first lives are short.
        let looks = if life < 6 { chance.random_range(0..6) } else { PATIENCE };
        let mut is_read = false;
        for _ in 0..looks {
            pause(LOOK);
            let count = "SELECT (SELECT count(*) FROM flows) + (SELECT count(*) FROM runtime_events) \
                         + (SELECT count(*) FROM agent_events)";
            is_read = crate::judges::asked(&server, count) >= wanted as u64;
            if is_read {
                break;
            }
        }
        let said = server.said();
        server.kill().unwrap();
        if is_read && life >= 6 {
            break;
        }
        assert!(life < 7, "not all was read: {said}");
    }
    // One more life, to its end: nothing is read twice.
    let server = Server::start(&read, &options).unwrap();
    pause(Duration::from_secs(3));
    server.stop().unwrap();
    let found = contents(&read);
    for (table, rows) in &expected {
        assert!(
            found[table] == *rows,
            "{table}: {} rows from files, {} from the bucket",
            rows.len(),
            found[table].len()
        );
    }
    let (n_refused, n_cut) = wire.faults();
    assert!(n_refused > 0 && n_cut > 0, "{n_refused} refused, {n_cut} cut: the wire was good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_imported_like_a_folder() {
    const TEST: &str = "buckets::a_bucket_is_imported_like_a_folder";
    let Some(hubble) = shared(TEST, "data/hubble") else { return };
    let folder = tempdir().unwrap();
    let Some(bucket) = Bucket::start(TEST, &folder.path().join("s3")).await.unwrap() else { return };
    let small = std::fs::read(hubble.join("small.jsonl")).unwrap();
    bucket.put("a/one.jsonl", small.clone()).await.unwrap();
    // The same recording under another name.
    bucket.put("a/b/two.jsonl", small).await.unwrap();
    bucket.put("c/other.jsonl", b"not a recording\n".to_vec()).await.unwrap();
    let data_dir = folder.path().join("data");
    let first = import_from(bucket.port(), &data_dir, &bucket.url("a")).success().unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["recorded"], &first["rejected"]), (&Value::from(3), &Value::from(0)), "{first}");
    let one = import_from(bucket.port(), &data_dir, &bucket.url("a/one.jsonl")).success().unwrap();
    assert!(one.contains("unchanged") || one.contains("\"recorded\":0") || one.contains("\"recorded\": 0"), "{one}");
    assert_eq!(number(&data_dir, "SELECT count(*) FROM flows"), 3);
    let nothing = import_from(bucket.port(), &data_dir, &bucket.url("nowhere"));
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(nothing.stderr.contains("s3://flows/nowhere"), "{}", nothing.stderr);
    let refused = {
        let mut command = hindcast().unwrap();
        command.args(["import", "--data-dir"]).arg(&data_dir).arg(bucket.url("a"));
        run(command.envs(Bucket::environment(bucket.port())).env("AWS_SECRET_ACCESS_KEY", "wrong")).unwrap()
    };
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("cannot list s3://flows/a"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_grow_are_renamed_and_go_once_they_are_recorded() {
    const TEST: &str = "buckets::objects_grow_are_renamed_and_go_once_they_are_recorded";
    let Some(hubble) = shared(TEST, "data/hubble") else { return };
    let folder = tempdir().unwrap();
    let Some(bucket) = Bucket::start(TEST, &folder.path().join("s3")).await.unwrap() else { return };
    let small = std::fs::read_to_string(hubble.join("small.jsonl")).unwrap();
    let lines: Vec<&str> = small.lines().collect();
    let part = |n: usize| lines.iter().take(n).map(|line| format!("{line}\n")).collect::<String>().into_bytes();
    bucket.put("prod/growing.jsonl", part(1)).await.unwrap();
    bucket.put("prod/bad.jsonl", [part(1), b"{\"flow\": 7}\n".to_vec()].concat()).await.unwrap();
    let config = format!(
        "[[ingest.bucket]]\nname = \"bucket\"\nurl = {:?}\npoll_interval = \"200ms\"\ndelete_after = \"4s\"\n\
         [ingest.pipeline.rename_clusters]\nbucket = {{ \"\" = \"lab\", default = \"lab\", kind = \"lab\" }}\n",
        bucket.url("prod")
    );
    let data_dir = folder.path().join("data");
    let server = Server::start(&data_dir, &reading(folder.path(), bucket.port(), &config)).unwrap();
    let wait = |n: u64| {
        for _ in 0..PATIENCE {
            if crate::judges::asked(&server, "SELECT count(*) FROM flows") >= n {
                break;
            }
            pause(LOOK);
        }
        assert_eq!(crate::judges::asked(&server, "SELECT count(*) FROM flows"), n, "{}", server.said());
    };
    wait(1);
    bucket.put("prod/growing.jsonl", part(lines.len())).await.unwrap();
    wait(lines.len() as u64);
    for _ in 0..PATIENCE {
        if bucket.keys().await.unwrap() == ["prod/bad.jsonl"] {
            break;
        }
        pause(LOOK);
    }
    // A line that was rejected is nowhere else.
    assert_eq!(bucket.keys().await.unwrap(), ["prod/bad.jsonl"], "{}", server.said());
    let account = account(&server).unwrap();
    assert_eq!(account["recorded"], Value::from(lines.len()), "{account}");
    assert_eq!(crate::judges::asked(&server, "SELECT count(*) FROM flows WHERE cluster = 'lab'"), lines.len() as u64);
    server.stop().unwrap();
}
