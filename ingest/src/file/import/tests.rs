//! Imports record every good record once, name every bad one, and go on where they were.
use std::io::Write as _;

use hindcast_model::TableId;
use hindcast_proto::RejectReason;
use tokio_util::sync::CancellationToken;

use super::import;
use crate::file::config::ImportConfig;
use crate::file::summary::{FileState, ImportSummary};
use crate::testing::{Bench, flow_line, flow_lines, shared};

async fn run(bench: &Bench, paths: &[&str]) -> ImportSummary {
    run_with(bench, paths, &ImportConfig::default()).await
}

async fn run_with(bench: &Bench, paths: &[&str], config: &ImportConfig) -> ImportSummary {
    let source = bench.pipeline.source("import");
    let paths: Vec<String> = paths.iter().map(|path| bench.path(path).display().to_string()).collect();
    let cancel = CancellationToken::new();
    let summary = import(&bench.pipeline, &source, &paths, config, cancel, |_| {}).await.expect("an import");
    let status = source.status();
    assert_eq!(status.n_under_way(), 0, "the accounting law: {status:?}");
    summary
}

fn counts(summary: &ImportSummary) -> (u64, u64, u64) {
    let tally = summary.tally();
    (tally.recorded, tally.deduplicated, tally.rejected)
}

fn write(bench: &Bench, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(bench.path(name), content).expect("a file");
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("packs");
    encoder.finish().expect("packs")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_is_recorded_once_whatever_it_is_called_or_packed_in() {
    let bench = Bench::new().await;
    write(&bench, "a.jsonl", flow_lines(0, 100));
    assert_eq!(counts(&run(&bench, &["a.jsonl"]).await), (100, 0, 0));
    let again = run(&bench, &["a.jsonl"]).await;
    assert_eq!((counts(&again), &again.files[0].state), ((0, 0, 0), &FileState::Unchanged));
    std::fs::rename(bench.path("a.jsonl"), bench.path("b.jsonl")).expect("a rename");
    write(&bench, "c.gz", gzip(flow_lines(0, 100).as_bytes()));
    write(&bench, "d", zstd::encode_all(flow_lines(0, 100).as_bytes(), 1).expect("packs"));
    let again = run(&bench, &["b.jsonl", "c.gz", "d"]).await;
    assert!(again.files.iter().all(|file| file.state == FileState::Unchanged), "{again:?}");
    // Other content with the same events is read, and its events are known.
    write(&bench, "e", flow_lines(50, 120));
    assert_eq!(counts(&run(&bench, &["e"]).await), (20, 50, 0));
    assert_eq!(bench.n_rows(TableId::Flows).await, 120);
    let bench = bench.reopened().await;
    let again = run(&bench, &["b.jsonl", "e"]).await;
    assert!(again.files.iter().all(|file| file.state == FileState::Unchanged), "{again:?}");
    write(&bench, "f", flow_lines(10, 130));
    assert_eq!(counts(&run(&bench, &["f"]).await), (10, 110, 0), "known after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grown_file_is_gone_on_with() {
    let bench = Bench::new().await;
    let half = flow_line(10);
    let (first, rest) = half.split_at(100);
    write(&bench, "a", flow_lines(0, 10) + first);
    let summary = run(&bench, &["a"]).await;
    assert_eq!(counts(&summary), (10, 0, 1));
    assert_eq!(summary.files[0].rejected[&RejectReason::Truncated].samples[0].line, 11, "{summary:?}");
    assert_eq!(run(&bench, &["a"]).await.files[0].state, FileState::Unchanged);
    write(&bench, "a", flow_lines(0, 10) + first + rest + "\nbad\n" + &flow_lines(11, 500));
    let summary = run(&bench, &["a"]).await;
    assert_eq!(counts(&summary), (490, 0, 1));
    assert_eq!(summary.files[0].rejected[&RejectReason::NotJson].samples[0].line, 12);
    assert_eq!(summary.files[0].resumed_at, flow_lines(0, 10).len() as u64);
    assert_eq!(bench.texts(TableId::Losses, "reason").await, ["not_json", "truncated"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_the_good_part_kept() {
    let bench = Bench::new().await;
    let good = flow_line(1);
    let mut bytes = Vec::new();
    bytes.extend_from_slice(b"\xef\xbb\xbf");
    bytes.extend_from_slice(format!("{good}\r\n").as_bytes());
    bytes.extend_from_slice(b"this is not json\n\n{\"flow\":{\"verdict\":\"DROPPED\"}}\n");
    bytes.extend_from_slice(b"{\"flow\":{\"time\":\"2026-03-01T00:00:00Z\",\"node_name\":\"\xff\xfe\"}}\n");
    bytes.extend_from_slice(format!("{{\"pad\":\"{}\"}}\n", "x".repeat(20_000)).as_bytes());
    bytes.extend_from_slice(b"\0\0\0");
    bytes.extend_from_slice(flow_line(2).as_bytes());
    bytes.extend_from_slice(b"\n{\"other\": 1}\n");
    let (first, rest) = good.split_at(50);
    bytes.extend_from_slice(format!("2026-01-01T00:00:00Z stdout P {first}\n").as_bytes());
    bytes.extend_from_slice(format!("2026-01-01T00:00:00Z stdout F {rest}\n").as_bytes());
    write(&bench, "bad.jsonl", bytes);
    let config = ImportConfig {
        max_line_size: bytesize::ByteSize::kib(10),
        block_size: bytesize::ByteSize::kib(4),
        ..ImportConfig::default()
    };
    let summary = run_with(&bench, &["bad.jsonl"], &config).await;
    let file = &summary.files[0];
    let found: Vec<(&str, u64)> =
        file.rejected.iter().map(|(reason, lines)| (reason.as_str(), lines.samples[0].line)).collect();
    let expected = [("not_json", 2), ("not_utf8", 5), ("too_large", 6), ("missing_time", 4), ("unknown_kind", 8)];
    assert_eq!(found, expected, "{file:?}");
    assert_eq!(counts(&summary), (2, 1, 5));
    assert_eq!((file.lines, file.records), (10, 8));
    assert_eq!(bench.n_rows(TableId::Losses).await, 5);
    let detail = &bench.texts(TableId::Losses, "detail").await[0];
    assert!(detail.contains("bad.jsonl:"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_gzip_keeps_its_good_part_and_goes_on_when_it_is_whole() {
    let bench = Bench::new().await;
    let whole = gzip(flow_lines(0, 2000).as_bytes());
    write(&bench, "a.gz", &whole[..whole.len() / 2]);
    let summary = run(&bench, &["a.gz"]).await;
    let (recorded, _, rejected) = counts(&summary);
    assert!(recorded > 100 && recorded < 2000 && rejected == 1, "{summary:?}");
    assert!(matches!(summary.files[0].state, FileState::Truncated { line, .. } if line == recorded + 1), "{summary:?}");
    assert_eq!(counts(&run(&bench, &["a.gz"]).await), (0, 0, 0), "nothing new");
    write(&bench, "a.gz", &whole);
    assert_eq!(counts(&run(&bench, &["a.gz"]).await), (2000 - recorded, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_recording_is_said_so() {
    let bench = Bench::new().await;
    write(&bench, "notes.txt", "dear diary\nit rained\n");
    write(&bench, "other.json", "{\"colour\":\"red\"}\n");
    write(&bench, "empty", "");
    write(&bench, "a.parquet", "PAR1xxxx");
    let summary = run(&bench, &["notes.txt", "other.json", "empty", "a.parquet", "missing"]).await;
    let states: Vec<&FileState> = summary.files.iter().map(|file| &file.state).collect();
    let foreign = |line: &str| FileState::NotEvents { first_line: line.to_owned(), hint: None };
    assert_eq!(states[..3], [&foreign("dear diary"), &foreign("{\"colour\":\"red\"}"), &FileState::Empty]);
    assert!(matches!(states[3], FileState::NotEvents { hint: Some(_), .. }));
    assert_eq!((summary.errors.len(), counts(&summary)), (1, (0, 0, 0)));
    assert_eq!(bench.n_rows(TableId::Ingested).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_recordings_are_imported_and_a_second_time_nothing_is_new() {
    let (Some(hubble), Some(tetragon)) = (shared("data/hubble"), shared("data/tetragon")) else { return };
    let bench = Bench::new().await;
    let paths = [hubble.to_str().expect("text"), tetragon.to_str().expect("text")];
    let summary = run(&bench, &paths).await;
    for file in &summary.files {
        println!("{}: {:?} {:?} {:?}", file.source, file.state, file.tally, file.rejected);
        if file.source.ends_with(".tsv") {
            assert!(matches!(file.state, FileState::NotEvents { .. }));
        }
    }
    let file = |name: &str| {
        let found = summary.files.iter().find(|file| file.source.ends_with(name)).expect("the file");
        (found.tally.recorded + found.tally.deduplicated, found.tally.rejected)
    };
    assert_eq!(file("basic-sample-400-tcp-flows.json"), (400, 0));
    assert_eq!(file("basic-sample-330-dns-flows.json"), (330, 0));
    assert_eq!(file("/malformed.jsonl"), (2, 1));
    assert_eq!(file("filter-oracle-flows.jsonl"), (34, 0));
    assert_eq!(file("/lab.jsonl"), (2671, 0));
    assert_eq!(file("/lab-rich.jsonl"), (95, 0));
    assert_eq!(file("/cat_process_exec.json"), (1, 0));
    assert_eq!(file("/process_close.json"), (1, 0));
    let recorded = bench.n_rows(TableId::Flows).await + bench.n_rows(TableId::RuntimeEvents).await;
    assert_eq!(recorded as u64, counts(&summary).0);
    for (table, kind) in [(TableId::Flows, "hubble"), (TableId::RuntimeEvents, "tetragon")] {
        assert!(bench.texts(table, "source_kind").await.iter().all(|found| found == kind), "{table}");
    }
    let again = run(&bench, &paths).await;
    assert_eq!(counts(&again), (0, 0, 0), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_is_recorded_while_it_is_open() {
    let bench = Bench::new().await;
    let path = bench.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: no mkfifo");
        return;
    }
    let source = bench.pipeline.source("import");
    let (pipeline, paths) = (bench.pipeline.clone(), [path.display().to_string()]);
    let importing = tokio::spawn(async move {
        let config = ImportConfig::default();
        import(&pipeline, &pipeline.source("import"), &paths, &config, CancellationToken::new(), |_| {}).await
    });
    let opening = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(path));
    let mut pipe = opening.await.expect("a thread").expect("a pipe");
    pipe.write_all(flow_lines(0, 3).as_bytes()).expect("writes");
    let wait = async {
        while source.status().recorded < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.expect("recorded while the pipe is open");
    pipe.write_all(flow_line(3).as_bytes()).expect("writes");
    drop(pipe);
    let summary = importing.await.expect("a task").expect("an import");
    assert_eq!(counts(&summary), (4, 0, 0));
}
