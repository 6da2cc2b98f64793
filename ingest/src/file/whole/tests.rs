//! Captures and flow logs are imported like events: once, in full, with everything counted that made no row.
use std::io::Write as _;

use hindcast_model::TableId;
use hindcast_proto::RejectReason;
use tokio_util::sync::CancellationToken;

use crate::file::config::ImportConfig;
use crate::file::import;
use crate::file::summary::{FileState, ImportSummary};
use crate::testing::Bench;

const AWS: &str = "\
2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK
2 123456789010 eni-2 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK
2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - NODATA
2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA
2 123456789010 eni-1 172.31.9.69\n";

/// A query and its answer over UDP, 1 s apart, and a frame of ARP, in the classic format.
fn capture() -> Vec<u8> {
    let mut file = Vec::new();
    let head: [u32; 6] = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, 1];
    head.iter().for_each(|word| file.extend_from_slice(&word.to_le_bytes()));
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04shop\x00\x00\x01\x00\x01";
    let mut answer = query.to_vec();
    answer[2] = 0x81;
    answer[3] = 0x83;
    frame(&mut file, 10, &udp([10, 0, 0, 1], [10, 0, 0, 53], 40_000, 53, query));
    frame(&mut file, 11, &udp([10, 0, 0, 53], [10, 0, 0, 1], 53, 40_000, &answer));
    let mut arp = vec![0xFF; 12];
    arp.extend_from_slice(&[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.resize(42, 0);
    frame(&mut file, 12, &arp);
    file
}

fn frame(file: &mut Vec<u8>, second: u32, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("short");
    [1_700_000_000 + second, 0, len, len].iter().for_each(|word| file.extend_from_slice(&word.to_le_bytes()));
    file.extend_from_slice(bytes);
}

fn udp(src: [u8; 4], dst: [u8; 4], src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
    let len = u16::try_from(payload.len()).expect("short");
    bytes.extend_from_slice(&[0x45, 0]);
    bytes.extend_from_slice(&(28 + len).to_be_bytes());
    bytes.extend_from_slice(&[0, 1, 0, 0, 64, 17, 0, 0]);
    bytes.extend_from_slice(&src);
    bytes.extend_from_slice(&dst);
    [src_port, dst_port, 8 + len, 0].iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
    bytes.extend_from_slice(payload);
    bytes
}

async fn run(bench: &Bench, name: &str, content: &[u8]) -> ImportSummary {
    let path = bench.path(name);
    std::fs::write(&path, content).expect("a file");
    let source = bench.pipeline.source("import");
    let config = ImportConfig::default();
    let paths = [path.display().to_string()];
    let cancel = CancellationToken::new();
    let summary = import(&bench.pipeline, &source, &paths, &config, cancel, |_| {}).await.expect("an import");
    assert_eq!(source.status().n_under_way(), 0, "the accounting law: {:?}", source.status());
    summary
}

fn counts(summary: &ImportSummary) -> (u64, u64, u64) {
    let tally = summary.tally();
    (tally.recorded, tally.deduplicated, tally.rejected)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_is_recorded_once_whatever_it_is_packed_in() {
    let bench = Bench::new().await;
    let first = run(&bench, "a.pcap", &capture()).await;
    // The exchange, its query and its answer; ARP makes no row.
    assert_eq!(counts(&first), (3, 0, 1), "{first:?}");
    assert_eq!(first.rejected()[&RejectReason::Unsupported], 1);
    assert_eq!(bench.n_rows(TableId::Losses).await, 1);
    let again = run(&bench, "b.pcap", &capture()).await;
    assert_eq!((counts(&again), &again.files[0].state), ((0, 0, 0), &FileState::Unchanged));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&capture()).expect("packs");
    let packed = run(&bench, "c.pcap.gz", &encoder.finish().expect("packs")).await;
    assert_eq!(counts(&packed), (0, 3, 1), "{packed:?}");
    assert_eq!(bench.n_rows(TableId::Flows).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_whole_of_a_capture_cut_short_is_kept() {
    let bench = Bench::new().await;
    let whole = capture();
    let cut = run(&bench, "cut.pcap", &whole[..whole.len() - 20]).await;
    assert_eq!(cut.tally().recorded, 3, "{cut:?}");
    assert_eq!(cut.rejected()[&RejectReason::Truncated], 1, "{cut:?}");
    assert_eq!(cut.files[0].state, FileState::Complete);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(&whole).expect("packs");
    let packed = encoder.finish().expect("packs");
    let torn = run(&bench, "torn.pcap.gz", &packed[..packed.len() - 60]).await;
    assert!(matches!(torn.files[0].state, FileState::Truncated { .. }), "{torn:?}");
    assert_eq!(torn.tally().deduplicated, 3, "{torn:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_interfaces_of_a_flow_log_are_kept_and_its_gaps_are_told() {
    let bench = Bench::new().await;
    let summary = run(&bench, "vpc.log", AWS.as_bytes()).await;
    // Two interfaces wrote the same of one flow; one line says that some is missing, one is cut.
    assert_eq!(counts(&summary), (2, 0, 2), "{summary:?}");
    assert_eq!(summary.rejected()[&RejectReason::Unsupported], 1);
    let cut = &summary.files[0].rejected[&RejectReason::BadField].samples[0].detail;
    assert!(cut.contains("1 records: malformed"), "{cut}");
    let again = run(&bench, "again.log", format!("{AWS}\n").as_bytes()).await;
    assert_eq!(counts(&again), (0, 2, 2), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_stopped_goes_over_a_capture_again() {
    let bench = Bench::new().await;
    let path = bench.path("a.pcap");
    std::fs::write(&path, capture()).expect("a file");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let (source, config) = (bench.pipeline.source("import"), ImportConfig::default());
    let paths = [path.display().to_string()];
    let stopped = import(&bench.pipeline, &source, &paths, &config, cancel, |_| {}).await.expect("an import");
    assert_eq!((counts(&stopped), stopped.is_stopped), ((0, 0, 0), true));
    assert_eq!(counts(&run(&bench, "a.pcap", &capture()).await), (3, 0, 1));
}
