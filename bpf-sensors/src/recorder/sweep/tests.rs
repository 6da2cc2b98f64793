//! Maps that are read now and then.

use std::net::IpAddr;

use super::join_translated;
use crate::decode::{Key, Tuple, UdpFlow};

fn flow(remote: &str, packets_out: u32, packets_in: u32, first: u64) -> UdpFlow {
    let (local, remote) = ("10.0.0.2".parse::<IpAddr>().unwrap(), remote.parse().unwrap());
    let tuple = Tuple { local, remote, local_port: 5000, remote_port: 53, protocol: 17 };
    UdpFlow {
        tuple,
        owner: Key::default(),
        owner_uid: 0,
        first,
        last: first,
        sent: 0,
        received: 0,
        packets_out,
        packets_in,
        is_out_first: packets_out > 0,
    }
}

fn key(cookie: u8, number: u8) -> [u8; UdpFlow::KEY] {
    let mut key = [0; UdpFlow::KEY];
    (key[0], key[8]) = (cookie, number);
    key
}

#[test]
fn request_and_reply_of_a_translated_socket_are_one_flow() {
    let joined = join_translated(vec![
        (key(1, 2), flow("10.96.0.10", 0, 3, 20)),
        (key(1, 1), flow("10.0.0.9", 3, 0, 10)),
        (key(2, 1), flow("10.0.0.7", 1, 1, 5)),
    ]);
    assert_eq!(joined.len(), 2);
    assert_eq!(joined[1].1.own.tuple.remote.to_string(), "10.0.0.9");
    assert_eq!(joined[1].1.others.len(), 1);
}

#[test]
fn clients_of_one_server_socket_stay_apart() {
    let joined = join_translated(vec![(key(1, 1), flow("10.0.0.3", 1, 1, 1)), (key(1, 2), flow("10.0.0.4", 1, 1, 2))]);
    assert_eq!(joined.len(), 2);
}
