//! NetFlow 5, 7 and 9, and IPFIX: the library parses, templates are kept for each exporter and domain.

use std::net::IpAddr;

use hashbrown::HashMap;
use netflow_parser::variable_versions::ipfix::lookup::{IANAIPFixField, IPFixField, ReverseInformationElement};
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{FieldValue, NetflowError, NetflowPacket, NetflowParser};

use super::Sink;
use super::field::{Boot, Record, Way};
use crate::Malformed;

/// Fields of a template, and bytes of the records that it describes.
const MOST_FIELDS: usize = 512;
/// Records of one set.
const MOST_RECORDS: usize = 4096;
/// Values, and bytes of values, decoded of one datagram.
const MOST_VALUES: usize = 65_536;
const MOST_VALUE_BYTES: usize = 1 << 20;

/// An exporter and one of its observation domains.
type Domain = (IpAddr, u16, u32);

/// The templates of one domain.
struct Known {
    parser: NetflowParser,
    /// The count of datagrams when it was last heard of.
    heard: u64,
}

/// The exporters that were heard of.
pub(super) struct Exporters {
    known: HashMap<Domain, Known>,
    most: usize,
    most_templates: usize,
    n_datagrams: u64,
}

impl std::fmt::Debug for Exporters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Exporters").field("n_known", &self.known.len()).finish_non_exhaustive()
    }
}

impl Exporters {
    pub(super) fn new(most: usize, most_templates: usize) -> Self {
        Self { known: HashMap::new(), most: most.max(1), most_templates: most_templates.max(1), n_datagrams: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn take(&mut self, datagram: &[u8], sink: &mut Sink<'_>) -> Result<(), Malformed> {
        self.n_datagrams += 1;
        let domain = domain(sink.sender.ip, datagram)?;
        if !self.known.contains_key(&domain) {
            self.make_room(sink);
            let parser = parser(self.most_templates).ok_or(Malformed::new("parser cannot be set up", 0))?;
            self.known.insert(domain, Known { parser, heard: 0 });
        }
        let Some(known) = self.known.get_mut(&domain) else { return Ok(()) };
        known.heard = self.n_datagrams;
        let result = known.parser.parse_bytes(datagram);
        for packet in result.packets {
            match packet {
                NetflowPacket::V5(packet) => version_5(&packet, sink),
                NetflowPacket::V7(packet) => version_7(&packet, sink),
                NetflowPacket::V9(packet) => version_9(packet, sink),
                NetflowPacket::IPFix(packet) => version_10(packet, sink),
                _ => {}
            }
        }
        result.error.map_or(Ok(()), |error| Err(fault(&error, datagram.len())))
    }

    /// Forgets the exporter that was not heard of for longest, if there are too many.
    fn make_room(&mut self, sink: &mut Sink<'_>) {
        while self.known.len() >= self.most {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.heard).map(|(domain, _)| *domain);
            let Some(oldest) = oldest else { return };
            self.known.remove(&oldest);
            sink.counts.evicted += 1;
        }
    }
}

fn parser(most_templates: usize) -> Option<NetflowParser> {
    NetflowParser::builder()
        .with_cache_size(most_templates)
        .with_max_field_count(MOST_FIELDS)
        .with_max_records_per_flowset(MOST_RECORDS)
        .with_max_decoded_field_values_per_message(MOST_VALUES)
        .with_max_decoded_field_payload_bytes_per_message(MOST_VALUE_BYTES)
        .build()
        .ok()
}

/// Version and domain of a datagram.
fn domain(exporter: IpAddr, datagram: &[u8]) -> Result<Domain, Malformed> {
    let version = datagram.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes));
    let number = |at: usize| {
        let bytes = datagram.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(Malformed::new("header is not whole", datagram.len()))
    };
    match version {
        Some(version @ (5 | 7)) => Ok((exporter, version, 0)),
        Some(9) => Ok((exporter, 9, number(16)?)),
        Some(10) => Ok((exporter, 10, number(12)?)),
        Some(_) => Err(Malformed::new("version is none of 5, 7, 9 and 10", 0)),
        None => Err(Malformed::new("header is not whole", datagram.len())),
    }
}

fn fault(error: &NetflowError, length: usize) -> Malformed {
    match error {
        NetflowError::Incomplete { available, .. } => {
            Malformed::new("datagram ends too early", length.saturating_sub(*available))
        }
        NetflowError::UnsupportedVersion { offset, .. } => Malformed::new("version is none of 5, 7, 9 and 10", *offset),
        NetflowError::ParseError { offset, .. } => Malformed::new("set is not what its header says", *offset),
        NetflowError::DecodedOutputLimitExceeded { .. } => Malformed::new("datagram decodes to too much", length),
        _ => Malformed::new("datagram is malformed", length),
    }
}

/// Nanoseconds since 1970, and the instant at which the exporter started.
fn clock(seconds: u32, nanos: u32, uptime_ms: u32) -> (i64, Boot) {
    let now = i64::from(seconds) * 1_000_000_000 + i64::from(nanos);
    (now, Some(now - i64::from(uptime_ms) * 1_000_000))
}

/// The instant of a count of milliseconds since the exporter started.
fn at(boot: Boot, uptime_ms: u32) -> Option<i64> {
    boot.map(|boot| boot + i64::from(uptime_ms) * 1_000_000)
}

fn version_5(packet: &netflow_parser::static_versions::v5::V5, sink: &mut Sink<'_>) {
    let header = &packet.header;
    let (now, boot) = clock(header.unix_secs, header.unix_nsecs, header.sys_up_time);
    for flow in &packet.flowsets {
        let ends = (IpAddr::V4(flow.src_addr), IpAddr::V4(flow.dst_addr));
        let kind = (flow.protocol_number, flow.tcp_flags, flow.input);
        let mut record = Record::of_fixed(ends, (flow.src_port, flow.dst_port), kind);
        record.bytes = Some(u64::from(flow.d_octets));
        record.packets = Some(u64::from(flow.d_pkts));
        record.start = at(boot, flow.first);
        record.end = at(boot, flow.last);
        // The upper two bits are the mode of sampling.
        record.set_sampled(u64::from(header.sampling_interval & 0x3FFF));
        record.write(now, sink);
    }
}

fn version_7(packet: &netflow_parser::static_versions::v7::V7, sink: &mut Sink<'_>) {
    let header = &packet.header;
    let (now, boot) = clock(header.unix_secs, header.unix_nsecs, header.sys_up_time);
    for flow in &packet.flowsets {
        let ends = (IpAddr::V4(flow.src_addr), IpAddr::V4(flow.dst_addr));
        let kind = (flow.protocol_number, flow.tcp_flags, flow.input);
        let mut record = Record::of_fixed(ends, (flow.src_port, flow.dst_port), kind);
        record.bytes = Some(u64::from(flow.d_octets));
        record.packets = Some(u64::from(flow.d_pkts));
        record.start = at(boot, flow.first);
        record.end = at(boot, flow.last);
        record.write(now, sink);
    }
}

fn version_9(packet: v9::V9, sink: &mut Sink<'_>) {
    let (now, boot) = clock(packet.header.unix_secs, 0, packet.header.sys_up_time);
    for set in packet.flowsets {
        match set.body {
            v9::FlowSetBody::Data(data) => {
                for fields in data.fields {
                    let mut record = Record::default();
                    for (field, value) in &fields {
                        record.put(u16::from(*field), Way::Forward, value, boot);
                    }
                    record.write(now, sink);
                }
            }
            v9::FlowSetBody::OptionsData(options) => sink.counts.not_flows += options.fields.len() as u64,
            v9::FlowSetBody::NoTemplate(_) => sink.counts.missing_template += 1,
            _ => {}
        }
    }
}

fn version_10(packet: ipfix::IPFix, sink: &mut Sink<'_>) {
    let now = i64::from(packet.header.export_time) * 1_000_000_000;
    for set in packet.flowsets {
        match set.body {
            ipfix::FlowSetBody::Data(data) => {
                for fields in &data.fields {
                    ipfix_record(fields).write(now, sink);
                }
            }
            ipfix::FlowSetBody::OptionsData(options) => sink.counts.not_flows += options.fields.len() as u64,
            ipfix::FlowSetBody::NoTemplate(_) => sink.counts.missing_template += 1,
            _ => {}
        }
    }
}

fn ipfix_record(fields: &[(IPFixField, FieldValue)]) -> Record {
    let mut record = Record::default();
    // Times since the start of the exporter need its start, which is a field as well.
    let boot = fields.iter().find_map(|(field, value)| match (field, value) {
        (IPFixField::IANA(IANAIPFixField::SystemInitTimeMilliseconds), FieldValue::Duration(since)) => {
            i64::try_from(since.as_duration().as_nanos()).ok()
        }
        _ => None,
    });
    for (field, value) in fields {
        match field {
            IPFixField::IANA(field) => {
                if let Some(number) = number(*field) {
                    record.put(number, Way::Forward, value, boot);
                }
            }
            IPFixField::ReverseInformationElement(ReverseInformationElement::ReverseOctetDeltaCount) => {
                record.put(1, Way::Reverse, value, boot);
            }
            IPFixField::ReverseInformationElement(ReverseInformationElement::ReversePacketDeltaCount) => {
                record.put(2, Way::Reverse, value, boot);
            }
            _ => {}
        }
    }
    record
}

/// The numbers of the elements that make a row; the library does not tell numbers back.
const fn number(field: IANAIPFixField) -> Option<u16> {
    use IANAIPFixField as Field;
    Some(match field {
        Field::OctetDeltaCount => 1,
        Field::PacketDeltaCount => 2,
        Field::ProtocolIdentifier => 4,
        Field::TcpControlBits => 6,
        Field::SourceTransportPort => 7,
        Field::SourceIpv4address => 8,
        Field::IngressInterface => 10,
        Field::DestinationTransportPort => 11,
        Field::DestinationIpv4address => 12,
        Field::FlowEndSysUpTime => 21,
        Field::FlowStartSysUpTime => 22,
        Field::SourceIpv6address => 27,
        Field::DestinationIpv6address => 28,
        Field::IcmpTypeCodeIpv4 => 32,
        Field::SourceMacaddress => 56,
        Field::DestinationMacaddress => 80,
        Field::InterfaceName => 82,
        Field::OctetTotalCount => 85,
        Field::PacketTotalCount => 86,
        Field::ForwardingStatus => 89,
        Field::IcmpTypeCodeIpv6 => 139,
        Field::FlowStartSeconds => 150,
        Field::FlowEndSeconds => 151,
        Field::FlowStartMilliseconds => 152,
        Field::FlowEndMilliseconds => 153,
        Field::FlowStartMicroseconds => 154,
        Field::FlowEndMicroseconds => 155,
        Field::FlowStartNanoseconds => 156,
        Field::FlowEndNanoseconds => 157,
        Field::IcmpTypeIpv4 => 176,
        Field::IcmpCodeIpv4 => 177,
        Field::IcmpTypeIpv6 => 178,
        Field::IcmpCodeIpv6 => 179,
        Field::PostNatsourceIpv4address => 225,
        Field::InitiatorOctets => 231,
        Field::ResponderOctets => 232,
        Field::FirewallEvent => 233,
        Field::InitiatorPackets => 298,
        Field::ResponderPackets => 299,
        Field::SamplingPacketInterval => 305,
        _ => return None,
    })
}
