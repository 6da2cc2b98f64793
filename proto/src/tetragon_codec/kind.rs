//! The kinds of runtime events: their wire names and numbers, and where their processes stand.

use crate::json::Message;

/// The numbers of kinds begin here that no public descriptor has.
const FIRST_OWN: u32 = 536_000_000;
/// An exporter's word on what it dropped: no event of a process.
pub(super) const RATE_LIMIT_INFO: u32 = 40_001;

/// One kind of event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Its field in `tetragon.GetEventsResponse`.
    pub(super) number: u32,
    /// The fields of process and parent in its message; 0 for none.
    pub(super) process: u32,
    pub(super) parent: u32,
}

impl Kind {
    /// The kind with that number.
    pub(super) fn by_number(number: u32) -> Option<Self> {
        let field = Message::GetEventsResponse.definition().by_number(number).filter(|field| field.oneof != 0)?;
        let message = crate::schema::schema().message_of(field)?;
        let number_of = |name: &str| message.by_name(name).map_or(0, |field| field.number);
        Some(Self { name: &field.name, number, process: number_of("process"), parent: number_of("parent") })
    }

    /// The kind of that name.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::by_number(Message::GetEventsResponse.definition().by_name(name)?.number)
    }
}

/// Whether a client of the public API knows a kind of event. Others must not be sent to it: a compact `tetra` stops
/// at the first one.
#[must_use]
pub fn is_public_kind(name: &str) -> bool {
    Kind::by_name(name).is_some_and(|kind| kind.number < FIRST_OWN && kind.number != RATE_LIMIT_INFO)
}
