//! Records as the kernel writes them, whole and cut at every byte.

use std::net::IpAddr;

use super::{
    CgroupEvent, Change, Closed, Drop, DropKey, Exec, Exit, Fields, Fork, Listening, Open, OpenSocket, Payload, Role,
    RunningTask, UdpFlow,
};

/// A record is read from its whole length on, and from no byte less.
fn check(name: &str, length: usize, fill: impl Fn(&mut [u8]), decodes: impl Fn(&[u8]) -> bool) {
    let mut bytes = vec![0; length];
    fill(&mut bytes);
    assert!(decodes(&bytes), "{name} of {length} bytes");
    for shorter in 0..length {
        assert!(!decodes(&bytes[..shorter]), "{name} of {shorter} bytes");
    }
}

/// Sets the family of a tuple that starts there: without one there are no addresses.
fn ipv4_at(start: usize) -> impl Fn(&mut [u8]) {
    move |bytes| bytes[start + 36] = 2
}

#[test]
fn records_have_the_lengths_of_the_kernels_structs() {
    let nothing = |_bytes: &mut [u8]| {};
    check("exec", 192, nothing, |bytes| Exec::decode(bytes).is_some());
    check("fork", 120, nothing, |bytes| Fork::decode(bytes).is_some());
    check("exit", 80, nothing, |bytes| Exit::decode(bytes).is_some());
    check("change", 232, nothing, |bytes| Change::decode(bytes).is_some());
    check("cgroup", 568, nothing, |bytes| CgroupEvent::decode(bytes).is_some());
    check("open", 64, nothing, |bytes| Open::decode(bytes).is_some());
    check("task", RunningTask::SIZE, nothing, |bytes| RunningTask::decode(bytes).is_some());
    check("listening", 88, ipv4_at(32), |bytes| Listening::decode(bytes).is_some());
    check("closed", 208, ipv4_at(32), |bytes| Closed::decode(bytes).is_some());
    check("socket", 196, ipv4_at(16), |bytes| OpenSocket::decode(bytes).is_some());
    check("udp", 100, ipv4_at(0), |bytes| UdpFlow::decode(bytes).is_some());
    check("drop key", 44, ipv4_at(0), |bytes| DropKey::decode(bytes).is_some());
    check("drop", Drop::SIZE, nothing, |bytes| Drop::decode(bytes).is_some());
}

#[test]
fn lengths_within_a_record_are_not_trusted() {
    let mut exec = vec![0; 200];
    // Eight bytes of texts, of which the program's path claims nine.
    exec[168..170].copy_from_slice(&9_u16.to_ne_bytes());
    assert!(Exec::decode(&exec).is_none());
    exec[168..170].copy_from_slice(&8_u16.to_ne_bytes());
    assert_eq!(Exec::decode(&exec).unwrap().binary, [0; 8]);

    let mut open = vec![0; 70];
    open[56..60].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert!(Open::decode(&open).is_none());
}

#[test]
fn payload_is_request_and_beginning_of_the_response() {
    let mut bytes = vec![0; 112];
    bytes[32 + 36] = 2;
    let fields = [(104, 2_u16), (106, 3), (108, 2)];
    for (offset, value) in fields {
        bytes[offset..offset + 2].copy_from_slice(&value.to_ne_bytes());
    }
    (bytes[110], bytes[111]) = (1, 2);
    bytes.extend_from_slice(b"GET /");
    bytes.extend_from_slice(&[0; 91]);
    bytes.extend_from_slice(b"HTTP/1.1 200");
    bytes.extend_from_slice(&[0; 20]);
    let payload = Payload::decode(&bytes).unwrap();
    assert_eq!((payload.bytes, payload.response, payload.is_out), (&b"GET"[..], &b"HT"[..], true));
    for length in 0..bytes.len() {
        // Shorter ones are refused or read within their bounds.
        let _decoded = Payload::decode(&bytes[..length]);
    }
}

#[test]
fn a_peer_of_ipv4_on_a_socket_of_both_families_is_ipv4() {
    let mut bytes = [0; 40];
    bytes[10..16].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
    bytes[31] = 1;
    bytes[36] = 10;
    let tuple = Fields::new(&bytes).tuple().unwrap().unwrap();
    assert_eq!(tuple.local, IpAddr::from([10, 0, 0, 1]));
    assert_eq!(tuple.remote.to_string(), "::1");
    assert_eq!(Role::default(), Role::Unknown);
}
