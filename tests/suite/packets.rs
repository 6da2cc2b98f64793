//! Packets and what other programs say of packets, through the doors a user has: captures, flow logs and flow exports.

use std::io::Write as _;
use std::net::UdpSocket;
use std::process::{Command, Stdio};

use hindcast_tests::repository::shared;
use hindcast_tests::tool::{binary, run_hindcast};
use hindcast_tests::{Options, Server, wait_until};
use serde_json::Value;
use tempfile::tempdir;

use crate::import::{import, number};
use crate::judges::asked;

/// A query of DNS over UDP as a capture in the classic format.
fn capture() -> Vec<u8> {
    let mut bytes = Vec::new();
    let head: [u32; 6] = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, 1];
    head.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04shop\x04test\x00\x00\x01\x00\x01";
    let payload = u16::try_from(query.len()).unwrap();
    let record: [u32; 4] = [1_700_000_000, 0, 42 + u32::from(payload), 42 + u32::from(payload)];
    record.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes.extend_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0]);
    bytes.extend_from_slice(&(28 + payload).to_be_bytes());
    bytes.extend_from_slice(&[0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 53]);
    [40_000, 53, 8 + payload, 0].iter().for_each(|word: &u16| bytes.extend_from_slice(&word.to_be_bytes()));
    bytes.extend_from_slice(query);
    bytes
}

#[test]
fn a_capture_that_is_piped_in_is_recorded() {
    let folder = tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut child = Command::new(binary().unwrap())
        .args(["import", "--summary", "json", "-", "--data-dir"])
        .arg(&data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A capture that is being made: the header comes first, the packets later.
    let bytes = capture();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&bytes[..24]).unwrap();
    pipe.flush().unwrap();
    pipe.write_all(&bytes[24..]).unwrap();
    drop(pipe);
    let ended = child.wait_with_output().unwrap();
    let summary: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((ended.status.success(), &summary["recorded"]), (true, &Value::from(2)), "{summary}");
    let query =
        "SELECT count(*) FROM flows WHERE dns_query LIKE 'shop.test%' AND source = 'stdin' AND source_kind = 'pcap'";
    assert_eq!(number(&data_dir, query), 1);
}

#[test]
fn every_shared_capture_and_flow_log_gets_in_once() {
    const TEST: &str = "packets::every_shared_capture_and_flow_log_gets_in_once";
    let paths: Vec<_> =
        ["data/pcap", "data/vpcflow", "data/netobserv"].iter().filter_map(|path| shared(TEST, path)).collect();
    let [captures, clouds, netobserv] = paths.as_slice() else { return };
    let folder = tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let first = import(&data_dir, &[captures, clouds, netobserv]);
    let recorded = first["recorded"].as_u64().unwrap();
    assert_eq!(number(&data_dir, "SELECT count(*) FROM flows"), recorded);
    let files = first["files"].as_array().unwrap();
    let unread: Vec<&str> = files
        .iter()
        .filter(|file| file["state"] != "complete")
        .filter_map(|file| file["source"].as_str())
        .filter(|name| name.ends_with(".pcap") || name.ends_with(".pcapng") || name.ends_with(".json"))
        .collect();
    assert!(unread.is_empty(), "{unread:?}");
    // What packets/examples/agreement.rs counts in these captures, twins of one connection left out.
    for (protocol, least) in [("DNS", 160), ("HTTP", 50), ("TLS", 80)] {
        let query = format!("SELECT count(*) FROM flows WHERE source_kind = 'pcap' AND l7_protocol = '{protocol}'");
        assert!(number(&data_dir, &query) >= least, "{protocol}");
    }
    let losses = number(&data_dir, "SELECT sum(count) FROM losses WHERE source LIKE '%.pcap'");
    assert!(losses >= 40, "{losses} packets that make no flow are told");
    let second = import(&data_dir, &[captures, clouds, netobserv]);
    assert_eq!((&second["recorded"], &second["deduplicated"]), (&Value::from(0), &Value::from(0)), "{second}");
    // A server that decodes nothing itself takes the same rows.
    let server = Server::start(&folder.path().join("served"), &Options::default()).unwrap();
    let path = captures.display().to_string();
    let pushed = run_hindcast(["import", "--summary", "json", "--server", &server.grpc_url(), &path]);
    let pushed = pushed.unwrap().success().unwrap();
    let pushed: Value = serde_json::from_str(&pushed).unwrap();
    let query = "SELECT count(*) FROM flows";
    assert_eq!(asked(&server, query), pushed["recorded"].as_u64().unwrap());
    let captured = number(&data_dir, "SELECT count(*) FROM flows WHERE source_kind = 'pcap'");
    assert_eq!(asked(&server, query), captured);
}

/// NetFlow 5 with one record.
fn export() -> Vec<u8> {
    let mut bytes = vec![0, 5, 0, 1];
    [100_000_u32, 1_700_000_000, 0, 1, 0].iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
    bytes.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 2]);
    [4_u32, 1234, 90_000, 95_000].iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
    [40_000_u16, 443].iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
    bytes.extend_from_slice(&[0, 0x1B, 6, 0, 0, 0, 0, 0, 24, 24, 0, 0]);
    bytes
}

#[test]
fn a_router_that_exports_flows_is_a_source_like_others() {
    let folder = tempdir().unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, format!("[[ingest.netflow]]\nname = \"routers\"\nlisten = \"127.0.0.1:{port}\"\n"))
        .unwrap();
    let arguments = vec!["--config".to_owned(), config.display().to_string()];
    let options = Options { arguments, ..Options::default() };
    let server = Server::start(&folder.path().join("data"), &options).unwrap();
    let router = UdpSocket::bind("127.0.0.1:0").unwrap();
    let query = "SELECT count(*) FROM flows WHERE source_kind = 'netflow' AND node = '127.0.0.1' AND bytes_sent = 1234";
    wait_until("the export is not recorded", || {
        // The port may not be open yet.
        router.send_to(&export(), ("127.0.0.1", port)).unwrap();
        asked(&server, query) == 1
    })
    .unwrap();
    router.send_to(b"\x00\x09\xff", ("127.0.0.1", port)).unwrap();
    let told = "SELECT count(*) FROM losses WHERE source = 'routers' AND reason = 'bad_field'";
    wait_until("a broken datagram is not told", || asked(&server, told) == 1).unwrap();
    let status = run_hindcast(["status", "--server", &server.url("")]).unwrap().success().unwrap();
    assert!(status.contains("routers"), "{status}");
}
