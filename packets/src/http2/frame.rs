//! The nine bytes before every frame of HTTP/2.

/// Length of a frame header.
pub(super) const FRAME_HEADER_LEN: usize = 9;

/// The longest frame a peer may be expected to agree to. The limit by default is 16 KiB; a few raise it to this.
const MOST_FRAME: u32 = 1 << 20;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Reset,
    PushPromise,
    GoAway,
    Continuation,
    /// PRIORITY, SETTINGS, PING, WINDOW_UPDATE, and extensions.
    Other,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) length: u32,
    pub(super) kind: Kind,
    code: u8,
    flags: u8,
    is_reserved_bit_set: bool,
    pub(super) stream_id: u32,
}

impl FrameHeader {
    /// Reads a frame header, if the bytes are enough for one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [high, middle, low, code, flags, id_0, id_1, id_2, id_3] = *bytes.first_chunk::<FRAME_HEADER_LEN>()?;
        let id = u32::from_be_bytes([id_0, id_1, id_2, id_3]);
        let kind = match code {
            0 => Kind::Data,
            1 => Kind::Headers,
            3 => Kind::Reset,
            5 => Kind::PushPromise,
            7 => Kind::GoAway,
            9 => Kind::Continuation,
            _ => Kind::Other,
        };
        Some(Self {
            length: u32::from_be_bytes([0, high, middle, low]),
            kind,
            code,
            flags,
            is_reserved_bit_set: id >> 31 != 0,
            stream_id: id & 0x7FFF_FFFF,
        })
    }

    /// Whether it can be a frame at all. RFC 9113 §6 fixes length and stream of most types; extensions beyond the
    /// first few type numbers do not occur, and text taken for a frame nearly always fails here.
    pub(super) const fn is_plausible(&self) -> bool {
        let is_known = match self.code {
            // DATA, HEADERS, PUSH_PROMISE and CONTINUATION belong to a stream.
            0 | 1 | 5 | 9 => self.stream_id != 0,
            2 => self.stream_id != 0 && self.length == 5,
            3 => self.stream_id != 0 && self.length == 4,
            4 => self.stream_id == 0 && self.length.is_multiple_of(6) && (self.flags & 1 == 0 || self.length == 0),
            6 => self.stream_id == 0 && self.length == 8,
            7 => self.stream_id == 0 && self.length >= 8,
            8 => self.length == 4,
            // ALTSVC, ORIGIN, PRIORITY_UPDATE.
            10 | 12 | 16 => true,
            _ => false,
        };
        let allowed_flags = match self.code {
            0 => 0x09,
            1 => 0x2D,
            4 | 6 => 0x01,
            5 => 0x0C,
            9 => 0x04,
            _ => 0,
        };
        is_known && !self.is_reserved_bit_set && self.flags & !allowed_flags == 0 && self.length <= MOST_FRAME
    }

    pub(super) const fn is_settings(&self) -> bool {
        self.code == 4
    }

    pub(super) const fn is_end_of_stream(&self) -> bool {
        self.flags & 0x01 != 0
    }

    pub(super) const fn is_end_of_headers(&self) -> bool {
        self.flags & 0x04 != 0
    }

    /// The part of a HEADERS or PUSH_PROMISE payload that belongs to the header block; `None` where the padding is
    /// longer than the frame.
    pub(super) fn fragment<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = payload;
        let mut n_padding = 0;
        if self.flags & 0x08 != 0 {
            let (first, after) = rest.split_first()?;
            n_padding = usize::from(*first);
            rest = after;
        }
        if self.kind == Kind::Headers && self.flags & 0x20 != 0 {
            rest = rest.get(5..)?;
        }
        if self.kind == Kind::PushPromise {
            rest = rest.get(4..)?;
        }
        rest.get(..rest.len().checked_sub(n_padding)?)
    }
}

/// A number of four bytes in a payload.
pub(super) fn number(payload: &[u8], offset: usize) -> Option<u32> {
    payload.get(offset..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}
