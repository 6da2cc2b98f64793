//! Datagrams made by hand: every version, templates that come late, and damage.

use std::net::Ipv4Addr;

use hindcast_model::tables::flows::View;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{hex, mutated};

const EXPORTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const RECEIVED: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

fn decoder() -> ExportDecoder {
    ExportDecoder::new(ExportConfig { most_exporters: 4, ..ExportConfig::default() })
}

/// The rows as `src:port>dst:port protocol bytes/packets time verdict`.
fn lines(decoder: &mut ExportDecoder) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in decoder.finish().unwrap() {
        let view = View::new(&batch.records).unwrap();
        for row in 0..view.n_rows() {
            lines.push(format!(
                "{}:{}>{}:{} {} {}/{} {} {}",
                view.src_ip.get(row).unwrap_or("-"),
                view.src_port.get(row).unwrap_or_default(),
                view.dst_ip.get(row).unwrap_or("-"),
                view.dst_port.get(row).unwrap_or_default(),
                view.protocol.get(row).unwrap_or("-"),
                view.bytes_sent.get(row).unwrap_or_default(),
                view.packets_sent.get(row).unwrap_or_default(),
                view.time.get(row).unwrap_or_default(),
                view.summary.get(row).or(view.verdict.get(row)).unwrap_or("-"),
            ));
        }
    }
    lines
}

/// Uptime 10 s at second 1000: the exporter started at second 990; the flow ran from 995 to 999.
fn version_5() -> Vec<u8> {
    hex("0005 0001 00002710 000003e8 00000000 00000001 00 00 4064
         0a000001 0a000002 00000000 0003 0004 00000007 00000800 00001388 00002328 c350 01bb 00 1b 06 00 0000 0000 00 00 0000")
}

fn template_9() -> Vec<u8> {
    hex("0009 0001 00002710 000003e8 00000001 00000007
         0000 0024 0100 0007 0008 0004 000c 0004 0007 0002 000b 0002 0004 0001 0001 0004 0059 0001")
}

fn data_9() -> Vec<u8> {
    hex("0009 0001 00002710 000003e8 00000002 00000007
         0100 0018 0a000001 0a000002 c350 01bb 11 00000400 80 0000")
}

/// Template and data in one message; the field of enterprise 29305 counts the bytes of the reverse direction.
fn version_10() -> Vec<u8> {
    hex("000a 0071 000003e8 00000001 00000007
         0002 0024 0101 0006 001b 0010 001c 0010 0004 0001 0002 0008 0098 0008 8001 0008 00007279
         0101 003d 20010db8000000000000000000000001 20010db8000000000000000000000002 06
         0000000000000003 000000e6b3a8a000 0000000000000400")
}

fn sflow() -> Vec<u8> {
    let packet = "0242ac110003 0242ac110002 0800
                  4500 0028 0001 4000 4006 0000 0a000001 0a000002 c350 01bb 00000001 00000000 5002 ffff 0000 0000";
    hex(&format!(
        "00000005 00000001 c0000201 00000000 00000001 000003e8 00000001
         00000001 00000070 00000001 00000003 00000064 00001000 00000000 00000003 00000004 00000001
         00000001 00000048 00000001 0000003a 00000004 00000036 {packet} 0000 0000"
    ))
}

#[test]
fn version_5_tells_times_by_the_exporters_start() {
    let mut decoder = decoder();
    decoder.take(EXPORTER, RECEIVED, &version_5()).unwrap();
    assert_eq!(lines(&mut decoder), ["10.0.0.1:50000>10.0.0.2:443 TCP 2048/7 995000000000 sampled 1 in 100"]);
    assert_eq!((decoder.counts().records, decoder.counts().rows), (1, 1));
}

#[test]
fn version_9_needs_its_template_and_counts_what_comes_before() {
    let mut decoder = decoder();
    decoder.take(EXPORTER, RECEIVED, &data_9()).unwrap();
    assert_eq!((decoder.counts().missing_template, decoder.counts().rows), (1, 0));
    decoder.take(EXPORTER, RECEIVED, &template_9()).unwrap();
    // The same template number of another exporter is another template.
    decoder.take(IpAddr::V4(Ipv4Addr::LOCALHOST), RECEIVED, &data_9()).unwrap();
    assert_eq!((decoder.counts().missing_template, decoder.counts().rows), (2, 0));
    decoder.take(EXPORTER, RECEIVED, &data_9()).unwrap();
    assert_eq!(lines(&mut decoder), ["10.0.0.1:50000>10.0.0.2:443 UDP 1024/0 1000000000000 DROPPED"]);
}

#[test]
fn ipfix_tells_instants_and_the_reverse_direction() {
    let mut decoder = decoder();
    decoder.take(EXPORTER, RECEIVED, &version_10()).unwrap();
    let batches = decoder.finish().unwrap();
    let view = View::new(&batches[0].records).unwrap();
    assert_eq!((view.src_ip.get(0), view.protocol.get(0)), (Some("2001:db8::1"), Some("TCP")));
    assert_eq!(view.time.get(0), Some(0xE6_B3A8_A000 * 1_000_000));
    assert_eq!((view.packets_sent.get(0), view.bytes_received.get(0)), (Some(3), Some(1024)));
    assert_eq!((view.bytes_sent.get(0), view.src_port.get(0)), (None, None));
}

#[test]
fn exporters_are_bounded_and_eviction_is_counted() {
    let mut decoder = decoder();
    for last in 0..10 {
        decoder.take(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), RECEIVED, &template_9()).unwrap();
    }
    assert_eq!((decoder.n_exporters(), decoder.counts().evicted), (4, 6));
}

#[test]
fn an_sflow_sample_is_a_row_at_the_time_of_its_datagram() {
    let mut decoder = decoder();
    decoder.take(EXPORTER, RECEIVED, &sflow()).unwrap();
    let expected = format!("10.0.0.1:50000>10.0.0.2:443 TCP 40/1 {} sampled 1 in 100", RECEIVED.as_nanos());
    assert_eq!(lines(&mut decoder), [expected]);
}

#[test]
fn damage_is_told_with_its_place() {
    let mut decoder = decoder();
    let fault = decoder.take(EXPORTER, RECEIVED, b"\x00\x63").unwrap_err();
    assert_eq!(fault.to_string(), "version is none of 5, 7, 9 and 10 at byte 0");
    assert_eq!(decoder.take(EXPORTER, RECEIVED, &sflow()[..60]).unwrap_err().offset, 36);
    assert_eq!((decoder.counts().malformed, decoder.counts().datagrams), (2, 2));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400), version in 0_u16..12) {
        let mut decoder = decoder();
        let _either = decoder.take(EXPORTER, RECEIVED, &bytes);
        let _either = decoder.take(EXPORTER, RECEIVED, &[&version.to_be_bytes()[..], &bytes].concat());
        let _either = decoder.take(EXPORTER, RECEIVED, &[&hex("00000005 00000001")[..], &bytes].concat());
        let counts = decoder.counts();
        prop_assert_eq!(counts.records, counts.rows + counts.rejected);
    }

    #[test]
    fn no_change_makes_it_panic(
        five in mutated(&version_5()), template in mutated(&template_9()), data in mutated(&data_9()),
        ten in mutated(&version_10()), sflow in mutated(&sflow()),
    ) {
        let mut decoder = decoder();
        for datagram in [five, template, data, ten, sflow] {
            let _either = decoder.take(EXPORTER, RECEIVED, &datagram);
        }
        let _batches = decoder.finish().unwrap();
        let counts = decoder.counts();
        prop_assert_eq!(counts.records, counts.rows + counts.rejected);
    }
}
