//! The few messages of the Tetragon API that a row carries as they would have come: the process, its parent, and what a
//! hook was given. The fields' numbers are those of the public `tetragon.proto`.

use crate::decode::{Creds, Spaces, Tuple};

/// Appends a number; 0 is not written, as proto3 has it.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        varint(out, u64::from(field) << 3);
        varint(out, value);
    }
}

/// Appends bytes, a text or a message; an empty one too.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    varint(out, u64::from(field) << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a text that is not empty.
pub(crate) fn put_text(out: &mut Vec<u8>, field: u32, value: &str) {
    if !value.is_empty() {
        put_bytes(out, field, value.as_bytes());
    }
}

/// Appends a message that `fill` writes.
pub(crate) fn put_message(out: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut message = Vec::new();
    fill(&mut message);
    put_bytes(out, field, &message);
}

/// Appends a `google.protobuf.UInt32Value`, which tells 0 from absent.
pub(crate) fn put_wrapped(out: &mut Vec<u8>, field: u32, value: u32) {
    put_message(out, field, |message| put_number(message, 1, u64::from(value)));
}

/// Appends a `google.protobuf.Timestamp`.
pub(crate) fn put_time(out: &mut Vec<u8>, field: u32, nanos: i64) {
    let (seconds, nanos) = hindcast_model::Timestamp::from_nanos(nanos).to_parts();
    put_message(out, field, |message| {
        put_number(message, 1, seconds.cast_unsigned());
        put_number(message, 2, u64::from(nanos.unsigned_abs()));
    });
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a `tetragon.Capabilities`.
pub(crate) fn put_capabilities(out: &mut Vec<u8>, field: u32, creds: &Creds) {
    put_message(out, field, |message| {
        for (set, bits) in [(1, creds.permitted), (2, creds.effective), (3, creds.inheritable)] {
            if bits != 0 {
                // A packed list of enum numbers, each below 64: one byte.
                let numbers: Vec<u8> = (0..64_u8).filter(|number| bits >> number & 1 == 1).collect();
                put_bytes(message, set, &numbers);
            }
        }
    });
}

/// Appends a `tetragon.Namespaces`; `host` is what the first process has.
pub(crate) fn put_namespaces(out: &mut Vec<u8>, field: u32, own: &Spaces, host: &Spaces) {
    put_message(out, field, |message| {
        let spaces = [
            (1, own.uts, host.uts),
            (2, own.ipc, host.ipc),
            (3, own.mnt, host.mnt),
            (4, own.pid, host.pid),
            (5, own.pid_for_children, host.pid_for_children),
            (6, own.net, host.net),
            (7, own.time, host.time),
            (9, own.cgroup, host.cgroup),
            (10, own.user, host.user),
        ];
        for (number, inode, host) in spaces {
            if inode != 0 {
                put_message(message, number, |space| {
                    put_number(space, 1, u64::from(inode));
                    put_number(space, 2, u64::from(inode == host));
                });
            }
        }
    });
}

/// Appends a `tetragon.ProcessCredentials`.
pub(crate) fn put_credentials(out: &mut Vec<u8>, field: u32, creds: &Creds) {
    put_message(out, field, |message| {
        let ids = [creds.uid, creds.gid, creds.euid, creds.egid, creds.suid, creds.sgid, creds.fsuid, creds.fsgid];
        for (number, id) in (1..).zip(ids) {
            put_wrapped(message, number, id);
        }
        put_capabilities(message, 10, creds);
    });
}

/// Appends a `tetragon.KprobeArgument` that is a socket, from the local end's view.
pub(crate) fn put_socket_argument(out: &mut Vec<u8>, field: u32, tuple: &Tuple, cookie: u64) {
    put_message(out, field, |argument| {
        put_message(argument, 9, |sock| {
            put_text(sock, 1, if tuple.local.is_ipv4() { "AF_INET" } else { "AF_INET6" });
            put_text(sock, 2, "SOCK_STREAM");
            put_text(sock, 3, "IPPROTO_TCP");
            put_text(sock, 6, &tuple.local.to_string());
            put_text(sock, 7, &tuple.remote.to_string());
            put_number(sock, 8, u64::from(tuple.local_port));
            put_number(sock, 9, u64::from(tuple.remote_port));
            put_number(sock, 10, cookie);
        });
    });
}

#[cfg(test)]
mod tests;
