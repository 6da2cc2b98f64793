//! Field masks, applied to encoded messages: fields are copied or left out as bytes, nothing is decoded.

use std::collections::BTreeMap;

use bytes::Buf as _;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use prost_reflect::{Kind, MessageDescriptor};

/// A set of fields, with the fields inside of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mask {
    /// By field number: the whole field, or some of what is inside.
    fields: BTreeMap<u32, Option<Self>>,
}

impl Mask {
    /// The fields that `paths` name (`source.pod_name`); paths that name none are passed over.
    pub(crate) fn new<'a>(message: &MessageDescriptor, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut mask = Self::default();
        for path in paths {
            mask.insert(message, path);
        }
        mask
    }

    fn insert(&mut self, message: &MessageDescriptor, path: &str) {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let Some(field) = message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name)) else {
            return;
        };
        match (rest, field.kind()) {
            (None, _) => {
                self.fields.insert(field.number(), None);
            }
            (Some(rest), Kind::Message(inner)) => {
                let mut below = Self::default();
                below.insert(&inner, rest);
                if below.fields.is_empty() {
                    return;
                }
                // A field that is in the mask as a whole stays whole.
                if let Some(below) = self.fields.entry(field.number()).or_insert_with(|| Some(Self::default())) {
                    below.insert(&inner, rest);
                }
            }
            (Some(_), _) => {}
        }
    }

    /// Appends the fields of `message` that are in the set. `None` where the bytes are no message.
    pub(crate) fn keep(&self, message: &[u8], out: &mut Vec<u8>) -> Option<()> {
        for field in Fields(message) {
            let field = field?;
            match self.fields.get(&field.number) {
                None => {}
                Some(None) => out.extend_from_slice(field.whole),
                Some(Some(inside)) => field.rewrite(out, |inner, out| inside.keep(inner, out))?,
            }
        }
        Some(())
    }

    /// Appends the fields of `message` that are not in the set. `None` where the bytes are no message.
    pub(crate) fn prune(&self, message: &[u8], out: &mut Vec<u8>) -> Option<()> {
        for field in Fields(message) {
            let field = field?;
            match self.fields.get(&field.number) {
                None => out.extend_from_slice(field.whole),
                Some(None) => {}
                Some(Some(inside)) => field.rewrite(out, |inner, out| inside.prune(inner, out))?,
            }
        }
        Some(())
    }
}

/// One field of an encoded message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WireField<'a> {
    /// Its number.
    pub(crate) number: u32,
    /// Key and value.
    pub(crate) whole: &'a [u8],
    /// What a length-delimited field holds.
    pub(crate) inner: Option<&'a [u8]>,
}

impl WireField<'_> {
    /// Appends the field with what `rewrite` makes of its inside; as it is where it has none.
    pub(crate) fn rewrite(
        &self,
        out: &mut Vec<u8>,
        rewrite: impl FnOnce(&[u8], &mut Vec<u8>) -> Option<()>,
    ) -> Option<()> {
        let Some(inner) = self.inner else {
            out.extend_from_slice(self.whole);
            return Some(());
        };
        let mut rewritten = Vec::with_capacity(inner.len());
        rewrite(inner, &mut rewritten)?;
        encode_key(self.number, WireType::LengthDelimited, out);
        encode_varint(u64::try_from(rewritten.len()).ok()?, out);
        out.extend_from_slice(&rewritten);
        Some(())
    }
}

/// The fields of an encoded message, in order; ends with a `None` item where the bytes are no message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<WireField<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = read(self.0);
        self.0 = match &field {
            Some(field) => self.0.get(field.whole.len()..).unwrap_or_default(),
            None => &[],
        };
        Some(field)
    }
}

fn read(message: &[u8]) -> Option<WireField<'_>> {
    let mut rest = message;
    let (number, wire_type) = decode_key(&mut rest).ok()?;
    let mut inner = None;
    let value_len = match wire_type {
        WireType::Varint => {
            decode_varint(&mut rest).ok()?;
            0
        }
        WireType::SixtyFourBit => 8,
        WireType::ThirtyTwoBit => 4,
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            inner = Some(rest.get(..length)?);
            length
        }
        // Groups are not part of proto3.
        WireType::StartGroup | WireType::EndGroup => return None,
    };
    let whole_len = message.len().checked_sub(rest.remaining())?.checked_add(value_len)?;
    Some(WireField { number, whole: message.get(..whole_len)?, inner })
}

#[cfg(test)]
mod tests;
