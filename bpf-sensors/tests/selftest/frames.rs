//! Frames of HTTP/2, written by hand: a table of header fields that later blocks refer to, and bodies in many frames.

/// What a client sends first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest frame that a peer takes unasked.
const MOST: usize = 16_384;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A body that goes on.
pub(crate) fn data(stream: u32, length: usize) -> Vec<u8> {
    (0..length).step_by(MOST).flat_map(|at| frame(0, 0, stream, &vec![b'd'; MOST.min(length - at)])).collect()
}

/// A body and the end of the stream.
pub(crate) fn data_last(stream: u32, length: usize) -> Vec<u8> {
    [data(stream, length), frame(0, 1, stream, &[])].concat()
}

/// Says each field in full once, and by its place in the table from then on.
#[derive(Debug, Default)]
pub(crate) struct Encoder(Vec<(String, String)>);

impl Encoder {
    /// A frame of header fields; flag 4 ends them, flag 1 the stream.
    pub(crate) fn headers(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in fields {
            let known = self.0.iter().rev().position(|(held, text)| (held.as_str(), text.as_str()) == (*name, *value));
            if let Some(position) = known {
                block.push(0x80 | u8::try_from(62 + position).unwrap());
            } else {
                block.push(0x40);
                for text in [name, value] {
                    block.push(u8::try_from(text.len()).unwrap());
                    block.extend_from_slice(text.as_bytes());
                }
                self.0.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        frame(1, flags, stream, &block)
    }
}
