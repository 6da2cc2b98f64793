//! Bytes of the kernel's events, taken apart. The layouts are those of `probes/*.bpf.c`, field by field; both are built
//! together, so a record that does not fit is a fault of ours and is counted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod process;
mod socket;

pub(crate) use process::{CgroupEvent, Change, Creds, Exec, Exit, Fork, Open, RunningTask, Spaces, Standing};
pub(crate) use socket::{
    Closed, Connection, Counts, Drop, DropKey, Listening, OpenSocket, Payload, PayloadProtocol, Role, UdpFlow,
};

/// Numbers of the kinds of events, as `probes/sense.h` has them.
pub(crate) mod kind {
    pub(crate) const EXEC: u16 = 1;
    pub(crate) const FORK: u16 = 2;
    pub(crate) const EXIT: u16 = 3;
    pub(crate) const CHANGE: u16 = 4;
    pub(crate) const CGROUP: u16 = 5;
    pub(crate) const OPEN: u16 = 6;
    pub(crate) const LISTEN: u16 = 7;
    pub(crate) const TCP: u16 = 8;
    pub(crate) const PAYLOAD: u16 = 9;
    pub(crate) const UDP: u16 = 10;
    pub(crate) const DROP: u16 = 11;
    pub(crate) const OWNER: u16 = 12;
    /// A connection there was no room for in the map: its end is told, its beginning and its owner are not.
    pub(crate) const UNTRACKED: u16 = 13;
    pub(crate) const ALL: [u16; 13] =
        [EXEC, FORK, EXIT, CHANGE, CGROUP, OPEN, LISTEN, TCP, PAYLOAD, UDP, DROP, OWNER, UNTRACKED];

    /// The name in metrics and losses.
    pub(crate) const fn name(kind: u16) -> &'static str {
        match kind {
            EXEC => "exec",
            FORK => "fork",
            EXIT => "exit",
            CHANGE => "privileges",
            CGROUP => "cgroup",
            OPEN => "file",
            LISTEN => "listen",
            TCP => "connection",
            PAYLOAD => "payload",
            UDP => "udp",
            DROP => "drop",
            OWNER => "udp_owner",
            UNTRACKED => "connection",
            _ => "unknown",
        }
    }
}

/// A process for as long as the machine is up: a pid is used again, a pid with its start is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) pid: u32,
    /// Nanoseconds after boot.
    pub(crate) start: u64,
}

impl Key {
    /// `None` where the kernel knew no process.
    pub(crate) fn known(self) -> Option<Self> {
        (self.pid != 0).then_some(self)
    }
}

/// What stands before every event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// Nanoseconds after boot.
    pub(crate) ts: u64,
    pub(crate) process: Key,
    pub(crate) tid: u32,
    pub(crate) uid: u32,
    pub(crate) kind: u16,
}

/// Addresses of one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tuple {
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) protocol: u8,
}

/// Fields behind one another. Every take gives `None` once the bytes are used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*value)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(u8::from_ne_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_ne_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    /// Text of a fixed width, up to its first zero.
    pub(crate) fn text(&mut self, width: usize) -> Option<String> {
        let bytes = self.bytes(width)?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }

    pub(crate) fn header(&mut self) -> Option<Header> {
        let (ts, start) = (self.u64()?, self.u64()?);
        let (pid, tid, uid) = (self.u32()?, self.u32()?, self.u32()?);
        let kind = self.u16()?;
        let _length = self.u16()?;
        Some(Header { ts, process: Key { pid, start }, tid, uid, kind })
    }

    /// Addresses; `None` within where the family says that there are none.
    pub(crate) fn tuple(&mut self) -> Option<Option<Tuple>> {
        let (local, remote) = (self.take::<16>()?, self.take::<16>()?);
        let (local_port, remote_port, family) = (self.u16()?, self.u16()?, self.u16()?);
        let protocol = self.u8()?;
        let _pad = self.u8()?;
        let of = |address: [u8; 16]| match family {
            AF_INET => {
                let [a, b, c, d, ..] = address;
                Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
            }
            // A socket for both families shows IPv4 peers in IPv6 dress; on the wire they are IPv4.
            AF_INET6 => Some(Ipv6Addr::from(address).to_canonical()),
            _ => None,
        };
        Some(of(local).zip(of(remote)).map(|(local, remote)| Tuple {
            local,
            remote,
            local_port,
            remote_port,
            protocol,
        }))
    }
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// The header of an event, without reading on.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    Fields::new(bytes).header()
}

#[cfg(test)]
mod tests;
