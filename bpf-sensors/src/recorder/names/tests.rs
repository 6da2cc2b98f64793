//! Messages in TCP, cut and cut short.

use std::net::IpAddr;

use super::Names;
use crate::decode::{Header, Payload, PayloadProtocol, Role, Tuple};

const QUESTION: &[u8] =
    b"\x00\x1e\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04pots\x07example\x00\x00\x10\x00\x01";
const FIRST: u32 = 101;

fn payload(seq: u32, bytes: &[u8], total: u32) -> Payload<'_> {
    let ip = IpAddr::from([127, 0, 0, 1]);
    Payload {
        header: Header { ts: u64::from(seq), ..Header::default() },
        tuple: Tuple { local: ip, remote: ip, local_port: 1, remote_port: 53, protocol: 6 },
        key: 1,
        isn: 100 << 32 | 200,
        latency: 0,
        total,
        seq,
        protocol: PayloadProtocol::Dns,
        is_out: true,
        role: Role::Client,
        bytes,
        response: &[],
    }
}

/// Names that were asked for, `?` for what is none, and gaps.
fn heard(packets: &[(u32, &[u8], u32)]) -> (Vec<String>, u64) {
    let (mut names, mut told, mut n_gaps) = (Names::default(), Vec::new(), 0);
    for (seq, bytes, total) in packets {
        let packet = payload(*seq, bytes, *total);
        let Some(spoken) = names.spoken(&packet) else { continue };
        let (messages, gaps) = spoken.hear(&packet);
        n_gaps += gaps;
        told.extend(messages.into_iter().map(|(ts, message)| match message {
            Ok(message) => format!("{}@{ts}", message.questions[0].name),
            Err(_fault) => "?".to_owned(),
        }));
    }
    names.hang_up(1);
    assert!(names.spoken.is_empty());
    (told, n_gaps)
}

#[test]
fn a_message_is_whole_when_its_last_byte_came() {
    let (head, tail) = QUESTION.split_at(1);
    let told = |names: &[&str], n_gaps| (names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), n_gaps);
    assert_eq!(heard(&[(FIRST, head, 1), (FIRST + 1, tail, 31)]), told(&["pots.example.@102"], 0));
    // Sent again, and out of order: the first packet of the direction has to be the first seen.
    let packets = [(FIRST, head, 1), (FIRST + 32, QUESTION, 32), (FIRST, head, 1), (FIRST + 1, tail, 31)];
    assert_eq!(heard(&packets), told(&["pots.example.@102", "pots.example.@133"], 0));
}

#[test]
fn a_stream_that_lost_its_place_is_read_no_further() {
    let told = |names: &[&str], n_gaps| (names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), n_gaps);
    // More bytes than were copied: the message may have been among them.
    let packets = [(FIRST, QUESTION, 40), (FIRST + 40, QUESTION, 32)];
    assert_eq!(heard(&packets), told(&["pots.example.@101"], 1));
    // Another protocol on the port.
    assert_eq!(heard(&[(FIRST, b"\x00\x04SSH-", 6), (FIRST + 6, QUESTION, 32)]), told(&["?"], 0));
    // In the middle of a connection only a message that fills its packet is a beginning.
    assert_eq!(heard(&[(5000, &QUESTION[3..], 29)]), told(&[], 0));
    assert_eq!(heard(&[(5000, QUESTION, 32)]), told(&["pots.example.@5000"], 0));
}
