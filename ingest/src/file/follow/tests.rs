//! Whatever a rotation does to a file, every line is recorded once.
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use hindcast_model::TableId;
use tokio_util::sync::CancellationToken;

use super::Follower;
use crate::file::config::FollowConfig;
use crate::testing::{Bench, flow_line, flow_lines};

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("writes");
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("packs");
    encoder.finish().expect("packs")
}

/// A follower that is polled by hand, so that nothing depends on the pace of the machine.
struct Hand {
    follower: Follower,
}

impl Hand {
    fn new(bench: &Bench, path: &str) -> Self {
        let config = FollowConfig {
            paths: vec![bench.path(path).display().to_string()],
            rotate_grace: Duration::ZERO,
            ..FollowConfig::default()
        };
        Self { follower: Follower::new(bench.pipeline.clone(), config, CancellationToken::new()) }
    }

    /// Polls and checks how many flows there are, how many rejected, and that the account closes.
    async fn check(&mut self, bench: &Bench, n_flows: usize, n_rejected: u64) {
        // Twice: what the first look finds gone, the second reads to its end.
        for _ in 0..2 {
            self.follower.poll().await.expect("a poll");
        }
        let status = self.follower.source.status();
        assert_eq!(bench.n_rows(TableId::Flows).await, n_flows, "{status:?}");
        assert_eq!(status.rejected.values().sum::<u64>(), n_rejected, "{status:?}");
        assert_eq!(status.n_under_way(), 0, "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_lines_wait_and_positions_survive() {
    let bench = Bench::new().await;
    let path = bench.path("events.log");
    let mut hand = Hand::new(&bench, "events.log");
    hand.check(&bench, 0, 0).await;
    let (line, rest) = (flow_line(3), flow_lines(4, 6));
    let (first, last) = line.split_at(90);
    append(&path, &(flow_lines(0, 3) + first));
    hand.check(&bench, 3, 0).await;
    append(&path, last);
    hand.check(&bench, 3, 0).await;
    append(&path, &format!("\nnot json\n{rest}"));
    hand.check(&bench, 6, 1).await;
    drop(hand);
    let bench = bench.reopened().await;
    append(&path, &flow_lines(6, 9));
    let mut hand = Hand::new(&bench, "events.log");
    hand.check(&bench, 9, 0).await;
    assert_eq!(hand.follower.source.status().received, 3, "only what is new is read");
    assert_eq!(bench.n_rows(TableId::Losses).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_files_are_read_to_their_end() {
    let bench = Bench::new().await;
    let path = bench.path("events.log");
    let mut hand = Hand::new(&bench, "events.log");
    append(&path, &flow_lines(0, 5));
    hand.check(&bench, 5, 0).await;
    let backup = bench.path("events-2026-03-01T00-00-00.000.log");
    append(&path, &flow_lines(5, 7));
    fs::rename(&path, &backup).expect("a rename");
    append(&path, &flow_lines(7, 10));
    hand.check(&bench, 10, 0).await;
    // The backup is packed later; its content is known.
    fs::write(bench.path("events-2026-03-01T00-00-00.000.log.gz"), gzip(&flow_lines(0, 7))).expect("a file");
    fs::remove_file(&backup).expect("removes");
    hand.check(&bench, 10, 0).await;
    assert_eq!(hand.follower.source.status().received, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_while_nobody_looked_are_caught_up_with() {
    let bench = Bench::new().await;
    let path = bench.path("events.log");
    append(&path, &flow_lines(0, 5));
    let mut hand = Hand::new(&bench, "events.log");
    hand.check(&bench, 5, 0).await;
    drop(hand);
    let bench = bench.reopened().await;
    // Two rotations: the first is packed already, both hold lines that were never read.
    fs::write(bench.path("events.log.2.gz"), gzip(&flow_lines(0, 8))).expect("a file");
    fs::write(bench.path("events.log.1"), flow_lines(8, 12)).expect("a file");
    fs::write(&path, flow_lines(12, 14)).expect("a file");
    let mut hand = Hand::new(&bench, "events.log");
    hand.check(&bench, 14, 0).await;
    assert_eq!(hand.follower.source.status().received, 9, "the packed one is gone on with");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_cut_short_starts_over() {
    let bench = Bench::new().await;
    let path = bench.path("events.log");
    append(&path, &flow_lines(0, 5));
    let mut hand = Hand::new(&bench, "events.log");
    hand.check(&bench, 5, 0).await;
    // copytruncate: lines came between the last look and the copy.
    append(&path, &flow_lines(5, 6));
    fs::copy(&path, bench.path("events.log.1")).expect("a copy");
    OpenOptions::new().write(true).open(&path).expect("the file").set_len(0).expect("cuts");
    append(&path, &flow_lines(6, 8));
    hand.check(&bench, 8, 0).await;
    // Replaced in place by something longer between two looks.
    fs::write(&path, flow_lines(20, 40)).expect("a file");
    hand.check(&bench, 28, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_of_a_pattern_are_picked_up_and_removed_ones_let_go() {
    let bench = Bench::new().await;
    fs::create_dir(bench.path("logs")).expect("a directory");
    append(&bench.path("logs/a.log"), &flow_lines(0, 2));
    let mut hand = Hand::new(&bench, "logs/*.log*");
    hand.check(&bench, 2, 0).await;
    append(&bench.path("logs/b.log"), &flow_lines(2, 5));
    fs::write(bench.path("logs/c.log.gz"), gzip(&flow_lines(5, 6))).expect("a file");
    hand.check(&bench, 6, 0).await;
    append(&bench.path("logs/a.log"), &flow_line(6));
    fs::remove_file(bench.path("logs/a.log")).expect("removes");
    // The handle is held: even a last line without its end is read.
    hand.check(&bench, 7, 0).await;
    assert_eq!(hand.follower.tracked.len(), 1);
    append(&bench.path("logs/a.log"), &flow_lines(10, 12));
    hand.check(&bench, 9, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_too_long_is_passed_over() {
    let bench = Bench::new().await;
    let path = bench.path("events.log");
    let mut hand = Hand::new(&bench, "events.log");
    hand.follower.config.max_line_size = bytesize::ByteSize::kib(4);
    append(&path, &(flow_lines(0, 2) + &"x".repeat(5000)));
    hand.check(&bench, 2, 0).await;
    append(&path, &"x".repeat(5000));
    hand.check(&bench, 2, 0).await;
    append(&path, &format!("x\n{}", flow_lines(2, 4)));
    hand.check(&bench, 4, 1).await;
    let detail = bench.texts(TableId::Losses, "detail").await;
    assert!(detail[0].contains("events.log:3: a line of 10002 bytes"), "{detail:?}");
}
