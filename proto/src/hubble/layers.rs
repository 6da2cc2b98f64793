//! The small messages of a flow — addresses, ports, flags, device, trace — → columns.

use super::fault::{Fault, bytes, number, text};
use super::row::{Row, Seen, put_enum, put_text};
use crate::flow::IpVersion;
use crate::json::WireError;
use crate::schema;
use crate::wire::{self, Field, Reader, low_i32, low32};

/// Sets a small number column, even to 0; a number too large for it goes to `rest`.
macro_rules! small_column {
    ($row:ident, $column:ident, $field:expr) => {{
        match low32(number($field.value)?).try_into() {
            Ok(value) => $row.columns.$column.set($row.row, value),
            Err(_too_large) => {
                use hindcast_model::column::Column as _;
                $row.columns.$column.truncate($row.row);
                $row.scratch.rest.extend_from_slice($field.raw);
            }
        }
    }};
}

impl Row<'_> {
    pub(super) fn ethernet(&mut self, message: &[u8]) -> Result<(), Fault> {
        let open = wire::open(&mut self.scratch.rest, 4);
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            let column = match field.number {
                1 => &mut self.columns.src_mac,
                2 => &mut self.columns.dst_mac,
                _ => {
                    self.scratch.rest.extend_from_slice(field.raw);
                    continue;
                }
            };
            seen.first(field.number)?;
            put_text(column, self.row, field.value).map_err(|fault| fault.in_field("flow.Ethernet", field.number))?;
        }
        let is_visible = self.columns.src_mac.get(self.row).is_some() || self.columns.dst_mac.get(self.row).is_some();
        open.close_or_drop(&mut self.scratch.rest, !is_visible);
        Ok(())
    }

    /// Reads addresses. Their presence shows in the version column, which is set even to `IP_NOT_USED`.
    pub(super) fn ip(&mut self, message: &[u8]) -> Result<(), Fault> {
        let open = wire::open(&mut self.scratch.rest, 5);
        self.columns.ip_version.set(self.row, IpVersion::IpNotUsed.as_str_name());
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            let read = match field.number {
                1..=5 => seen.first(field.number).and_then(|()| self.ip_field(field)),
                _ => {
                    self.scratch.rest.extend_from_slice(field.raw);
                    Ok(())
                }
            };
            read.map_err(|fault| fault.in_field("flow.IP", field.number))?;
        }
        open.close_or_drop(&mut self.scratch.rest, false);
        Ok(())
    }

    fn ip_field(&mut self, field: Field<'_>) -> Result<(), Fault> {
        match field.number {
            1 => put_text(&mut self.columns.src_ip, self.row, field.value),
            2 => put_text(&mut self.columns.dst_ip, self.row, field.value),
            5 => put_text(&mut self.columns.src_ip_xlated, self.row, field.value),
            3 => {
                let version = low_i32(number(field.value)?);
                let name = IpVersion::try_from(version).ok().map(|version| version.as_str_name());
                put_enum(&mut self.columns.ip_version, self.row, version, name);
                Ok(())
            }
            _ => {
                if number(field.value)? != 0 {
                    self.columns.encrypted.set(self.row, true);
                }
                Ok(())
            }
        }
    }

    /// Reads the transport layer. Which one it was shows in the protocol column.
    pub(super) fn layer4(&mut self, message: &[u8]) -> Result<(), Fault> {
        let open = wire::open(&mut self.scratch.rest, 6);
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            if !(1..=7).contains(&field.number) {
                self.scratch.rest.extend_from_slice(field.raw);
                continue;
            }
            // One bit for all: they exclude one another.
            seen.first(1)?;
            self.transport(field).map_err(|fault| fault.in_field("flow.Layer4", field.number))?;
        }
        let is_visible = self.columns.protocol.get(self.row).is_some();
        open.close_or_drop(&mut self.scratch.rest, !is_visible);
        Ok(())
    }

    fn transport(&mut self, field: Field<'_>) -> Result<(), Fault> {
        let message = bytes(field.value)?;
        let name = match field.number {
            1 => "TCP",
            2 => "UDP",
            3 => "ICMPv4",
            4 => "ICMPv6",
            5 => "SCTP",
            6 => "VRRP",
            _ => "IGMP",
        };
        self.columns.protocol.set(self.row, name);
        let open = wire::open(&mut self.scratch.rest, field.number);
        match field.number {
            1 | 2 | 5 => self.ports(field.number, message)?,
            3 | 4 => self.icmp(message)?,
            number => {
                let name = if number == 6 { "flow.VRRP" } else { "flow.IGMP" };
                let known = schema::message(name).ok_or(WireError::malformed())?;
                wire::merge::check(known, message)?;
                self.scratch.rest.extend_from_slice(message);
            }
        }
        open.close_or_drop(&mut self.scratch.rest, false);
        Ok(())
    }

    fn ports(&mut self, transport: u32, message: &[u8]) -> Result<(), Fault> {
        self.columns.src_port.set(self.row, 0);
        self.columns.dst_port.set(self.row, 0);
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => {
                    seen.first(1)?;
                    small_column!(self, src_port, field);
                }
                2 => {
                    seen.first(2)?;
                    small_column!(self, dst_port, field);
                }
                3 if transport == 1 => {
                    seen.first(3)?;
                    self.tcp_flags(bytes(field.value)?).map_err(|fault| fault.in_field("flow.TCP", 3))?;
                }
                _ => self.scratch.rest.extend_from_slice(field.raw),
            }
        }
        Ok(())
    }

    /// Reads flags. Their presence shows in the column, which is set even to 0.
    fn tcp_flags(&mut self, message: &[u8]) -> Result<(), Fault> {
        let open = wire::open(&mut self.scratch.rest, 3);
        let mut flags = 0_u16;
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                bit @ 1..=9 => {
                    let mask = 1 << (bit - 1);
                    if number(field.value)? == 0 {
                        flags &= !mask;
                    } else {
                        flags |= mask;
                    }
                }
                _ => self.scratch.rest.extend_from_slice(field.raw),
            }
        }
        open.close_or_drop(&mut self.scratch.rest, false);
        self.columns.tcp_flags.set(self.row, flags);
        Ok(())
    }

    fn icmp(&mut self, message: &[u8]) -> Result<(), Fault> {
        self.columns.icmp_type.set(self.row, 0);
        self.columns.icmp_code.set(self.row, 0);
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => {
                    seen.first(1)?;
                    small_column!(self, icmp_type, field);
                }
                2 => {
                    seen.first(2)?;
                    small_column!(self, icmp_code, field);
                }
                _ => self.scratch.rest.extend_from_slice(field.raw),
            }
        }
        Ok(())
    }

    /// Reads the kind of datapath message. Its presence shows in both columns, which are set even to 0.
    pub(super) fn event_type(&mut self, message: &[u8]) -> Result<(), Fault> {
        let open = wire::open(&mut self.scratch.rest, 19);
        let (mut kind, mut sub_kind) = (0, 0);
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => kind = low_i32(number(field.value)?),
                2 => sub_kind = low_i32(number(field.value)?),
                _ => self.scratch.rest.extend_from_slice(field.raw),
            }
        }
        self.columns.event_type.set(self.row, kind);
        self.columns.event_sub_type.set(self.row, sub_kind);
        open.close_or_drop(&mut self.scratch.rest, false);
        Ok(())
    }

    /// Reads the direction of a reply. Its presence shows in the column, which is set even to false.
    pub(super) fn is_reply(&mut self, message: &[u8]) -> Result<(), Fault> {
        let open = wire::open(&mut self.scratch.rest, 26);
        let mut is_reply = false;
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => is_reply = number(field.value)? != 0,
                _ => self.scratch.rest.extend_from_slice(field.raw),
            }
        }
        self.columns.is_reply.set(self.row, is_reply);
        open.close_or_drop(&mut self.scratch.rest, false);
        Ok(())
    }

    /// Reads a device. Its presence shows in the index column, which is set even to 0.
    pub(super) fn interface(&mut self, message: &[u8]) -> Result<(), Fault> {
        let open = wire::open(&mut self.scratch.rest, 28);
        let mut index = 0;
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => index = low32(number(field.value)?),
                2 => {
                    seen.first(2)?;
                    put_text(&mut self.columns.interface_name, self.row, field.value)
                        .map_err(|fault| fault.in_field("flow.NetworkInterface", 2))?;
                }
                _ => self.scratch.rest.extend_from_slice(field.raw),
            }
        }
        self.columns.interface_index.set(self.row, index);
        open.close_or_drop(&mut self.scratch.rest, false);
        Ok(())
    }

    /// Reads a trace number. Its presence shows in the column, which is set even to 0.
    pub(super) fn ip_trace_id(&mut self, message: &[u8]) -> Result<(), Fault> {
        let open = wire::open(&mut self.scratch.rest, 40);
        let mut trace_id = 0;
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => trace_id = number(field.value)?,
                2 => {
                    seen.first(2)?;
                    if number(field.value)? != 0 {
                        self.scratch.rest.extend_from_slice(field.raw);
                    }
                }
                _ => self.scratch.rest.extend_from_slice(field.raw),
            }
        }
        self.columns.ip_trace_id.set(self.row, trace_id);
        open.close_or_drop(&mut self.scratch.rest, false);
        Ok(())
    }

    /// Reads a trace context: the trace id two messages down, and what stands around it.
    pub(super) fn trace_context(&mut self, message: &[u8]) -> Result<(), Fault> {
        let outer = wire::open(&mut self.scratch.rest, 30);
        let mut is_visible = false;
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            if field.number != 1 {
                self.scratch.rest.extend_from_slice(field.raw);
                continue;
            }
            seen.first(1)?;
            let inner = wire::open(&mut self.scratch.rest, 1);
            let mut parents = Reader::new(bytes(field.value)?);
            while let Some(field) = parents.next()? {
                if field.number != 1 {
                    self.scratch.rest.extend_from_slice(field.raw);
                    continue;
                }
                seen.first(2)?;
                let trace_id = text(field.value).map_err(|fault| fault.in_field("flow.TraceParent", 1))?;
                if !trace_id.is_empty() {
                    self.columns.trace_id.set(self.row, trace_id);
                    is_visible = true;
                }
            }
            inner.close_or_drop(&mut self.scratch.rest, !is_visible);
        }
        outer.close_or_drop(&mut self.scratch.rest, !is_visible);
        Ok(())
    }
}
