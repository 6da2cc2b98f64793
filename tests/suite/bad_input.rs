//! Bad input through the command line: a clear word that names the place, the good part kept, nothing counted twice.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hindcast_proto::flow::FlowFilter;
use hindcast_tests::skip::skip;
use hindcast_tests::tool::{Ended, run, run_hindcast};
use hindcast_tests::{Options, Server};
use prost::Message as _;
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tonic::Code;

use crate::doors::{everything, flows};
use crate::import::number;

/// A good flow with that number.
fn flow(number: usize) -> String {
    format!(
        r#"{{"flow":{{"time":"2026-08-22T10:00:00.{number:09}Z","verdict":"FORWARDED","IP":{{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":40000,"destination_port":80}}}},"node_name":"n1"}},"node_name":"n1","time":"2026-08-22T10:00:00.{number:09}Z"}}"#
    )
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempdir().unwrap() }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn import(&self, path: &Path) -> (Ended, Value) {
        let (data_dir, path) = (self.data_dir().display().to_string(), path.display().to_string());
        let ended = run_hindcast(["import", "--summary", "json", "--data-dir", &data_dir, &path]).unwrap();
        let summary = serde_json::from_str(&ended.stdout).unwrap_or(Value::Null);
        (ended, summary)
    }

    fn n_flows(&self) -> u64 {
        number(&self.data_dir(), "SELECT count(*) FROM flows")
    }
}

/// Nothing panicked, whatever else happened.
fn expect_calm(ended: &Ended) {
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(ended.code.is_some(), "ended by a signal: {}", ended.stderr);
}

/// Imports lines of which those at `bad` (counted from 1) are refused, and checks that they are named.
fn check_lines(name: &str, lines: &[Vec<u8>], bad: &[usize]) {
    let place = Place::new();
    let path = place.file(name, &[lines.join(&b'\n'), b"\n".to_vec()].concat());
    let (ended, summary) = place.import(&path);
    expect_calm(&ended);
    assert_eq!(summary["rejected"], bad.len(), "{summary}\n{}", ended.stderr);
    assert_eq!(summary["recorded"], lines.len() - bad.len(), "{summary}\n{}", ended.stderr);
    for line in bad {
        let place = format!("{name}:{line}");
        let told = format!("{summary}{}", ended.stderr);
        assert!(told.contains(&place), "{place} is not named: {told}");
    }
    assert_eq!(place.n_flows(), (lines.len() - bad.len()) as u64);
}

#[test]
fn a_bad_line_is_named_and_its_neighbours_are_kept() {
    let good = |number| flow(number).into_bytes();
    check_lines("text.jsonl", &[good(1), b"no json at all".to_vec(), good(2)], &[2]);
    check_lines("cut.jsonl", &[good(1), good(2)[..80].to_vec(), good(3)], &[2]);
    check_lines("nul.jsonl", &[good(1), vec![0; 500], good(2)], &[2]);
    check_lines(
        "utf8.jsonl",
        &[good(1), [br#"{"flow":{"uuid":""#.to_vec(), vec![0xff, 0xfe], br#""}}"#.to_vec()].concat(), good(2)],
        &[2],
    );
    check_lines("timeless.jsonl", &[good(1), br#"{"flow":{"verdict":"DROPPED"}}"#.to_vec(), good(2)], &[2]);
    check_lines("stranger.jsonl", &[good(1), br#"{"who":"knows"}"#.to_vec(), good(2)], &[2]);
}

#[test]
fn a_huge_line_is_refused_and_the_rest_is_kept() {
    let huge = format!(r#"{{"flow":{{"time":"2026-08-22T10:00:00Z","uuid":"{}"}}}}"#, "x".repeat(50 << 20));
    check_lines("huge.jsonl", &[flow(1).into_bytes(), huge.into_bytes(), flow(2).into_bytes()], &[2]);
}

#[test]
fn a_long_line_is_taken() {
    let labels = (0..6000).map(|number| format!(r#""k8s:label-{number}=value""#)).collect::<Vec<_>>().join(",");
    let long = flow(3).replacen(r#""node_name""#, &format!(r#""source":{{"labels":[{labels}]}},"node_name""#), 1);
    assert!(long.len() > 64 << 10);
    check_lines("long.jsonl", &[flow(1).into_bytes(), long.into_bytes(), flow(2).into_bytes()], &[]);
}

#[test]
fn unknown_numbers_and_clocks_ahead_are_recorded_as_they_came() {
    let unknown = flow(1).replacen(r#""FORWARDED""#, "4711", 1);
    let ahead = flow(2).replace("2026-08-22", "2096-08-22");
    check_lines("odd.jsonl", &[unknown.into_bytes(), ahead.into_bytes()], &[]);
}

#[test]
fn a_truncated_gzip_gives_what_it_holds() {
    let place = Place::new();
    let text = (1..=20_000).map(flow).collect::<Vec<_>>().join("\n");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    let path = place.file("cut.gz", &whole[..whole.len() / 2]);
    let (ended, summary) = place.import(&path);
    expect_calm(&ended);
    assert_eq!(ended.code, Some(1), "an input that could not be read to its end: {}", ended.stderr);
    assert!(format!("{summary}{}", ended.stderr).contains("cut.gz"), "{summary}\n{}", ended.stderr);
    let recorded = summary["recorded"].as_u64().unwrap_or_default();
    assert!((1_000..20_000).contains(&recorded), "{summary}");
    assert_eq!(place.n_flows(), recorded);
}

#[test]
fn one_file_may_hold_both_kinds_and_an_empty_one_none() {
    let place = Place::new();
    let exec = r#"{"process_exec":{"process":{"exec_id":"bjE6MTox","pid":1,"binary":"/bin/true"}},"node_name":"n1","time":"2026-08-22T10:00:01Z"}"#;
    let (ended, summary) = place.import(&place.file("both.jsonl", format!("{}\n{exec}\n", flow(1)).as_bytes()));
    expect_calm(&ended);
    assert_eq!(summary["recorded"], 2, "{summary}");
    assert_eq!(number(&place.data_dir(), "SELECT count(*) FROM runtime_events"), 1);
    let (ended, summary) = place.import(&place.file("empty.jsonl", b""));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(summary["recorded"], 0, "{summary}");
}

#[test]
fn what_cannot_be_opened_is_named() {
    let place = Place::new();
    let (ended, _) = place.import(&place.folder.path().join("nowhere.jsonl"));
    expect_calm(&ended);
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("nowhere.jsonl"), "{}", ended.stderr);
}

#[test]
fn a_folder_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let closed = place.folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&closed).is_ok() {
        skip("bad_input::a_folder_without_permission_is_named", "root may read every folder");
        return;
    }
    let (ended, _) = place.import(&closed);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    expect_calm(&ended);
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("closed"), "{}", ended.stderr);
}

#[test]
fn sql_cannot_write_read_files_or_run_away() {
    let place = Place::new();
    let lines = (1..=500).map(flow).collect::<Vec<_>>().join("\n");
    place.import(&place.file("flows.jsonl", lines.as_bytes()));
    let data_dir = place.data_dir().display().to_string();
    for query in [
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE flows",
        "DELETE FROM flows",
        "INSERT INTO flows SELECT * FROM flows",
        "COPY flows TO 'out.parquet'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SELECT * FROM '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT",
        "SELECT no_such_column FROM flows",
    ] {
        let ended = run_hindcast(["sql", "--data-dir", &data_dir, query]).unwrap();
        expect_calm(&ended);
        assert_ne!(ended.code, Some(0), "{query}: {}", ended.stdout);
        assert!(!ended.stderr.is_empty(), "{query}");
    }
    // 500^4 rows to sort: a limit ends it, and the answer or the error says so.
    let query =
        "SELECT a.time FROM flows a, flows b, flows c, flows d ORDER BY a.src_port + b.dst_port, c.time, d.time";
    let ended = run_hindcast(["sql", "--data-dir", &data_dir, query]).unwrap();
    expect_calm(&ended);
    let told = format!("{}{}", ended.stdout, ended.stderr).to_lowercase();
    assert!(told.contains("limit") || told.contains("cut") || told.contains("memory"), "{}", ended.stderr);
    assert_eq!(place.n_flows(), 500);
}

#[test]
fn a_bad_filter_is_answered_with_its_place() {
    let place = Place::new();
    place.import(&place.file("flows.jsonl", flow(1).as_bytes()));
    let data_dir = place.data_dir().display().to_string();
    for filter in ["port:http:x", "verdict:", "http.status>=abc", "(ns:a", "nosuchfield:1"] {
        let ended = run_hindcast(["observe", "--data-dir", &data_dir, filter]).unwrap();
        expect_calm(&ended);
        assert_ne!(ended.code, Some(0), "{filter}: {}", ended.stdout);
        assert!(ended.stderr.contains('^'), "{filter} is answered without a caret: {}", ended.stderr);
    }
}

#[test]
fn a_second_server_on_one_data_directory_is_turned_away() {
    let place = Place::new();
    let server = Server::start(&place.data_dir(), &Options::default()).unwrap();
    let data_dir = place.data_dir().display().to_string();
    let ended =
        run_hindcast(["up", "--data-dir", &data_dir, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]).unwrap();
    expect_calm(&ended);
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("data"), "{}", ended.stderr);
    server.stop().unwrap();
}

/// Files below `folder` whose name ends so.
fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn garbage_at_the_end_of_the_log_costs_nothing_that_was_acknowledged() {
    let place = Place::new();
    let lines = (1..=100).map(flow).collect::<Vec<_>>().join("\n");
    place.import(&place.file("flows.jsonl", lines.as_bytes()));
    let server = Server::start(&place.data_dir(), &Options::default()).unwrap();
    server.kill().unwrap();
    let mut logs = files_below(&place.data_dir().join("log"), "");
    let last = logs.pop().expect("a server that was killed leaves a log");
    let mut file = fs::File::options().append(true).open(&last).unwrap();
    file.write_all(&[0xa5; 777]).unwrap();
    drop(file);
    let server = Server::start(&place.data_dir(), &Options::default()).unwrap();
    assert_eq!(crate::judges::asked(&server, "SELECT count(*) FROM flows"), 100, "{}", server.said());
    server.stop().unwrap();
}

#[test]
fn a_damaged_segment_is_an_error_that_names_it() {
    let place = Place::new();
    let lines = (1..=5_000).map(flow).collect::<Vec<_>>().join("\n");
    place.import(&place.file("flows.jsonl", lines.as_bytes()));
    // A clean start and stop seals everything.
    Server::start(&place.data_dir(), &Options::default()).unwrap().stop().unwrap();
    let segments = files_below(&place.data_dir().join("segments/flows"), ".parquet");
    let segment = segments.first().expect("a segment of flows");
    let mut bytes = fs::read(segment).unwrap();
    let middle = bytes.len() / 3;
    bytes.iter_mut().skip(4).take(middle).for_each(|byte| *byte = !*byte);
    fs::write(segment, bytes).unwrap();
    let data_dir = place.data_dir().display().to_string();
    let ended =
        run_hindcast(["sql", "--data-dir", &data_dir, "SELECT sum(src_port), max(src_ip), max(time) FROM flows"]);
    let ended = ended.unwrap();
    expect_calm(&ended);
    assert_ne!(ended.code, Some(0), "{}", ended.stdout);
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    assert!(ended.stderr.contains(&name), "{name} is not named: {}", ended.stderr);
}

/// On a disk of 6 MiB, in a name space of its own: the import fails and says why; with more room it goes on, and
/// nothing is lost or there twice.
#[test]
fn a_full_disk_is_named_and_costs_nothing() {
    const TEST: &str = "bad_input::a_full_disk_is_named_and_costs_nothing";
    let can_mount = run(Command::new("unshare").args(["-rm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]));
    if !can_mount.is_ok_and(|ended| ended.code == Some(0)) {
        skip(TEST, "a small disk cannot be mounted here: unshare or mount is not permitted");
        return;
    }
    let place = Place::new();
    let long = |number| flow(number).replacen("n1", &format!("node-{number}-{}", "x".repeat(number % 300)), 2);
    let path = place.file("flows.jsonl", (1..=60_000).map(long).collect::<Vec<_>>().join("\n").as_bytes());
    let script = r#"
        mkdir -p "$2" && mount -t tmpfs -o size=6m tmpfs "$2" || exit 99
        "$1" import --data-dir "$2/data" "$3" >&2; echo "first $?"
        mount -o remount,size=400m "$2"
        "$1" import --data-dir "$2/data" "$3" >&2; echo "second $?"
        "$1" sql --data-dir "$2/data" -o csv 'SELECT count(*), count(DISTINCT time) FROM flows'
    "#;
    let disk = place.folder.path().join("disk");
    let binary = hindcast_tests::tool::binary().unwrap();
    let mut command = Command::new("unshare");
    command.args(["-rm", "bash", "-c", script, "bash"]).arg(binary).arg(&disk).arg(&path);
    let ended = run(&mut command).unwrap();
    expect_calm(&ended);
    let said = format!("{}\n{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains("first 0") && ended.stdout.contains("second 0"), "{said}");
    let reason = ended.stderr.to_lowercase();
    assert!(reason.contains("no space left") || reason.contains("full"), "{said}");
    assert!(ended.stdout.trim().ends_with("60000,60000"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_patterns_are_refused_or_answered_in_time() {
    let place = Place::new();
    let lines = (1..=200).map(flow).collect::<Vec<_>>().join("\n");
    place.import(&place.file("flows.jsonl", lines.as_bytes()));
    let server = Server::start(&place.data_dir(), &Options::default()).unwrap();
    let deep = format!("{}true{}", "(".repeat(5_000), ")".repeat(5_000));
    let comprehension = "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, \
                         [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, a+b+c+d+e > 0)))))";
    let filters = [
        serde_json::json!({ "dns_query": ["(a{1000}){1000}{1000}"] }),
        serde_json::json!({ "http_path": ["(((((a*)*)*)*)*)*$"] }),
        serde_json::json!({ "dns_query": ["("] }),
        serde_json::json!({ "experimental": { "cel_expression": [deep] } }),
        serde_json::json!({ "experimental": { "cel_expression": [comprehension] } }),
        serde_json::json!({ "experimental": { "cel_expression": ["1 / 0 == 1"] } }),
    ];
    for filter in filters {
        let wire = crate::recordings::message("flow.FlowFilter", &filter).unwrap();
        let mut request = everything();
        request.whitelist.push(FlowFilter::decode(wire.encode_to_vec().as_slice()).unwrap());
        let started = std::time::Instant::now();
        let answer = flows(&server, request).await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(60), "{took:?} for {}", filter.to_string().get(..200).unwrap_or_default());
        if let Err(status) = answer {
            assert!(!matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable), "{status}");
        }
    }
    assert_eq!(crate::judges::asked(&server, "SELECT count(*) FROM flows"), 200, "{}", server.said());
    assert!(!server.said().contains("panicked"), "{}", server.said());
    server.stop().unwrap();
}
