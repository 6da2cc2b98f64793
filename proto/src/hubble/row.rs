//! The row being filled, and what filling it shares.

use hindcast_model::column::DictColumn;
use hindcast_model::tables::flows;
use hindcast_model::{Timestamp, list};

use super::fault::{Fault, number};
use crate::wire::{Reader, Value, low_i32};

/// Buffers kept from row to row.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// What no column holds.
    pub(crate) rest: Vec<u8>,
    /// A message that was JSON.
    pub(crate) wire: Vec<u8>,
    /// A message rewritten.
    pub(crate) rewritten: Vec<u8>,
    /// A list under construction.
    pub(crate) list: String,
    /// Names of both endpoints.
    pub(crate) names: [String; 2],
    /// Policies: allowed at egress, at ingress, denied at egress, at ingress.
    pub(crate) policies: [String; 4],
}

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.rest.clear();
        self.list.clear();
        self.names.iter_mut().chain(&mut self.policies).for_each(String::clear);
    }
}

/// A row of `flows` being filled.
#[derive(Debug)]
pub(super) struct Row<'b> {
    pub(super) columns: &'b mut flows::Builder,
    pub(super) row: usize,
    pub(super) scratch: &'b mut Scratch,
}

/// Which fields of a message were seen.
#[derive(Debug, Default)]
pub(super) struct Seen(u64);

impl Seen {
    /// Notes a field that should occur once. Requires: `bit` < 64.
    #[inline]
    pub(super) const fn first(&mut self, bit: u32) -> Result<(), Fault> {
        let mask = 1 << (bit & 63);
        if self.0 & mask != 0 {
            return Err(Fault::Repeated);
        }
        self.0 |= mask;
        Ok(())
    }
}

/// An instant as the wire held it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    pub(crate) seconds: i64,
    pub(crate) nanos: i32,
    /// Whether it held nothing else.
    pub(crate) is_plain: bool,
}

impl Instant {
    pub(crate) fn timestamp(self) -> Result<Timestamp, hindcast_model::TimestampError> {
        Timestamp::from_parts(self.seconds, self.nanos)
    }
}

/// Reads a `google.protobuf.Timestamp`. Of parts that occur twice the last counts.
pub(crate) fn instant(bytes: &[u8]) -> Result<Instant, Fault> {
    let mut instant = Instant { seconds: 0, nanos: 0, is_plain: true };
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => instant.seconds = number(field.value)?.cast_signed(),
            2 => instant.nanos = low_i32(number(field.value)?),
            _ => instant.is_plain = false,
        }
    }
    Ok(instant)
}

/// Sets an enum column to the value's name, or to its number where it has none; zero says nothing.
#[inline]
pub(crate) fn put_enum(column: &mut DictColumn, row: usize, number: i32, name: Option<&'static str>) {
    match name {
        _ if number == 0 => {}
        Some(name) => column.set(row, name),
        None => column.set(row, &number.to_string()),
    }
}

/// Adds a text to a list.
#[inline]
pub(crate) fn put_list_item(items: &mut String, value: Value<'_>) -> Result<(), Fault> {
    list::push(items, super::text(value)?);
    Ok(())
}

/// Sets a text column; an empty text says nothing.
#[inline]
pub(super) fn put_text(column: &mut DictColumn, row: usize, value: Value<'_>) -> Result<(), Fault> {
    let text = super::text(value)?;
    if !text.is_empty() {
        column.set(row, text);
    }
    Ok(())
}

/// Sets a list column; an empty list says nothing.
#[inline]
pub(super) fn put_list(column: &mut DictColumn, row: usize, items: &str) {
    if !items.is_empty() {
        column.set(row, items);
    }
}
