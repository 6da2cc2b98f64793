//! Small captures written by hand, as rows.

use etherparse::{PacketBuilder, TcpOptionElement};
use hindcast_model::tables::flows::View;
use proptest::prelude::*;

use super::*;
use crate::testing::mutated;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

/// A capture under construction; a millisecond passes with every packet.
#[derive(Default)]
struct Script {
    bytes: Vec<u8>,
    micros: u32,
}

impl Script {
    fn put(&mut self, packet: &[u8]) {
        if self.bytes.is_empty() {
            for word in [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
                self.bytes.extend(word.to_le_bytes());
            }
        }
        let length = u32::try_from(packet.len()).unwrap();
        for word in [1000 + self.micros / 1_000_000, self.micros % 1_000_000, length, length] {
            self.bytes.extend(word.to_le_bytes());
        }
        self.bytes.extend_from_slice(packet);
        self.micros += 1000;
    }

    /// A segment; `flags` of `S`, `A`, `F`, `R`.
    fn tcp(&mut self, is_client: bool, flags: &str, (seq, ack): (u32, u32), payload: &[u8]) {
        let (from, to, ports) =
            if is_client { (CLIENT, SERVER, (50_000, 8080)) } else { (SERVER, CLIENT, (8080, 50_000)) };
        let mut builder = PacketBuilder::ipv4(from, to, 64).tcp(ports.0, ports.1, seq, 1000);
        if flags.contains('S') {
            builder = builder.syn().options(&[TcpOptionElement::MaximumSegmentSize(1460)]).unwrap();
        }
        if flags.contains('A') {
            builder = builder.ack(ack);
        }
        if flags.contains('F') {
            builder = builder.fin();
        }
        if flags.contains('R') {
            builder = builder.rst();
        }
        let mut packet = Vec::new();
        builder.write(&mut packet, payload).unwrap();
        self.put(&packet);
    }

    fn udp(&mut self, is_client: bool, payload: &[u8]) {
        let (from, to, ports) = if is_client { (CLIENT, SERVER, (40_000, 53)) } else { (SERVER, CLIENT, (53, 40_000)) };
        let mut packet = Vec::new();
        PacketBuilder::ipv4(from, to, 64).udp(ports.0, ports.1).write(&mut packet, payload).unwrap();
        self.put(&packet);
    }

    fn handshake(&mut self) {
        self.tcp(true, "S", (100, 0), b"");
        self.tcp(false, "SA", (500, 101), b"");
        self.tcp(true, "A", (101, 501), b"");
    }
}

const REQUEST: &[u8] = b"GET /items?token=s3cret HTTP/1.1\r\nHost: shop\r\nCookie: sid=1\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A request, half of which is sent twice and out of order, with its response.
fn http() -> Vec<u8> {
    let mut script = Script::default();
    script.handshake();
    script.tcp(true, "A", (101 + 30, 501), &REQUEST[30..]);
    script.tcp(true, "A", (101, 501), &REQUEST[..30]);
    script.tcp(true, "A", (101, 501), &REQUEST[..30]);
    let acked = 101 + u32::try_from(REQUEST.len()).unwrap();
    script.tcp(false, "A", (501, acked), RESPONSE);
    let end = 501 + u32::try_from(RESPONSE.len()).unwrap();
    script.tcp(true, "FA", (acked, end), b"");
    script.tcp(false, "FA", (end, acked + 1), b"");
    script.bytes
}

fn import(bytes: &[u8], config: ImportConfig) -> (Vec<Batch>, ImportCounts) {
    let mut import = PcapImport::with_config(bytes, config);
    let mut batches = Vec::new();
    while let Ok(Some(batch)) = import.next_batch() {
        batches.push(batch);
    }
    batches.extend(import.finish().unwrap());
    assert!(import.counts().add_up() && import.counts().open == 0, "{:?}", import.counts());
    (batches, import.counts().clone())
}

#[test]
fn a_connection_with_http_becomes_three_rows() {
    let (batches, counts) = import(&http(), ImportConfig::default());
    assert_eq!((batches.len(), counts.connections, counts.http), (1, 1, 2));
    let rows = View::new(&batches[0].records).unwrap();
    // The request is complete with the segment that fills the hole, at 4 ms; its response comes at 6 ms.
    assert_eq!((rows.http_method.get(0), rows.http_url.get(0)), (Some("GET"), Some("/items?token=[redacted]")));
    assert_eq!(rows.http_headers.get(0), Some("Host,shop,Cookie,[redacted]"));
    assert_eq!((rows.time.get(0), rows.is_reply.get(0)), (Some(1_000_004_000_000), Some(false)));
    assert_eq!((rows.http_status.get(1), rows.latency_ns.get(1)), (Some(200), Some(2_000_000)));
    assert_eq!((rows.src_ip.get(1), rows.is_reply.get(1)), (Some("10.0.0.2"), Some(true)));
    assert_eq!((rows.src_ip.get(2), rows.dst_port.get(2)), (Some("10.0.0.1"), Some(8080)));
    assert_eq!(
        (rows.rtt_ns.get(2), rows.retransmits.get(2), rows.is_reply.get(2)),
        (Some(2_000_000), Some(1), Some(false))
    );
    assert_eq!((rows.packets_sent.get(2), rows.packets_received.get(2)), (Some(6), Some(3)));
    assert_eq!((rows.verdict.get(2), rows.direction.get(2), rows.l7_protocol.get(2)), (None, None, None));
    // The last packet came 8 ms after the first: `rest` says so.
    assert_eq!(rows.rest.get(2).map(<[u8]>::len), Some(11));
}

#[test]
fn without_a_syn_nothing_is_said_of_direction() {
    let mut script = Script::default();
    script.tcp(false, "A", (501, 101), b"some bytes");
    let (batches, _) = import(&script.bytes, ImportConfig::default());
    let rows = View::new(&batches[0].records).unwrap();
    assert_eq!((rows.src_ip.get(0), rows.is_reply.get(0), rows.rtt_ns.get(0)), (Some("10.0.0.2"), None, None));
}

#[test]
fn a_syn_ack_alone_tells_who_opened() {
    let mut script = Script::default();
    script.tcp(false, "SA", (500, 101), b"");
    let (batches, _) = import(&script.bytes, ImportConfig::default());
    let rows = View::new(&batches[0].records).unwrap();
    assert_eq!((rows.src_ip.get(0), rows.is_reply.get(0)), (Some("10.0.0.1"), Some(false)));
    assert_eq!((rows.packets_sent.get(0), rows.packets_received.get(0)), (Some(0), Some(1)));
}

#[test]
fn a_new_syn_on_old_ports_is_a_new_connection() {
    let mut script = Script::default();
    script.handshake();
    script.tcp(true, "R", (101, 0), b"");
    script.tcp(true, "S", (9000, 0), b"");
    let (_, counts) = import(&script.bytes, ImportConfig::default());
    assert_eq!(counts.connections, 2);
}

#[test]
fn dns_is_told_with_its_latency_and_idle_ends_it() {
    let query = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01A\x00\x00\x01\x00\x01";
    let mut response = query.to_vec();
    response[2..4].copy_from_slice(&[0x81, 0x83]);
    let mut script = Script::default();
    script.udp(true, query);
    script.udp(false, &response);
    script.micros += 120_000_000;
    script.udp(true, query);
    let (batches, counts) = import(&script.bytes, ImportConfig::default());
    assert_eq!((counts.dns, counts.connections), (3, 2));
    let rows = View::new(&batches[0].records).unwrap();
    assert_eq!(
        (rows.dns_query.get(1), rows.dns_rcode.get(1), rows.latency_ns.get(1)),
        (Some("a."), Some(3), Some(1_000_000))
    );
    assert_eq!((rows.dns_rcode.get(0), rows.latency_ns.get(3)), (None, None));
}

#[test]
fn bounds_are_kept_and_counted() {
    let mut script = Script::default();
    for port in 0..100 {
        let mut packet = Vec::new();
        PacketBuilder::ipv4(CLIENT, SERVER, 64).udp(1000 + port, 9).write(&mut packet, b"x").unwrap();
        script.put(&packet);
    }
    let (_, counts) = import(&script.bytes, ImportConfig { most_connections: 16, ..ImportConfig::default() });
    assert_eq!(counts.connections, 100);
    assert!(counts.evicted >= 84);
    let mut script = Script::default();
    script.handshake();
    script.tcp(true, "A", (101, 501), b"GET /a-head-that-does-not-end HTTP/1.1\r\nHost: shop\r\n");
    let (_, counts) = import(&script.bytes, ImportConfig { most_held_bytes: 20, ..ImportConfig::default() });
    assert_eq!((counts.given_up, counts.http), (1, 0));
}

#[test]
fn the_same_capture_gives_the_same_rows_however_they_are_batched() {
    let (one, _) = import(&http(), ImportConfig::default());
    let (again, _) = import(&http(), ImportConfig::default());
    assert_eq!(one[0].records, again[0].records);
    let (many, _) = import(&http(), ImportConfig { rows_per_batch: 1, ..ImportConfig::default() });
    assert_eq!(many.iter().map(Batch::n_rows).sum::<usize>(), one[0].n_rows());
}

proptest! {
    #[test]
    fn no_change_makes_it_panic_or_lose_a_packet(bytes in mutated(&http())) {
        let config = ImportConfig { redactor: Redactor::none(), ..ImportConfig::default() };
        let (batches, counts) = import(&bytes, config);
        let n_rows: usize = batches.iter().map(Batch::n_rows).sum();
        prop_assert_eq!(n_rows as u64, counts.connections + counts.dns + counts.http + counts.tls);
    }
}
