//! A message that is passed on as the bytes it came in.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

/// The encoded bytes of one message. Encoding copies them, decoding takes them whole, nothing looks inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawMessage(pub Bytes);

impl Message for RawMessage {
    fn encode_raw(&self, buf: &mut impl BufMut)
    where
        Self: Sized,
    {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError>
    where
        Self: Sized,
    {
        // `merge` takes whole messages; a single field only comes from a foreign caller.
        prost::encoding::skip_field(wire_type, tag, buf, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0 = Bytes::new();
    }

    fn decode(mut buf: impl Buf) -> Result<Self, DecodeError>
    where
        Self: Default,
    {
        Ok(Self(buf.copy_to_bytes(buf.remaining())))
    }

    fn merge(&mut self, mut buf: impl Buf) -> Result<(), DecodeError>
    where
        Self: Sized,
    {
        // Two encoded messages behind one another are their merge.
        let added = buf.copy_to_bytes(buf.remaining());
        self.0 = if self.0.is_empty() { added } else { [self.0.as_ref(), added.as_ref()].concat().into() };
        Ok(())
    }
}
