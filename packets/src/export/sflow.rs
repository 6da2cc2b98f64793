//! sFlow version 5: samples of packets.
//!
//! Of the many records a sample may hold, the packet's first bytes are read, or the addresses where only those were
//! kept. A row is one sampled packet; it says one in how many was sampled, and is not scaled by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Sink;
use crate::Malformed;
use crate::capture::Frame;
use crate::layers::{self, Endpoint};

/// Samples of a datagram, and records of a sample.
const MOST_SAMPLES: u32 = 512;
const MOST_RECORDS: u32 = 64;

/// Whether a datagram is one of sFlow 5: its version has four bytes, where those of NetFlow have two.
pub(super) fn looks_like(datagram: &[u8]) -> bool {
    matches!(datagram, [0, 0, 0, 5, 0, 0, 0, 1 | 2, ..])
}

/// Reads numbers of four bytes, one after the other.
#[derive(Clone, Copy, Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn number(&mut self, what: &'static str) -> Result<u32, Malformed> {
        let bytes = self.take(4, what)?;
        Ok(bytes.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (now, later) = self.bytes.split_at_checked(length).ok_or(Malformed::new(what, self.offset))?;
        self.bytes = later;
        self.offset += length;
        Ok(now)
    }

    /// What has a length before it, to be read on its own.
    fn inner(&mut self, what: &'static str) -> Result<Reader<'a>, Malformed> {
        let length = usize::try_from(self.number(what)?).unwrap_or(usize::MAX);
        let offset = self.offset;
        Ok(Reader { bytes: self.take(length, what)?, offset })
    }
}

/// What a sample tells of the packet besides its bytes.
#[derive(Clone, Copy, Debug)]
struct Sampled {
    one_in: u32,
    input: u32,
}

pub(super) fn take(datagram: &[u8], sink: &mut Sink<'_>) -> Result<(), Malformed> {
    let mut reader = Reader { bytes: datagram, offset: 0 };
    let header = "header is not whole";
    let _version = reader.number(header)?;
    let address_len = if reader.number(header)? == 1 { 4 } else { 16 };
    let _agent = reader.take(address_len, header)?;
    for _ in ["sub-agent", "sequence number", "uptime"] {
        let _number = reader.number(header)?;
    }
    let n_samples = reader.number(header)?;
    if n_samples > MOST_SAMPLES {
        return Err(Malformed::new("too many samples", reader.offset));
    }
    for _ in 0..n_samples {
        let kind = reader.number("sample ends before its type")?;
        let sample = reader.inner("sample is longer than its datagram")?;
        match kind {
            1 => flow_sample(sample, false, sink)?,
            3 => flow_sample(sample, true, sink)?,
            // Counters of interfaces, and samples of other makers.
            _ => sink.counts.not_flows += 1,
        }
    }
    Ok(())
}

fn flow_sample(mut sample: Reader<'_>, is_expanded: bool, sink: &mut Sink<'_>) -> Result<(), Malformed> {
    let what = "flow sample is not whole";
    let _sequence = sample.number(what)?;
    let _source = sample.take(if is_expanded { 8 } else { 4 }, what)?;
    let one_in = sample.number(what)?;
    let (_pool, _drops) = (sample.number(what)?, sample.number(what)?);
    let input = if is_expanded {
        let _format = sample.number(what)?;
        sample.number(what)?
    } else {
        sample.number(what)? & 0x3FFF_FFFF
    };
    let _output = sample.take(if is_expanded { 8 } else { 4 }, what)?;
    let n_records = sample.number(what)?;
    if n_records > MOST_RECORDS {
        return Err(Malformed::new("too many records in a sample", sample.offset));
    }
    sink.counts.records += 1;
    let mut is_told = false;
    let result = records(sample, n_records, Sampled { one_in, input }, &mut is_told, sink);
    sink.counts.rejected += u64::from(!is_told);
    result
}

/// Reads the records of a sample up to the first that makes a row.
fn records(
    mut sample: Reader<'_>,
    n_records: u32,
    sampled: Sampled,
    is_told: &mut bool,
    sink: &mut Sink<'_>,
) -> Result<(), Malformed> {
    for _ in 0..n_records {
        let kind = sample.number("record ends before its type")?;
        let record = sample.inner("record is longer than its sample")?;
        *is_told = *is_told
            || match kind {
                1 => raw_header(record, sampled, sink)?,
                3 => addresses(record, sampled, 4, sink)?,
                4 => addresses(record, sampled, 16, sink)?,
                _ => false,
            };
    }
    Ok(())
}

/// The first bytes of the packet. Gives whether they made a row.
fn raw_header(mut record: Reader<'_>, sampled: Sampled, sink: &mut Sink<'_>) -> Result<bool, Malformed> {
    let what = "packet of a sample is not whole";
    let protocol = record.number(what)?;
    let frame_len = record.number(what)?;
    let stripped = record.number(what)?;
    let bytes = record.inner(what)?.bytes;
    let link_type = match protocol {
        1 => 1,
        7 => 9,
        11 | 12 => 101,
        _ => return Ok(false),
    };
    // What was stripped is mostly the checksum of the Ethernet frame: it is no part of the packet.
    let wire_len = frame_len.saturating_sub(stripped);
    let frame = Frame { time: None, link_type, interface: 0, interface_name: None, bytes, wire_len, offset: 0 };
    let Ok(segment) = layers::locate(&frame) else { return Ok(false) };
    let row = begin(sampled, u64::from(segment.ip_len), sink);
    sink.rows.ends(row, segment.from, segment.to);
    sink.rows.protocol(row, if segment.tcp.is_some() { 6 } else { 17 });
    if let Some(tcp) = segment.tcp {
        sink.rows.columns.tcp_flags.set(row, tcp.flags);
    }
    if let Some(macs) = segment.macs {
        sink.rows.macs(row, macs);
    }
    sink.end();
    Ok(true)
}

/// The addresses of the packet, where its bytes were not kept.
fn addresses(mut record: Reader<'_>, sampled: Sampled, length: usize, sink: &mut Sink<'_>) -> Result<bool, Malformed> {
    let what = "addresses of a sample are not whole";
    let ip_len = record.number(what)?;
    let protocol = record.number(what)?;
    let (Some(src), Some(dst)) = (ip(record.take(length, what)?), ip(record.take(length, what)?)) else {
        return Ok(false);
    };
    let mut port = || record.number(what).map(|port| u16::try_from(port).unwrap_or_default());
    let (src_port, dst_port) = (port()?, port()?);
    let tcp_flags = record.number(what)?;
    let row = begin(sampled, u64::from(ip_len), sink);
    if matches!(protocol, 6 | 17 | 132) {
        sink.rows.ends(row, Endpoint { ip: src, port: src_port }, Endpoint { ip: dst, port: dst_port });
    } else {
        sink.rows.ips(row, src, dst);
    }
    if let Ok(protocol) = u8::try_from(protocol) {
        sink.rows.protocol(row, protocol);
    }
    if let (6, Ok(flags)) = (protocol, u16::try_from(tcp_flags)) {
        sink.rows.columns.tcp_flags.set(row, flags);
    }
    sink.end();
    Ok(true)
}

fn begin(sampled: Sampled, ip_len: u64, sink: &mut Sink<'_>) -> usize {
    // sFlow tells the uptime of its agent and no instant: the time is when the datagram came.
    let row = sink.begin(sink.sender.received_at.as_nanos());
    let columns = &mut sink.rows.columns;
    columns.bytes_sent.set(row, ip_len);
    columns.packets_sent.set(row, 1);
    columns.interface_index.set(row, sampled.input);
    columns.summary.set(row, &format!("sampled 1 in {}", sampled.one_in));
    row
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
}
