//! DNS messages, from a datagram or from a TCP stream.
//!
//! A message that is cut after its question, as captures are, still tells its question: sections are read record by
//! record, and what could not be read is counted. Names are kept as they were sent, with their final dot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use crate::Malformed;

/// No message says more than this about questions and answers; further ones are counted, not kept.
const MOST_RECORDS: usize = 128;

/// Bytes of a DNS header.
const HEADER_LEN: usize = 12;

/// A DNS message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The id that a response shares with its query.
    pub id: u16,
    /// Whether it is a response.
    pub is_response: bool,
    /// What is asked for: 0 is a standard query, 4 a notification, 5 an update.
    pub opcode: u8,
    /// Response code, without the extension that an OPT record may carry; 3 is NXDOMAIN.
    pub rcode: u16,
    /// Whether the sender says that it had to cut the message.
    pub is_truncated: bool,
    /// What was asked.
    pub questions: Vec<Question>,
    /// What was answered, of the answer section only.
    pub answers: Vec<Answer>,
    /// Records that the header promises and that were not read: the bytes end, are malformed, or are too many.
    pub n_unread: usize,
    /// Why records were not read.
    pub fault: Option<Malformed>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name, with its final dot.
    pub name: String,
    /// The type of record asked for, as in AAAA, or TYPE4711.
    pub qtype: String,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name it is about, with its final dot.
    pub name: String,
    /// The type of record, as in AAAA, or TYPE4711.
    pub rrtype: String,
    /// Its life, seconds.
    pub ttl_s: u32,
    /// What it says.
    pub value: Value,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An address.
    Ip(IpAddr),
    /// The name that this one is an alias of, with its final dot.
    Cname(String),
    /// Another type of record, not read; or one whose bytes are not what its type asks for.
    Other,
}

impl Message {
    /// The addresses answered.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.answers.iter().filter_map(|answer| match answer.value {
            Value::Ip(ip) => Some(ip),
            Value::Cname(_) | Value::Other => None,
        })
    }

    /// The aliases answered.
    pub fn cnames(&self) -> impl Iterator<Item = &str> {
        self.answers.iter().filter_map(|answer| match &answer.value {
            Value::Cname(name) => Some(name.as_str()),
            Value::Ip(_) | Value::Other => None,
        })
    }

    /// How long the whole answer holds: the shortest life among its records, seconds.
    #[must_use]
    pub fn ttl_s(&self) -> Option<u32> {
        self.answers.iter().map(|answer| answer.ttl_s).min()
    }
}

/// Reads the message in a UDP payload.
///
/// # Errors
/// The header is not whole, or the first question is not: then nothing is known.
pub fn parse(payload: &[u8]) -> Result<Message, Malformed> {
    let mut decoder = BinDecoder::new(payload);
    let [id, flags, n_questions, n_answers, n_authorities, n_additionals] = header(&mut decoder)?;
    let mut message = Message {
        id,
        is_response: flags & 0x8000 != 0,
        opcode: u8::try_from((flags >> 11) & 0xF).unwrap_or(0),
        rcode: flags & 0xF,
        is_truncated: flags & 0x0200 != 0,
        ..Message::default()
    };
    for nth in 0..usize::from(n_questions) {
        match question(&mut decoder) {
            _ if nth >= MOST_RECORDS => {
                return Ok(stop(message, "too many questions", &decoder, [n_questions, n_answers]));
            }
            Ok(question) => message.questions.push(question),
            // Without a single question there is nothing to know.
            Err(fault) if nth == 0 => return Err(fault),
            Err(fault) => return Ok(stop(message, fault.what, &decoder, [n_questions, n_answers])),
        }
    }
    for nth in 0..usize::from(n_answers) {
        match answer(&mut decoder) {
            _ if nth >= MOST_RECORDS => {
                return Ok(stop(message, "too many answers", &decoder, [n_questions, n_answers]));
            }
            Ok(answer) => message.answers.push(answer),
            Err(fault) => return Ok(stop(message, fault.what, &decoder, [n_questions, n_answers])),
        }
    }
    let is_empty = n_questions == 0 && n_answers == 0;
    if is_empty && (n_authorities > 0 || n_additionals > 0) && decoder.is_empty() {
        return Err(Malformed::new("message ends after the header", HEADER_LEN));
    }
    Ok(message)
}

/// Ends the reading of a message early: what is left of questions and answers is counted.
fn stop(mut message: Message, what: &'static str, decoder: &BinDecoder<'_>, promised: [u16; 2]) -> Message {
    let promised: usize = promised.into_iter().map(usize::from).sum();
    message.n_unread = promised.saturating_sub(message.questions.len() + message.answers.len());
    message.fault = Some(Malformed::new(what, decoder.index()));
    message
}

fn header(decoder: &mut BinDecoder<'_>) -> Result<[u16; 6], Malformed> {
    let mut words = [0; 6];
    for word in &mut words {
        *word = number(decoder, "header is not whole")?;
    }
    Ok(words)
}

fn question(decoder: &mut BinDecoder<'_>) -> Result<Question, Malformed> {
    let name = name(decoder)?;
    let qtype = number(decoder, "question ends before its type")?;
    let _class = number(decoder, "question ends before its class")?;
    Ok(Question { name, qtype: type_name(qtype) })
}

fn answer(decoder: &mut BinDecoder<'_>) -> Result<Answer, Malformed> {
    let name = name(decoder)?;
    let code = number(decoder, "record ends before its type")?;
    let _class = number(decoder, "record ends before its class")?;
    let ttl_s = (u32::from(number(decoder, "record ends before its life")?) << 16)
        | u32::from(number(decoder, "record ends before its life")?);
    let length = usize::from(number(decoder, "record ends before its length")?);
    // A name in the record may point back into the message: it is read by a copy of the decoder, in place.
    let start = decoder.index();
    let target = u16::try_from(start).ok().map(|start| decoder.clone(start));
    let bytes = decoder
        .read_slice(length)
        .map_err(|_cut| Malformed::new("record ends before its content", start))?
        .unverified();
    let value = value(code, bytes, target);
    Ok(Answer { name, rrtype: type_name(code), ttl_s, value })
}

fn value(code: u16, bytes: &[u8], target: Option<BinDecoder<'_>>) -> Value {
    match RecordType::from(code) {
        RecordType::A => match <[u8; 4]>::try_from(bytes) {
            Ok(octets) => Value::Ip(IpAddr::V4(Ipv4Addr::from(octets))),
            Err(_length) => Value::Other,
        },
        RecordType::AAAA => match <[u8; 16]>::try_from(bytes) {
            Ok(octets) => Value::Ip(IpAddr::V6(Ipv6Addr::from(octets))),
            Err(_length) => Value::Other,
        },
        RecordType::CNAME => match target.map(|mut decoder| name(&mut decoder)) {
            Some(Ok(name)) => Value::Cname(name),
            Some(Err(_)) | None => Value::Other,
        },
        _ => Value::Other,
    }
}

fn name(decoder: &mut BinDecoder<'_>) -> Result<String, Malformed> {
    let offset = decoder.index();
    let name = Name::read(decoder).map_err(|_cause| Malformed::new("name is not a DNS name", offset))?;
    let mut text = name.to_ascii();
    if !text.ends_with('.') {
        text.push('.');
    }
    Ok(text)
}

fn number(decoder: &mut BinDecoder<'_>, what: &'static str) -> Result<u16, Malformed> {
    let offset = decoder.index();
    Ok(decoder.read_u16().map_err(|_cut| Malformed::new(what, offset))?.unverified())
}

fn type_name(code: u16) -> String {
    match RecordType::from(code) {
        RecordType::Unknown(code) => format!("TYPE{code}"),
        known => known.to_string(),
    }
}

/// The messages of one direction of a TCP connection; each has two bytes of length before it.
#[derive(Debug, Default)]
pub struct Stream {
    /// At most one message and its length.
    pending: Vec<u8>,
    /// Bytes to come of a message that was told already, without its end.
    n_skip: usize,
}

impl Stream {
    /// A stream at its first byte.
    #[must_use]
    pub const fn new() -> Self {
        Self { pending: Vec::new(), n_skip: 0 }
    }

    /// Takes the next bytes in order and gives the messages they complete.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<Result<Message, Malformed>> {
        let mut messages = Vec::new();
        let n_skipped = self.n_skip.min(bytes.len());
        self.n_skip -= n_skipped;
        bytes = bytes.get(n_skipped..).unwrap_or_default();
        while !bytes.is_empty() {
            let missing = self.missing();
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() >= 2 && self.missing() == 0 {
                messages.push(parse(self.pending.get(2..).unwrap_or_default()));
                self.pending.clear();
            }
        }
        messages
    }

    /// How many bytes the message begun still lacks, or its length does. Never 0 between two calls of `push`.
    fn missing(&self) -> usize {
        match self.pending.as_slice() {
            [high, low, content @ ..] => usize::from(u16::from_be_bytes([*high, *low])).saturating_sub(content.len()),
            short => 2_usize.saturating_sub(short.len()),
        }
    }

    /// Bytes are missing here: what was begun is forgotten. The next bytes are taken for the start of a message.
    pub fn gap(&mut self) {
        self.pending.clear();
        self.n_skip = 0;
    }

    /// So many bytes are missing here. Where they end within the message begun, that one is told as far as it was read,
    /// and the rest of it is passed over.
    ///
    /// # Errors
    /// Nobody knows where the next message begins: the stream cannot be read on.
    pub fn skip(&mut self, n_bytes: usize) -> Result<Option<Result<Message, Malformed>>, Malformed> {
        let is_begun = self.pending.len() >= 2;
        let left = if is_begun { self.missing() } else { self.n_skip };
        let Some(left) = left.checked_sub(n_bytes) else {
            self.gap();
            return Err(Malformed::new("bytes between two messages are missing", 0));
        };
        self.n_skip = left;
        let message = is_begun.then(|| parse(self.pending.get(2..).unwrap_or_default()));
        self.pending.clear();
        Ok(message)
    }

    /// How many bytes of a message begun are kept.
    #[must_use]
    pub const fn n_pending(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests;
