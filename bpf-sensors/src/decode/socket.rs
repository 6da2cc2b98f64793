//! Events of sockets and packets, and the values of the maps that user space reads.

use super::{Fields, Header, Key, Tuple};

/// Which end of a connection a socket is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// It was there before the sensor.
    #[default]
    Unknown,
    Client,
    Server,
}

impl Role {
    const fn of(number: u8) -> Self {
        match number {
            1 => Self::Client,
            2 => Self::Server,
            _ => Self::Unknown,
        }
    }
}

/// What the kernel remembers of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) owner: Key,
    pub(crate) owner_uid: u32,
    /// Nanoseconds after boot; 0 for a connection older than the sensor.
    pub(crate) opened: u64,
    /// Nanoseconds after boot; 0 for one that never came about.
    pub(crate) established: u64,
    /// Initial sequence numbers, the client's above the server's; 0 where they were not seen.
    pub(crate) isn: u64,
    pub(crate) netns: u32,
    pub(crate) role: Role,
    /// Of its first packet, after translation.
    pub(crate) wire: Option<Tuple>,
}

impl Connection {
    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        let (start, pid, owner_uid) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let (opened, established, isn, netns) = (fields.u64()?, fields.u64()?, fields.u64()?, fields.u32()?);
        let role = Role::of(fields.u8()?);
        let _pad = fields.take::<3>()?;
        let wire = fields.tuple()?;
        Some(Self { owner: Key { pid, start }, owner_uid, opened, established, isn, netns, role, wire })
    }
}

/// The kernel's own counters of a connection; payload is counted once however often it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) segs_out: u32,
    pub(crate) segs_in: u32,
    pub(crate) srtt_us: u32,
    pub(crate) retransmits: u32,
}

impl Counts {
    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            sent: fields.u64()?,
            received: fields.u64()?,
            segs_out: fields.u32()?,
            segs_in: fields.u32()?,
            srtt_us: fields.u32()?,
            retransmits: fields.u32()?,
        })
    }

    /// What came on top since `earlier`.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            received: self.received.saturating_sub(earlier.received),
            segs_out: self.segs_out.wrapping_sub(earlier.segs_out),
            segs_in: self.segs_in.wrapping_sub(earlier.segs_in),
            srtt_us: self.srtt_us,
            retransmits: self.retransmits.wrapping_sub(earlier.retransmits),
        }
    }
}

/// A connection ended.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) header: Header,
    pub(crate) tuple: Tuple,
    pub(crate) key: u64,
    pub(crate) connection: Connection,
    pub(crate) counts: Counts,
    /// The state it was closed in, by the kernel's numbers.
    pub(crate) state: u32,
    /// The error number that the socket shows; 0 for none.
    pub(crate) error: u32,
}

impl Closed {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        Some(Self {
            header: fields.header()?,
            tuple: fields.tuple()??,
            key: fields.u64()?,
            connection: Connection::take(&mut fields)?,
            counts: Counts::take(&mut fields)?,
            state: fields.u32()?,
            error: fields.u32()?,
        })
    }
}

/// A socket began to listen.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) header: Header,
    pub(crate) tuple: Tuple,
    pub(crate) netns: u32,
}

impl Listening {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let (header, tuple) = (fields.header()?, fields.tuple()??);
        let (_key, _backlog) = (fields.u64()?, fields.u32()?);
        Some(Self { header, tuple, netns: fields.u32()? })
    }
}

/// A socket that stands open.
#[derive(Debug)]
pub(crate) struct OpenSocket {
    pub(crate) owner: Key,
    pub(crate) uid: u32,
    pub(crate) tuple: Tuple,
    pub(crate) key: u64,
    pub(crate) connection: Connection,
    pub(crate) counts: Counts,
    pub(crate) state: u32,
    pub(crate) netns: u32,
}

impl OpenSocket {
    /// Bytes of one record.
    pub(crate) const SIZE: usize = 200;

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let (start, pid, uid) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let (tuple, key) = (fields.tuple()??, fields.u64()?);
        let (connection, counts) = (Connection::take(&mut fields)?, Counts::take(&mut fields)?);
        let (state, netns, _backlog) = (fields.u32()?, fields.u32()?, fields.u32()?);
        Some(Self { owner: Key { pid, start }, uid, tuple, key, connection, counts, state, netns })
    }
}

/// The first bytes of what somebody said.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) header: Header,
    pub(crate) tuple: Tuple,
    pub(crate) key: u64,
    pub(crate) isn: u64,
    /// From request to response, nanoseconds; only of HTTP.
    pub(crate) latency: u64,
    /// Bytes in the packet, of which the beginning is here; of HTTP/2 `bytes` may begin later in it.
    pub(crate) total: u32,
    /// TCP sequence number of the first byte.
    pub(crate) seq: u32,
    pub(crate) protocol: PayloadProtocol,
    /// Whether the local end said it; of HTTP, whether the local end asked.
    pub(crate) is_out: bool,
    /// Which end of the connection is ours.
    pub(crate) role: Role,
    pub(crate) bytes: &'a [u8],
    /// How the response of HTTP begins.
    pub(crate) response: &'a [u8],
}

/// What the first eight bytes looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadProtocol {
    Dns,
    Http,
    Tls,
    Http2,
}

impl<'a> Payload<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let (header, tuple) = (fields.header()?, fields.tuple()??);
        let (key, isn, latency) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (total, seq, what) = (fields.u32()?, fields.u32()?, fields.u16()?);
        let (len, response_len) = (usize::from(fields.u16()?), usize::from(fields.u16()?));
        let (out, role) = (fields.u8()?, Role::of(fields.u8()?));
        let protocol = match what {
            1 => PayloadProtocol::Dns,
            2 => PayloadProtocol::Http,
            3 => PayloadProtocol::Tls,
            4 => PayloadProtocol::Http2,
            _ => return None,
        };
        let rest = fields.0;
        let (request, response) = match protocol {
            PayloadProtocol::Http => rest.split_at_checked(rest.len().checked_sub(RESPONSE)?)?,
            PayloadProtocol::Dns | PayloadProtocol::Tls | PayloadProtocol::Http2 => (rest, rest.get(..0)?),
        };
        Some(Self {
            header,
            tuple,
            key,
            isn,
            latency,
            total,
            seq,
            protocol,
            is_out: out != 0,
            role,
            bytes: request.get(..len)?,
            response: response.get(..response_len)?,
        })
    }
}

impl Payload<'_> {
    /// The sequence number with which this direction of the connection began, where that was seen.
    pub(crate) fn first_seq(&self) -> Option<u32> {
        let is_of_client = match self.role {
            Role::Unknown => return None,
            Role::Client => self.is_out,
            Role::Server => !self.is_out,
        };
        let [client, server] = [self.isn >> 32, self.isn & u64::from(u32::MAX)];
        let initial = u32::try_from(if is_of_client { client } else { server }).ok()?;
        (self.isn != 0).then(|| initial.wrapping_add(1))
    }
}

/// Bytes kept for the beginning of a response.
const RESPONSE: usize = 32;

/// UDP between one socket and one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UdpFlow {
    pub(crate) tuple: Tuple,
    pub(crate) owner: Key,
    pub(crate) owner_uid: u32,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) packets_out: u32,
    pub(crate) packets_in: u32,
    /// Whether the first packet seen went out.
    pub(crate) is_out_first: bool,
}

impl UdpFlow {
    /// Bytes of a key of the map.
    pub(crate) const KEY: usize = 32;
    /// Bytes of a value.
    pub(crate) const SIZE: usize = 104;

    /// The cookie in a key.
    pub(crate) fn cookie(key: &[u8]) -> Option<u64> {
        Fields::new(key).u64()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let tuple = fields.tuple()??;
        let (start, pid, owner_uid) = (fields.u64()?, fields.u32()?, fields.u32()?);
        Some(Self {
            tuple,
            owner: Key { pid, start },
            owner_uid,
            first: fields.u64()?,
            last: fields.u64()?,
            sent: fields.u64()?,
            received: fields.u64()?,
            packets_out: fields.u32()?,
            packets_in: fields.u32()?,
            is_out_first: fields.u32()? != 0,
        })
    }
}

/// Which packets were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DropKey {
    /// From `local` to `remote`.
    pub(crate) tuple: Tuple,
    pub(crate) reason: u32,
}

impl DropKey {
    /// Bytes of a key of the map.
    pub(crate) const SIZE: usize = 48;

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        Some(Self { tuple: fields.tuple()??, reason: fields.u32()? })
    }
}

/// How many packets were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drop {
    pub(crate) count: u64,
    pub(crate) last: u64,
    pub(crate) bytes: u64,
}

impl Drop {
    /// What came on top since `earlier`. Count and bytes are counted one after the other: a look in between gives the
    /// bytes to the next.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            count: self.count.saturating_sub(earlier.count),
            last: self.last,
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }

    /// Bytes of a value.
    pub(crate) const SIZE: usize = 32;

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let (count, _first) = (fields.u64()?, fields.u64()?);
        Some(Self { count, last: fields.u64()?, bytes: fields.u64()? })
    }
}
