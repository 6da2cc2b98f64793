//! `flow.Layer7` → columns.

use hindcast_model::column::{Column as _, DictColumn};
use hindcast_model::{list, rest};

use super::fault::{Fault, bytes, number, text};
use super::row::{Row, Seen, put_enum, put_list, put_list_item, put_text};
use crate::flow::L7FlowType;
use crate::schema;
use crate::wire::{self, Field, Reader, low_i32, low32};

impl Row<'_> {
    /// Reads an application layer record. Its presence shows in the type column, which is set even to unknown.
    pub(super) fn layer7(&mut self, message: &[u8]) -> Result<(), Fault> {
        let open = wire::open(&mut self.scratch.rest, 15);
        self.columns.l7_type.set(self.row, L7FlowType::UnknownL7Type.as_str_name());
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            let read = match field.number {
                1 | 2 => seen.first(field.number).and_then(|()| self.layer7_scalar(field)),
                // One bit for all: they exclude one another.
                100..=102 => seen.first(3).and_then(|()| self.layer7_record(field)),
                _ => {
                    self.scratch.rest.extend_from_slice(field.raw);
                    Ok(())
                }
            };
            read.map_err(|fault| fault.in_field("flow.Layer7", field.number))?;
        }
        open.close_or_drop(&mut self.scratch.rest, false);
        self.dns_code(message)
    }

    fn layer7_scalar(&mut self, field: Field<'_>) -> Result<(), Fault> {
        let value = number(field.value)?;
        if field.number == 1 {
            let name = L7FlowType::try_from(low_i32(value)).ok().map(|kind| kind.as_str_name());
            put_enum(&mut self.columns.l7_type, self.row, low_i32(value), name);
        } else if value != 0 {
            self.columns.latency_ns.set(self.row, value);
        }
        Ok(())
    }

    fn layer7_record(&mut self, field: Field<'_>) -> Result<(), Fault> {
        let message = bytes(field.value)?;
        match field.number {
            100 => self.dns(message),
            101 => self.http(message),
            _ => self.kafka(message, field.raw),
        }
    }

    fn dns(&mut self, message: &[u8]) -> Result<(), Fault> {
        self.columns.l7_protocol.set(self.row, "DNS");
        let open = wire::open(&mut self.scratch.rest, 100);
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            let read = match field.number {
                2 | 4 | 7 | 8 => text(field.value).map(|_text| ()),
                1 | 3 | 5 | 6 => seen.first(field.number).and_then(|()| self.dns_field(field)),
                _ => {
                    self.scratch.rest.extend_from_slice(field.raw);
                    Ok(())
                }
            };
            read.map_err(|fault| fault.in_field("flow.DNS", field.number))?;
        }
        open.close_or_drop(&mut self.scratch.rest, false);
        let items = &mut self.scratch.list;
        list_of(message, 2, items, &mut self.columns.dns_ips, self.row)?;
        list_of(message, 4, items, &mut self.columns.dns_cnames, self.row)?;
        list_of(message, 7, items, &mut self.columns.dns_qtypes, self.row)?;
        list_of(message, 8, items, &mut self.columns.dns_rrtypes, self.row)
    }

    fn dns_field(&mut self, field: Field<'_>) -> Result<(), Fault> {
        match field.number {
            1 => put_text(&mut self.columns.dns_query, self.row, field.value),
            5 => put_text(&mut self.columns.dns_observation_source, self.row, field.value),
            3 => {
                let seconds = low32(number(field.value)?);
                if seconds != 0 {
                    self.columns.dns_ttl_s.set(self.row, seconds);
                }
                Ok(())
            }
            _ => {
                let code = low32(number(field.value)?);
                match u16::try_from(code) {
                    Ok(0) => {}
                    Ok(code) => self.columns.dns_rcode.set(self.row, code),
                    Err(_too_large) => self.scratch.rest.extend_from_slice(field.raw),
                }
                Ok(())
            }
        }
    }

    /// A DNS response without a code is one with code 0; a request has none.
    fn dns_code(&mut self, message: &[u8]) -> Result<(), Fault> {
        let (columns, row) = (&mut *self.columns, self.row);
        let is_answer = columns.l7_protocol.get(row) == Some("DNS") && columns.l7_type.get(row) == Some("RESPONSE");
        if !is_answer || columns.dns_rcode.get(row).is_some() {
            return Ok(());
        }
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            if field.number == 100 {
                let mut inner = Reader::new(bytes(field.value)?);
                while let Some(field) = inner.next()? {
                    if field.number == 6 && low32(number(field.value)?) != 0 {
                        return Ok(());
                    }
                }
            }
        }
        columns.dns_rcode.set(row, 0);
        Ok(())
    }

    fn http(&mut self, message: &[u8]) -> Result<(), Fault> {
        self.columns.l7_protocol.set(self.row, "HTTP");
        self.columns.http_status.set(self.row, 0);
        let open = wire::open(&mut self.scratch.rest, 101);
        self.scratch.list.clear();
        let mut has_whole_headers = true;
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            let read = match field.number {
                5 => http_header(bytes(field.value)?, &mut self.scratch.list).map(|whole| has_whole_headers &= whole),
                1..=4 => seen.first(field.number).and_then(|()| self.http_field(field)),
                _ => {
                    self.scratch.rest.extend_from_slice(field.raw);
                    Ok(())
                }
            };
            read.map_err(|fault| fault.in_field("flow.HTTP", field.number))?;
        }
        put_list(&mut self.columns.http_headers, self.row, &self.scratch.list);
        if !has_whole_headers {
            copy_headers(message, &mut self.scratch.rest)?;
        }
        open.close_or_drop(&mut self.scratch.rest, false);
        Ok(())
    }

    fn http_field(&mut self, field: Field<'_>) -> Result<(), Fault> {
        match field.number {
            1 => {
                match u16::try_from(low32(number(field.value)?)) {
                    Ok(status) => self.columns.http_status.set(self.row, status),
                    Err(_too_large) => {
                        // Null rather than a wrong number; the true one stands in `rest`.
                        self.columns.http_status.truncate(self.row);
                        self.scratch.rest.extend_from_slice(field.raw);
                    }
                }
                Ok(())
            }
            2 => put_text(&mut self.columns.http_method, self.row, field.value),
            3 => put_text(&mut self.columns.http_url, self.row, field.value),
            _ => put_text(&mut self.columns.http_protocol, self.row, field.value),
        }
    }

    /// Kafka has no columns of its own in the flow's inverse: the two are copies.
    fn kafka(&mut self, message: &[u8], raw: &[u8]) -> Result<(), Fault> {
        self.columns.l7_protocol.set(self.row, "KAFKA");
        let known = schema::message("flow.Kafka").ok_or(crate::json::WireError::malformed())?;
        wire::merge::check(known, message)?;
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                3 => put_text(&mut self.columns.kafka_api_key, self.row, field.value)?,
                5 => put_text(&mut self.columns.kafka_topic, self.row, field.value)?,
                _ => {}
            }
        }
        self.scratch.rest.extend_from_slice(raw);
        Ok(())
    }
}

/// Sets a column to all texts that field `number` holds.
fn list_of(message: &[u8], number: u32, items: &mut String, column: &mut DictColumn, row: usize) -> Result<(), Fault> {
    items.clear();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        if field.number == number {
            put_list_item(items, field.value)?;
        }
    }
    put_list(column, row, items);
    Ok(())
}

/// Adds a header to a list; `false` if the list does not hold all of it.
fn http_header(message: &[u8], headers: &mut String) -> Result<bool, Fault> {
    let mut is_whole = true;
    let (mut key, mut value) = ("", "");
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = text(field.value)?,
            2 => value = text(field.value)?,
            _ => is_whole = false,
        }
    }
    list::push(headers, key);
    list::push(headers, value);
    Ok(is_whole)
}

fn copy_headers(message: &[u8], rest: &mut Vec<u8>) -> Result<(), Fault> {
    wire::put_number(rest, rest::COPIED, 5);
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        if field.number == 5 {
            rest.extend_from_slice(field.raw);
        }
    }
    Ok(())
}
