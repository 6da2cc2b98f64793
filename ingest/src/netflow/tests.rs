//! Datagrams become rows, and what makes none is counted and told.
use std::net::UdpSocket;
use std::time::Duration;

use hindcast_model::TableId;
use hindcast_proto::RejectReason;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::testing::Bench;

/// NetFlow 5 with as many records, each 40 bytes more than the one before.
fn version_5(n: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&5_u16.to_be_bytes());
    bytes.extend_from_slice(&n.to_be_bytes());
    // Up for 100 s, at this second, no more of it.
    for word in [100_000_u32, 1_700_000_000, 0, 1] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(&[0; 4]);
    for index in 0..u32::from(n) {
        bytes.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 2]);
        for word in [4, 40 * (index + 1), 90_000, 95_000] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&40_000_u16.to_be_bytes());
        bytes.extend_from_slice(&443_u16.to_be_bytes());
        bytes.extend_from_slice(&[0, 0x1B, 6, 0, 0, 0, 0, 0, 24, 24, 0, 0]);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_recorded_and_what_is_none_is_told() {
    let bench = Bench::new().await;
    let free = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let config = NetflowConfig {
        listen: address.to_string(),
        flush_interval: Duration::from_millis(20),
        ..NetflowConfig::default()
    };
    let (name, cancel) = (config.source_name(), CancellationToken::new());
    let running = tokio::spawn(run(bench.pipeline.clone(), config, cancel.clone()));
    let source = bench.pipeline.source(&name);
    while source.status().state != SourceState::Running {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let exporter = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for datagram in [version_5(30), version_5(30), b"\x00\x07nonsense".to_vec(), Vec::new()] {
        exporter.send_to(&datagram, address).expect("sent");
    }
    while source.status().received < 62 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancel.cancel();
    running.await.expect("it ends");
    let status = source.status();
    assert_eq!(status.n_under_way(), 0, "the accounting law: {status:?}");
    // The same datagram twice is one: a router that repeats itself tells nothing new.
    assert_eq!((status.recorded, status.deduplicated), (30, 30), "{status:?}");
    assert_eq!(status.rejected[&RejectReason::BadField], 2, "{status:?}");
    assert_eq!(bench.n_rows(TableId::Flows).await, 30);
    assert!(bench.n_rows(TableId::Losses).await >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_tried_again() {
    let bench = Bench::new().await;
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let config =
        NetflowConfig { listen: taken.local_addr().expect("an address").to_string(), ..NetflowConfig::default() };
    let (name, cancel) = (config.source_name(), CancellationToken::new());
    let running = tokio::spawn(run(bench.pipeline.clone(), config, cancel.clone()));
    let source = bench.pipeline.source(&name);
    while source.status().last_error.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, error) = source.status().last_error.expect("an error");
    assert!(error.contains("cannot listen at 127.0.0.1:"), "{error}");
    cancel.cancel();
    running.await.expect("it ends");
}
