//! Fields of NetFlow 9 and IPFIX by their number in the registry of information elements, and the row they make.

use std::net::IpAddr;

use netflow_parser::FieldValue;

use super::Sink;

/// What a record tells, field by field.
#[derive(Debug, Default)]
pub(super) struct Record {
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    src_port: Option<u16>,
    dst_port: Option<u16>,
    protocol: Option<u8>,
    tcp_flags: Option<u16>,
    icmp: (Option<u8>, Option<u8>),
    pub(super) bytes: Option<u64>,
    pub(super) packets: Option<u64>,
    bytes_back: Option<u64>,
    packets_back: Option<u64>,
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    macs: (Option<[u8; 6]>, Option<[u8; 6]>),
    interface: Option<u32>,
    interface_name: Option<String>,
    xlated: Option<IpAddr>,
    verdict: Option<&'static str>,
    flows: Option<u64>,
    sampled: Option<u64>,
}

/// When the exporter started, nanoseconds since 1970, for times that count from there.
pub(super) type Boot = Option<i64>;

/// Which way a field counts: most are of the flow, some of the flow in reverse (RFC 5103).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Forward,
    Reverse,
}

impl Record {
    /// A field whose value says nothing is left out: an address of zeros stands for a field that does not apply.
    pub(super) fn put(&mut self, number: u16, way: Way, value: &FieldValue, boot: Boot) {
        if way == Way::Reverse {
            match number {
                1 | 85 => self.bytes_back = value.as_u64(),
                2 | 86 => self.packets_back = value.as_u64(),
                _ => {}
            }
            return;
        }
        match number {
            1 | 85 | 231 => self.bytes = value.as_u64().or(self.bytes),
            2 | 86 | 298 => self.packets = value.as_u64().or(self.packets),
            3 => self.flows = value.as_u64().filter(|count| *count > 0),
            232 => self.bytes_back = value.as_u64(),
            299 => self.packets_back = value.as_u64(),
            4 => {
                self.protocol = match value {
                    FieldValue::ProtocolType(protocol) => Some(u8::from(*protocol)),
                    other => narrow(other),
                }
            }
            6 => {
                self.tcp_flags = match value {
                    FieldValue::TcpControlBits(bits, _width) => Some(u16::from(*bits)),
                    other => narrow(other),
                }
            }
            7 => self.src_port = narrow(value),
            11 => self.dst_port = narrow(value),
            8 | 27 => self.src = address(value).or(self.src),
            12 | 28 => self.dst = address(value).or(self.dst),
            225 | 281 => self.xlated = address(value).or(self.xlated),
            10 => self.interface = narrow(value),
            34 | 50 | 305 => self.sampled = value.as_u64().filter(|rate| *rate > 1),
            32 | 139 => self.icmp = type_and_code(value),
            176 | 178 => self.icmp.0 = narrow(value),
            177 | 179 => self.icmp.1 = narrow(value),
            _ => self.put_rarer(number, value, boot),
        }
    }

    fn put_rarer(&mut self, number: u16, value: &FieldValue, boot: Boot) {
        match number {
            22 => self.start = since_boot(value, boot),
            21 => self.end = since_boot(value, boot),
            150 | 152 | 154 | 156 => self.start = instant(value).or(self.start),
            151 | 153 | 155 | 157 => self.end = instant(value).or(self.end),
            56 => self.macs.0 = mac(value),
            80 => self.macs.1 = mac(value),
            82 => self.interface_name = text(value),
            89 => {
                if let FieldValue::ForwardingStatus(status) = value {
                    self.verdict = match u8::from(*status) >> 6 {
                        1 => Some("FORWARDED"),
                        2 => Some("DROPPED"),
                        _ => self.verdict,
                    };
                }
            }
            // firewallEvent: 3 is "flow denied".
            233 => {
                if let FieldValue::FirewallEvent(event) = value
                    && u8::from(*event) == 3
                {
                    self.verdict = Some("DROPPED");
                }
            }
            _ => {}
        }
    }

    /// From the numbers of the versions without templates.
    pub(super) fn of_fixed(
        (src, dst): (IpAddr, IpAddr),
        (src_port, dst_port): (u16, u16),
        (protocol, tcp_flags, input): (u8, u8, u16),
    ) -> Self {
        let is_icmp = protocol == 1;
        let [icmp_type, icmp_code] = dst_port.to_be_bytes();
        Self {
            src: Some(src),
            dst: Some(dst),
            src_port: Some(src_port).filter(|_| !is_icmp),
            dst_port: Some(dst_port).filter(|_| !is_icmp),
            protocol: Some(protocol),
            tcp_flags: Some(u16::from(tcp_flags)),
            icmp: if is_icmp { (Some(icmp_type), Some(icmp_code)) } else { (None, None) },
            interface: Some(u32::from(input)),
            ..Self::default()
        }
    }

    pub(super) fn set_sampled(&mut self, one_in: u64) {
        self.sampled = Some(one_in).filter(|rate| *rate > 1);
    }

    /// Writes the row, or counts the record as rejected. `exported_at` is the time of a record that tells none.
    pub(super) fn write(self, exported_at: i64, sink: &mut Sink<'_>) {
        sink.counts.records += 1;
        let (Some(src), Some(dst)) = (self.src, self.dst) else {
            sink.counts.rejected += 1;
            return;
        };
        let time = self.start.or(self.end).unwrap_or(exported_at);
        let row = sink.begin(time);
        let rows = &mut *sink.rows;
        rows.ips(row, src, dst);
        if let Some(protocol) = self.protocol {
            rows.protocol(row, protocol);
        }
        // Only these have ports; exporters fill the fields with zeros for others.
        let has_ports = self.protocol.is_none_or(|protocol| matches!(protocol, 6 | 17 | 132));
        let columns = &mut rows.columns;
        for (column, port) in [(&mut columns.src_port, self.src_port), (&mut columns.dst_port, self.dst_port)] {
            if let Some(port) = port.filter(|_| has_ports) {
                column.set(row, port);
            }
        }
        if let Some(flags) = self.tcp_flags.filter(|_| self.protocol == Some(6)) {
            columns.tcp_flags.set(row, flags);
        }
        if matches!(self.protocol, Some(1 | 58)) {
            for (column, value) in [(&mut columns.icmp_type, self.icmp.0), (&mut columns.icmp_code, self.icmp.1)] {
                if let Some(value) = value {
                    column.set(row, value);
                }
            }
        }
        self.write_rest(row, time, sink);
        sink.end();
    }

    fn write_rest(self, row: usize, time: i64, sink: &mut Sink<'_>) {
        let columns = &mut sink.rows.columns;
        for (column, count) in [
            (&mut columns.bytes_sent, self.bytes),
            (&mut columns.bytes_received, self.bytes_back),
            (&mut columns.packets_sent, self.packets),
            (&mut columns.packets_received, self.packets_back),
        ] {
            if let Some(count) = count {
                column.set(row, count);
            }
        }
        if let Some(flows) = self.flows {
            columns.flow_count.set(row, flows);
        }
        if let Some(interface) = self.interface {
            columns.interface_index.set(row, interface);
        }
        if let Some(name) = &self.interface_name {
            columns.interface_name.set(row, name);
        }
        if let Some(ip) = self.xlated {
            columns.src_ip_xlated.set(row, &ip.to_string());
        }
        if let Some(verdict) = self.verdict {
            columns.verdict.set(row, verdict);
        }
        if let Some(one_in) = self.sampled {
            columns.summary.set(row, &format!("sampled 1 in {one_in}"));
        }
        if let (Some(src), Some(dst)) = self.macs {
            sink.rows.macs(row, (src, dst));
        }
        if let Some(end) = self.end {
            sink.rows.last_seen(row, time, end);
        }
    }
}

fn narrow<T: TryFrom<u64>>(value: &FieldValue) -> Option<T> {
    value.as_u64().and_then(|value| T::try_from(value).ok())
}

fn address(value: &FieldValue) -> Option<IpAddr> {
    IpAddr::try_from(value).ok().filter(|ip| !ip.is_unspecified())
}

const fn mac(value: &FieldValue) -> Option<[u8; 6]> {
    if let FieldValue::MacAddr(mac) = value { Some(*mac) } else { None }
}

fn text(value: &FieldValue) -> Option<String> {
    let text = String::try_from(value).ok()?;
    let text = text.trim_end_matches('\0').trim();
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

fn type_and_code(value: &FieldValue) -> (Option<u8>, Option<u8>) {
    let both: Option<u16> = narrow(value);
    let [kind, code] = both.unwrap_or_default().to_be_bytes();
    if both.is_some() { (Some(kind), Some(code)) } else { (None, None) }
}

/// An instant; the library's durations are since 1970, but NTP's count from 1900.
fn instant(value: &FieldValue) -> Option<i64> {
    use netflow_parser::variable_versions::field_value::DurationValue;
    const NTP_SECONDS: u64 = 2_208_988_800;
    let FieldValue::Duration(duration) = value else { return None };
    let since = duration.as_duration();
    let since = match duration {
        DurationValue::MicrosNtp { .. } | DurationValue::NanosNtp { .. } => {
            since.checked_sub(std::time::Duration::from_secs(NTP_SECONDS))?
        }
        DurationValue::Seconds { .. } | DurationValue::Millis { .. } => since,
    };
    i64::try_from(since.as_nanos()).ok().filter(|nanos| *nanos > 0)
}

/// An instant that is told in milliseconds since the exporter started.
fn since_boot(value: &FieldValue, boot: Boot) -> Option<i64> {
    let millis = i64::try_from(value.as_u64()?).ok()?;
    boot?.checked_add(millis.checked_mul(1_000_000)?)
}
