//! Pieces as the kernel hands them over: in order, late, never, and of another protocol.

use std::net::IpAddr;

use super::{Answer, Connection, MAX_STREAMS, Step, Stream, Told};
use crate::decode::{Header, Payload, PayloadProtocol, Role, Tuple};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Initial sequence numbers: of the client 100, of the server 200.
const ISN: u64 = 100 << 32 | 200;

fn payload(ts: u64, seq: u32, is_out: bool, bytes: &[u8]) -> Payload<'_> {
    let ip = IpAddr::from([127, 0, 0, 1]);
    Payload {
        header: Header { ts, ..Header::default() },
        tuple: Tuple { local: ip, remote: ip, local_port: 1, remote_port: 2, protocol: 6 },
        key: 1,
        isn: ISN,
        latency: 0,
        total: 0,
        seq,
        protocol: PayloadProtocol::Http2,
        is_out,
        role: Role::Client,
        bytes,
        response: &[],
    }
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// A literal that enters the table.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x40], text(name), text(value)].concat()
}

/// GET of a path that is said in full.
fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(1, 5, stream, &[&[0x82][..], &literal(":path", path)].concat())
}

/// GET of the path said last.
fn get_again(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &[0x82, 0x80 | 62])
}

/// A connection and what was said on it.
struct Talk {
    connection: Connection,
    told: Vec<Told>,
    n_gaps: u64,
    seqs: [u32; 2],
    ts: u64,
}

impl Talk {
    /// The client has sent its preface.
    fn new() -> Self {
        let first = payload(1, 101, true, PREFACE);
        let mut connection = Connection::new(&first);
        let mut told = Vec::new();
        let n_gaps = connection.read(true, Step::Packet(&first), &mut told);
        let mut talk = Self { connection, told, n_gaps, seqs: [201, 101 + 24], ts: 1 };
        talk.says(false, &frame(4, 0, 0, &[]));
        talk
    }

    fn says(&mut self, is_out: bool, bytes: &[u8]) {
        self.skip(is_out, bytes, 0);
    }

    /// Bytes of which so many, at the end, are not copied.
    fn skip(&mut self, is_out: bool, bytes: &[u8], n_uncopied: usize) {
        let seq = self.seqs[usize::from(is_out)];
        self.seqs[usize::from(is_out)] += u32::try_from(bytes.len()).unwrap();
        self.at(is_out, seq, &bytes[..bytes.len() - n_uncopied]);
    }

    fn at(&mut self, is_out: bool, seq: u32, bytes: &[u8]) {
        self.ts += 10;
        let packet = payload(self.ts, seq, is_out, bytes);
        self.n_gaps += self.connection.read(is_out, Step::Packet(&packet), &mut self.told);
    }

    fn finish(&mut self) {
        self.n_gaps += self.connection.finish(&mut self.told);
    }

    fn lines(&self) -> Vec<String> {
        let line = |told: &Told| {
            let Told { ts, stream, .. } = told;
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let latency = stream.asked.map(|asked| ts - asked);
            let answer = stream.answer.map(|Answer { status, grpc_status, is_reset, .. }| {
                format!("{status:?} {grpc_status:?} {is_reset} {latency:?}")
            });
            format!(
                "{} {} ?{} {}",
                text(&stream.method),
                text(&stream.url),
                stream.n_unknown,
                answer.unwrap_or_default()
            )
        };
        self.told.iter().map(|told| line(told).trim().to_owned()).collect()
    }
}

#[test]
fn requests_and_responses_match_by_stream() {
    let mut talk = Talk::new();
    talk.says(true, &get(1, "/a"));
    talk.says(true, &get(3, "/b"));
    talk.says(false, &frame(1, 5, 3, &[0x88]));
    talk.says(false, &frame(1, 5, 1, &[0x8d]));
    talk.finish();
    let expected = [
        "GET /a ?0",
        "GET /b ?0",
        "GET /b ?0 Some(200) None false Some(10)",
        "GET /a ?0 Some(404) None false Some(30)",
    ];
    assert_eq!((talk.lines(), talk.n_gaps), (expected.map(str::to_owned).to_vec(), 0));
}

#[test]
fn grpc_is_told_at_its_end_with_what_came_of_it() {
    let mut talk = Talk::new();
    let head = [&[0x88][..], &literal("content-type", "application/grpc")].concat();
    for (id, end) in [(1, frame(1, 5, 1, &literal("grpc-status", "7"))), (3, frame(3, 0, 3, &[0, 0, 0, 8]))] {
        talk.says(true, &get(id, "/s/m"));
        talk.says(false, &frame(1, 4, id, &head));
        assert_eq!(talk.told.len() % 2, 1, "told too early");
        // Most of the body is not copied.
        talk.skip(false, &frame(0, 0, id, &[0; 5000]), 4900);
        talk.says(false, &end);
    }
    talk.says(true, &get(5, "/s/m"));
    talk.says(false, &frame(1, 4, 5, &head));
    talk.finish();
    let lines = talk.lines();
    assert_eq!(lines[1], "GET /s/m ?0 Some(200) Some(7) false Some(10)");
    assert_eq!(lines[3], "GET /s/m ?0 Some(200) None true Some(10)");
    assert_eq!(lines[5], "GET /s/m ?0 Some(200) None false Some(10)");
    assert_eq!(talk.n_gaps, 0);
}

#[test]
fn packets_out_of_order_and_sent_again_change_nothing() {
    let mut talk = Talk::new();
    let (first, second) = (get(1, "/a"), get_again(3));
    let seq = talk.seqs[1];
    let next = seq + u32::try_from(first.len()).unwrap();
    talk.at(true, next, &second);
    assert!(talk.told.is_empty());
    talk.at(true, seq, &first);
    talk.at(true, seq, &first);
    talk.at(true, next, &second);
    assert_eq!((talk.lines(), talk.n_gaps), (["GET /a ?0", "GET /a ?0"].map(str::to_owned).to_vec(), 0));
}

#[test]
fn after_a_gap_nothing_is_invented() {
    let mut talk = Talk::new();
    talk.says(true, &get(1, "/a"));
    // What names the path of the next requests is lost.
    talk.seqs[1] += u32::try_from(get(3, "/lost").len()).unwrap();
    talk.says(true, &get_again(5));
    talk.says(true, &get(7, "/c"));
    talk.says(true, &get_again(9));
    assert_eq!(talk.told.len(), 1, "what is missing may be late");
    talk.n_gaps += talk.connection.read(true, Step::GiveUp, &mut talk.told);
    talk.says(false, &frame(1, 5, 5, &[0x88]));
    talk.says(false, &frame(1, 5, 3, &[0x88]));
    let expected = [
        "GET /a ?0",
        "GET  ?1",
        "GET /c ?0",
        "GET /c ?0",
        "GET  ?0 Some(200) None false Some(30)",
        // Nobody saw it asked: no path, no time.
        " ?0 Some(200) None false None",
    ];
    assert_eq!(talk.lines(), expected.map(|line| line.trim().to_owned()));
    assert_eq!(talk.n_gaps, 1);
}

#[test]
fn what_is_missing_at_the_beginning_is_missing() {
    let mut talk = Talk::new();
    let first = payload(1, 101, true, PREFACE);
    talk.connection = Connection::new(&first);
    // Of the server's bytes the first thirty are lost.
    let late = frame(1, 5, 1, &[0x88]);
    talk.at(false, 231, &late);
    assert!(talk.told.is_empty());
    talk.finish();
    assert_eq!(talk.n_gaps, 1);
}

#[test]
fn bytes_of_anything_are_read_within_bounds() {
    let mut state = 0x2545_F491_u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    for _ in 0..200 {
        let mut talk = Talk::new();
        for _ in 0..50 {
            let id = random() % 20_000;
            let mut bytes = match random() % 3 {
                0 => get(id | 1, "/any"),
                1 => frame(1, 4, id | 1, &[0x88, 0x5f, 0x02, b'a', b'b']),
                _ => frame(0, 0, id | 1, &[0; 300]),
            };
            let at = random() as usize % bytes.len();
            bytes[at] ^= random().to_le_bytes()[0];
            let is_out = random() % 2 == 0;
            if random() % 8 == 0 {
                talk.seqs[usize::from(is_out)] += random() % 100;
            }
            talk.says(is_out, &bytes);
            assert!(talk.connection.n_held() < 1 << 20, "{}", talk.connection.n_held());
        }
        let n_texts: usize = talk.connection.streams.values().map(Stream::n_texts).sum();
        assert_eq!(talk.connection.n_texts, n_texts);
        talk.finish();
    }
}

#[test]
fn streams_that_never_end_are_bounded() {
    let mut talk = Talk::new();
    for number in 0..2000_u32 {
        talk.says(true, &get(2 * number + 1, "/wait"));
        assert!(talk.connection.streams.len() <= MAX_STREAMS);
    }
    assert_eq!(talk.told.len(), 2000);
    talk.finish();
    assert_eq!((talk.told.len(), talk.connection.n_texts), (2000, 0), "a response that was not seen is not told");
}
