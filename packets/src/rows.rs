//! Rows of `flows` under construction: what is set here is known, what is not stays null.

use std::fmt::Write as _;
use std::net::IpAddr;

use hindcast_model::column::Column as _;
use hindcast_model::tables::flows::Builder;
use hindcast_model::{Batch, SchemaError, SourceKind, TableId, list, rest};

use crate::layers::Endpoint;

/// Where rows come from, as far as whoever reads an input knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The input: a path or an address.
    pub source: Option<String>,
    /// Node that observed it.
    pub node: Option<String>,
    /// Cluster of that node.
    pub cluster: Option<String>,
}

/// Rows of `flows` under construction.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) columns: Builder,
    kind: SourceKind,
    origin: Origin,
    scratch: String,
}

/// A name of a protocol number, as the column has it; `None` for those that have none there.
pub(crate) const fn protocol_name(number: u8) -> Option<&'static str> {
    match number {
        1 => Some("ICMPv4"),
        2 => Some("IGMP"),
        6 => Some("TCP"),
        17 => Some("UDP"),
        58 => Some("ICMPv6"),
        112 => Some("VRRP"),
        132 => Some("SCTP"),
        _ => None,
    }
}

impl Rows {
    pub(crate) fn new(kind: SourceKind, origin: Origin) -> Self {
        Self { columns: Builder::default(), kind, origin, scratch: String::new() }
    }

    pub(crate) const fn len(&self) -> usize {
        self.columns.row()
    }

    /// Begins a row; [`Rows::end`] keeps it.
    pub(crate) fn begin(&mut self, time: i64) -> usize {
        let row = self.columns.row();
        let columns = &mut self.columns;
        columns.time.set(row, time);
        // The log sets its own when it accepts the row.
        columns.recorded_at.set(row, time);
        columns.source_kind.set(row, self.kind.as_str());
        for (column, text) in [
            (&mut columns.source, &self.origin.source),
            (&mut columns.node, &self.origin.node),
            (&mut columns.cluster, &self.origin.cluster),
        ] {
            if let Some(text) = text {
                column.set(row, text);
            }
        }
        columns.flow_count.set(row, 1);
        row
    }

    /// Who observed a row, unless whoever reads the input knows better.
    pub(crate) fn observer(&mut self, row: usize, name: &str) {
        if self.origin.node.is_none() {
            self.columns.node.set(row, name);
        }
    }

    pub(crate) const fn end(&mut self) {
        self.columns.commit();
    }

    pub(crate) fn ips(&mut self, row: usize, src: IpAddr, dst: IpAddr) {
        let version = if src.is_ipv4() { "IPv4" } else { "IPv6" };
        self.columns.ip_version.set(row, version);
        for (column, ip) in [(&mut self.columns.src_ip, src), (&mut self.columns.dst_ip, dst)] {
            self.scratch.clear();
            let _infallible = write!(self.scratch, "{ip}");
            column.set(row, &self.scratch);
        }
    }

    pub(crate) fn ends(&mut self, row: usize, src: Endpoint, dst: Endpoint) {
        self.ips(row, src.ip, dst.ip);
        self.columns.src_port.set(row, src.port);
        self.columns.dst_port.set(row, dst.port);
    }

    /// A protocol by its number; one without a name is the number as text.
    pub(crate) fn protocol(&mut self, row: usize, number: u8) {
        match protocol_name(number) {
            Some(name) => self.columns.protocol.set(row, name),
            None => self.columns.protocol.set(row, &number.to_string()),
        }
    }

    pub(crate) fn macs(&mut self, row: usize, (src, dst): ([u8; 6], [u8; 6])) {
        for (column, mac) in [(&mut self.columns.src_mac, src), (&mut self.columns.dst_mac, dst)] {
            self.scratch.clear();
            for (position, byte) in mac.iter().enumerate() {
                let colon = if position == 0 { "" } else { ":" };
                let _infallible = write!(self.scratch, "{colon}{byte:02x}");
            }
            column.set(row, &self.scratch);
        }
    }

    /// Ports, where the protocol has them: logs write zeros for the others.
    pub(crate) fn ports(&mut self, row: usize, protocol: Option<u8>, [src, dst]: [Option<u16>; 2]) {
        if !protocol.is_none_or(|protocol| matches!(protocol, 6 | 17 | 132)) {
            return;
        }
        for (column, port) in [(&mut self.columns.src_port, src), (&mut self.columns.dst_port, dst)] {
            if let Some(port) = port {
                column.set(row, port);
            }
        }
    }

    /// When what the row sums up was last seen, where that differs from the row's time.
    pub(crate) fn last_seen(&mut self, row: usize, first: i64, last: i64) {
        if last == first {
            return;
        }
        let mut bytes = Vec::with_capacity(16);
        varint(&mut bytes, u64::from(rest::LAST_SEEN) << 3);
        varint(&mut bytes, last.cast_unsigned());
        self.columns.rest.set(row, &bytes);
    }

    /// Adds a field of bytes to what else the wire held.
    pub(crate) fn add_rest(&mut self, row: usize, number: u32, content: &[u8]) {
        let mut bytes = self.columns.rest.get(row).map(<[u8]>::to_vec).unwrap_or_default();
        varint(&mut bytes, (u64::from(number) << 3) | 2);
        varint(&mut bytes, content.len() as u64);
        bytes.extend_from_slice(content);
        self.columns.rest.truncate(row);
        self.columns.rest.set(row, &bytes);
    }

    /// The rows so far, as a batch; `None` where there are none.
    pub(crate) fn finish(&mut self) -> Result<Option<Batch>, SchemaError> {
        if self.columns.row() == 0 {
            return Ok(None);
        }
        Ok(Some(Batch { table: TableId::Flows, records: self.columns.finish()? }))
    }
}

/// Sets a list column, unless there is nothing in the list.
pub(crate) fn put_list<'a>(
    column: &mut hindcast_model::column::DictColumn,
    row: usize,
    items: impl IntoIterator<Item = &'a str>,
) {
    if let Some(joined) = list::join(items) {
        column.set(row, &joined);
    }
}

/// A number in the form of protobuf.
fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}
