//! Protobuf's wire format: reading fields as borrowed slices, writing them behind one another.
//!
//! The writer opens a length-delimited field with room for a one-byte length and moves the body where that was too
//! little; nothing is encoded twice and nothing is measured beforehand.

pub(crate) mod merge;

/// What is wrong with a stretch of wire bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireFault {
    /// It ends inside of a field.
    Truncated,
    /// A varint has more than ten bytes, a tag has number 0 or an unknown wire type, or a group does not end.
    Malformed,
}

/// One field's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// A group, which none of our messages has: skipped whole.
    Group,
    Fixed32(u32),
}

/// One field as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
    /// Tag and value.
    pub(crate) raw: &'a [u8],
}

/// The fields of a message, in wire order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

/// Groups nested deeper than this are refused.
const MAX_GROUP_DEPTH: u32 = 32;

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next field; `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, WireFault> {
        let start = self.bytes;
        if start.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_too_large| WireFault::Malformed)?;
        if number == 0 || number > 0x1FFF_FFFF {
            return Err(WireFault::Malformed);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed64()?),
            2 => Value::Bytes(self.bytes()?),
            3 => {
                self.skip_group(number, MAX_GROUP_DEPTH)?;
                Value::Group
            }
            5 => Value::Fixed32(self.fixed32()?),
            _ => return Err(WireFault::Malformed),
        };
        let raw = start.get(..start.len() - self.bytes.len()).unwrap_or(start);
        Ok(Some(Field { number, value, raw }))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireFault> {
        match self.bytes {
            [first, rest @ ..] if *first < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(*first))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireFault> {
        let mut value = 0_u64;
        for (position, byte) in self.bytes.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7F);
            // The tenth byte holds one bit of the value; more of it would not fit.
            if position == 9 && bits > 1 {
                return Err(WireFault::Malformed);
            }
            value |= bits << (7 * position);
            if byte & 0x80 == 0 {
                self.bytes = self.bytes.get(position + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(if self.bytes.len() < 10 { WireFault::Truncated } else { WireFault::Malformed })
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], WireFault> {
        let length = usize::try_from(self.varint()?).map_err(|_too_large| WireFault::Truncated)?;
        let (value, rest) = self.bytes.split_at_checked(length).ok_or(WireFault::Truncated)?;
        self.bytes = rest;
        Ok(value)
    }

    pub(crate) fn fixed64(&mut self) -> Result<u64, WireFault> {
        let (value, rest) = self.bytes.split_first_chunk::<8>().ok_or(WireFault::Truncated)?;
        self.bytes = rest;
        Ok(u64::from_le_bytes(*value))
    }

    pub(crate) fn fixed32(&mut self) -> Result<u32, WireFault> {
        let (value, rest) = self.bytes.split_first_chunk::<4>().ok_or(WireFault::Truncated)?;
        self.bytes = rest;
        Ok(u32::from_le_bytes(*value))
    }

    fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), WireFault> {
        let Some(depth) = depth.checked_sub(1) else { return Err(WireFault::Malformed) };
        loop {
            let tag = self.varint()?;
            match tag & 7 {
                0 => {
                    self.varint()?;
                }
                1 => {
                    self.fixed64()?;
                }
                2 => {
                    self.bytes()?;
                }
                3 => self.skip_group(u32::try_from(tag >> 3).map_err(|_too_large| WireFault::Malformed)?, depth)?,
                4 if tag >> 3 == u64::from(number) => return Ok(()),
                5 => {
                    self.fixed32()?;
                }
                _ => return Err(WireFault::Malformed),
            }
        }
    }
}

/// The low 32 bits, as protobuf reads a 32-bit number.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "protobuf keeps the low 32 bits")]
pub(crate) const fn low32(value: u64) -> u32 {
    value as u32
}

/// The low 32 bits as a signed number.
#[inline]
pub(crate) const fn low_i32(value: u64) -> i32 {
    low32(value).cast_signed()
}

/// A signed number as the varint that stands for it.
#[inline]
pub(crate) const fn signed(value: i64) -> u64 {
    value.cast_unsigned()
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

#[inline]
const fn low_byte(value: u64) -> u8 {
    (value & 0x7F) as u8
}

/// Appends a tag.
#[inline]
pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number << 3 | wire_type));
}

/// Appends a varint field.
#[inline]
pub(crate) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, 0);
    put_varint(out, value);
}

/// Appends a length-delimited field.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_tag(out, number, 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A length-delimited field under construction.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Open {
    start: usize,
    body: usize,
}

/// Starts a length-delimited field.
#[inline]
pub(crate) fn open(out: &mut Vec<u8>, number: u32) -> Open {
    let start = out.len();
    put_tag(out, number, 2);
    out.push(0);
    Open { start, body: out.len() }
}

impl Open {
    /// Whether nothing was written into it.
    pub(crate) const fn is_empty(self, out: &[u8]) -> bool {
        out.len() == self.body
    }

    /// Ends the field.
    #[inline]
    pub(crate) fn close(self, out: &mut Vec<u8>) {
        let length = out.len() - self.body;
        let Some(place) = out.get_mut(self.body - 1) else { return };
        if length < 0x80 {
            *place = low_byte(length as u64);
        } else {
            close_long(out, self.body, length);
        }
    }

    /// Ends the field, or takes it back where nothing was written into it and its presence says nothing.
    #[inline]
    pub(crate) fn close_or_drop(self, out: &mut Vec<u8>, presence_counts: bool) {
        if self.is_empty(out) && !presence_counts {
            out.truncate(self.start);
        } else {
            self.close(out);
        }
    }
}

fn close_long(out: &mut Vec<u8>, body: usize, length: usize) {
    let mut prefix = [0_u8; 10];
    let mut value = length as u64;
    let mut n_bytes = 0;
    for place in &mut prefix {
        n_bytes += 1;
        if value < 0x80 {
            *place = low_byte(value);
            break;
        }
        *place = low_byte(value) | 0x80;
        value >>= 7;
    }
    let end = out.len();
    out.resize(end + n_bytes - 1, 0);
    out.copy_within(body..end, body + n_bytes - 1);
    if let (Some(place), Some(prefix)) = (out.get_mut(body - 1..body - 1 + n_bytes), prefix.get(..n_bytes)) {
        place.copy_from_slice(prefix);
    }
}
