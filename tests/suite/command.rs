//! The commands as a user types them, against a data directory and against a server: the same answers either way.

use std::path::Path;

use hindcast_tests::tool::{Ended, run_hindcast};
use hindcast_tests::{Options, Server};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::import::{import, number};

/// Three flows, one of them dropped, and a program that ran.
const LINES: &str = r#"{"flow":{"time":"2026-08-22T10:00:01Z","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":40000,"destination_port":80,"flags":{"SYN":true}}},"source":{"identity":1001,"namespace":"shop","pod_name":"web-1"},"destination":{"identity":1002,"namespace":"shop","pod_name":"db-1"},"node_name":"n1","is_reply":false,"event_type":{"type":4},"Summary":"TCP Flags: SYN"},"node_name":"n1","time":"2026-08-22T10:00:01Z"}
{"flow":{"time":"2026-08-22T10:00:02Z","verdict":"DROPPED","IP":{"source":"10.0.0.1","destination":"10.0.0.3","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":40001,"destination_port":5432,"flags":{"SYN":true}}},"source":{"identity":1001,"namespace":"shop","pod_name":"web-1"},"destination":{"identity":2},"node_name":"n1","is_reply":false,"event_type":{"type":1,"sub_type":133},"drop_reason_desc":"POLICY_DENIED","Summary":"TCP Flags: SYN"},"node_name":"n1","time":"2026-08-22T10:00:02Z"}
{"flow":{"time":"2026-08-22T10:00:03Z","verdict":"FORWARDED","IP":{"source":"10.0.0.2","destination":"10.0.0.1","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":80,"destination_port":40000,"flags":{"SYN":true,"ACK":true}}},"source":{"identity":1002,"namespace":"shop","pod_name":"db-1"},"destination":{"identity":1001,"namespace":"shop","pod_name":"web-1"},"node_name":"n1","is_reply":true,"event_type":{"type":4},"Summary":"TCP Flags: SYN, ACK"},"node_name":"n1","time":"2026-08-22T10:00:03Z"}
{"process_exec":{"process":{"exec_id":"bjE6MTox","pid":1,"binary":"/bin/true"}},"node_name":"n1","time":"2026-08-22T10:00:04Z"}
"#;

struct Recording {
    folder: TempDir,
}

impl Recording {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        std::fs::write(folder.path().join("events.jsonl"), LINES).unwrap();
        Self { folder }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("events.jsonl")
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }
}

fn run(place: [&str; 2], arguments: &[&str]) -> Ended {
    let (command, rest) = arguments.split_first().unwrap();
    run_hindcast([&[*command], place.as_slice(), rest].concat()).unwrap()
}

/// The answers that do not depend on where they come from.
fn check_answers(place: [&str; 2]) {
    let said = |arguments: &[&str]| run(place, arguments).success().unwrap();
    let lines = "\
Aug 22 10:00:01.000: shop/web-1:40000 (ID:1001) -> shop/db-1:80 (ID:1002) to-endpoint FORWARDED (TCP Flags: SYN)
Aug 22 10:00:02.000: shop/web-1:40001 (ID:1001) -> 10.0.0.3:5432 (world) Policy denied DROPPED (TCP Flags: SYN)
Aug 22 10:00:03.000: shop/web-1:40000 (ID:1001) <- shop/db-1:80 (ID:1002) to-endpoint FORWARDED (TCP Flags: SYN, ACK)
";
    let numbered: Vec<&str> = lines.split_inclusive('\n').collect();
    assert_eq!(said(&["observe"]), lines);
    assert_eq!(said(&["observe", "--last", "1"]), numbered[2]);
    assert_eq!(said(&["observe", "--first", "2"]), numbered[..2].concat());
    assert_eq!(said(&["observe", "--last", "2"]), numbered[1..].concat(), "the newest two, oldest first");
    assert_eq!(said(&["observe", "verdict:dropped"]), numbered[1]);
    assert_eq!(said(&["observe", "--until", "2026-08-22T10:00:02Z"]), numbered[..2].concat(), "the end is included");
    assert_eq!(said(&["observe", "--since", "2026-08-22T10:00:02Z"]), numbered[1..].concat());
    assert_eq!(said(&["observe", "-port:80", "ns:shop"]), numbered[1]);
    assert_eq!(said(&["observe", "--runtime"]), "Aug 22 10:00:04.000: n1 exec /bin/true\n");
    assert!(said(&["observe", "-o", "table"]).starts_with("TIMESTAMP "));
    let json: Value = serde_json::from_str(&said(&["observe", "--last", "1", "-o", "json"])).unwrap();
    assert_eq!(json["flow"]["Summary"], "TCP Flags: SYN, ACK");

    let query = "SELECT verdict, count(*) AS n FROM flows GROUP BY verdict ORDER BY n";
    assert_eq!(said(&["sql", "-o", "csv", query]), "verdict,n\nDROPPED,1\nFORWARDED,2\n");
    assert_eq!(said(&["sql", "-o", "ndjson", query]).lines().count(), 2);
    let wrong = run(place, &["sql", "SELECT verdct FROM flows"]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains("verdict"), "{}", wrong.stderr);
    let status: Value = serde_json::from_str(&said(&["status", "--json"])).unwrap();
    let tables = status["tables"].as_array().unwrap();
    assert!(tables.iter().any(|table| table["table"] == "flows" && table["rows"] == 3), "{status}");
    assert_eq!(said(&["export", "--format", "hubble"]).lines().count(), 3);
}

#[test]
fn a_data_directory_and_a_server_give_the_same_answers() {
    let recording = Recording::new();
    import(&recording.data_dir(), &[&recording.file()]);
    let data_dir = recording.data_dir().display().to_string();
    check_answers(["--data-dir", &data_dir]);
    let server = Server::start(&recording.data_dir(), &Options::default()).unwrap();
    check_answers(["--server", &server.url("")]);
    server.stop().unwrap();
}

#[test]
fn an_import_is_pushed_to_a_server_once() {
    let recording = Recording::new();
    let server = Server::start(&recording.data_dir(), &Options::default()).unwrap();
    let (grpc, file) = (server.grpc_url(), recording.file().display().to_string());
    let push = || {
        let printed =
            run_hindcast(["import", "--summary", "json", "--server", &grpc, &file]).unwrap().success().unwrap();
        serde_json::from_str::<Value>(&printed).unwrap()
    };
    let (first, second) = (push(), push());
    assert_eq!((&first["recorded"], &first["deduplicated"]), (&Value::from(4), &Value::from(0)), "{first}");
    assert_eq!((&second["recorded"], &second["deduplicated"]), (&Value::from(0), &Value::from(4)), "{second}");
    server.stop().unwrap();
    let query = format!("SELECT count(*) FROM flows WHERE source = '{file}'");
    assert_eq!(number(&recording.data_dir(), &query), 3, "rows name the file they came from");
}

#[test]
fn a_directory_is_inspected_beside_a_running_server() {
    let recording = Recording::new();
    import(&recording.data_dir(), &[&recording.file()]);
    let server = Server::start(&recording.data_dir(), &Options::default()).unwrap();
    let data_dir = recording.data_dir().display().to_string();
    let printed = run_hindcast(["inspect", "--json", "--verify", "--data-dir", &data_dir]).unwrap().success().unwrap();
    let document: Value = serde_json::from_str(&printed).unwrap();
    let rows = |table: &str| {
        let tables = document["catalog"]["tables"].as_array().unwrap().iter();
        tables.filter(|held| held["table"] == table).filter_map(|held| held["rows"].as_u64()).sum::<u64>()
    };
    assert_eq!((rows("flows"), rows("runtime_events")), (3, 1), "{document}");
    let busy = run_hindcast(["observe", "--data-dir", &data_dir]).unwrap();
    assert_eq!(busy.code, Some(1));
    assert!(busy.stderr.contains("--server"), "{}", busy.stderr);
    server.stop().unwrap();
}

#[test]
fn a_wrong_configuration_is_named_whole_before_anything_starts() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("hindcast.toml");
    std::fs::write(&file, "[web]\nhttp = '0.0.0.0:7171'\n[storage]\ndata_dri = 'x'\n[log]\nformat = 'xml'\n").unwrap();
    let path = file.display().to_string();
    for arguments in [vec!["config", "check", &path], vec!["up", "--config", &path]] {
        let ended = run_hindcast(&arguments).unwrap();
        assert_eq!(ended.code, Some(64), "{arguments:?}: {}", ended.stderr);
        for expected in ["web.http", "did you mean data_dir?", "hindcast.toml:4", "log.format"] {
            assert!(ended.stderr.contains(expected), "{expected} is not named: {}", ended.stderr);
        }
    }
    assert!(!Path::new("x").try_exists().unwrap());
}

#[test]
fn a_generated_recording_says_so_and_stays_among_its_own() {
    let folder = tempdir().unwrap();
    let data_dir = folder.path().join("demo");
    let place = data_dir.display().to_string();
    run_hindcast(["demo", "--data-dir", &place, "--flows", "5000", "--seed", "7"]).unwrap().success().unwrap();
    assert_eq!(number(&data_dir, "SELECT count(*) FROM flows WHERE source_kind = 'generated'"), 5000);
    assert_eq!(number(&data_dir, "SELECT count(*) FROM flows WHERE source_kind <> 'generated'"), 0);
    let again = run_hindcast(["demo", "--data-dir", &place]).unwrap();
    assert_eq!(again.code, Some(1), "a recording is not mixed with another: {}", again.stderr);
}
