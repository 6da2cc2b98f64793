//! Proto JSON ⇄ wire bytes, driven by the descriptors; no message struct and no JSON tree in between.
//!
//! Reading accepts all of proto3's JSON mapping: proto names and camelCase names, enums by name or number, 64-bit
//! numbers as texts or numbers, `null` for absent. What the descriptors do not know is kept: unknown members, and
//! enum names without a number, stand as JSON text in field [`rest::UNKNOWN_JSON`] of the message they were in.
//!
//! Writing is deterministic: proto names in the order of declaration, map entries sorted by key, 64-bit numbers as
//! texts, enums by name, zeros left out where they mean nothing; kept unknown members come last. Unknown binary
//! fields have no name and are left out.
//!
//! Two things differ from the letter of the mapping. A field mask keeps path segments that begin with a capital
//! letter (`IP`, `Type`), which camelCase cannot express. An `Any` of an unknown type is an object with `@type` and
//! its bytes in base64 under `value`.
//!
//! [`rest::UNKNOWN_JSON`]: hindcast_model::rest::UNKNOWN_JSON

mod fault;
mod number;
mod read;
mod scalar;
mod tape;
mod time;
mod wellknown;
mod wellknown_text;
mod write;

use std::sync::LazyLock;

pub use fault::{JsonError, WireError};
pub(crate) use read::{Nodes, Reading, skip_value};
pub(crate) use tape::with_tape;

use crate::schema::{self, MessageDef};

/// Longer documents and messages are refused.
pub const MAX_BYTES: usize = 64 << 20;
/// Documents and messages nested deeper are refused.
pub const MAX_DEPTH: usize = 100;

macro_rules! messages {
    ($($(#[doc = $doc:literal])+ $variant:ident = $full_name:literal),+ $(,)?) => {
        /// A message that has a JSON form.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Message {
            $($(#[doc = $doc])+ $variant),+
        }

        static DEFINITIONS: LazyLock<Vec<Option<&'static MessageDef>>> =
            LazyLock::new(|| vec![$(schema::message($full_name)),+]);

        impl Message {
            /// Every message, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name with its package.
            #[must_use]
            pub const fn full_name(self) -> &'static str {
                match self {
                    $(Self::$variant => $full_name),+
                }
            }
        }
    };
}

messages! {
    /// One line of a Hubble exporter file.
    ExportEvent = "observer.ExportEvent",
    /// One item of a Hubble flow stream.
    GetFlowsResponse = "observer.GetFlowsResponse",
    /// One item of a Hubble agent event stream.
    GetAgentEventsResponse = "observer.GetAgentEventsResponse",
    /// One item of a Hubble debug event stream.
    GetDebugEventsResponse = "observer.GetDebugEventsResponse",
    /// What a Hubble client asks for.
    GetFlowsRequest = "observer.GetFlowsRequest",
    /// State of a Hubble server.
    ServerStatusResponse = "observer.ServerStatusResponse",
    /// Nodes a Hubble server knows.
    GetNodesResponse = "observer.GetNodesResponse",
    /// Namespaces a Hubble server knows.
    GetNamespacesResponse = "observer.GetNamespacesResponse",
    /// A flow without its envelope.
    Flow = "flow.Flow",
    /// A Hubble filter.
    FlowFilter = "flow.FlowFilter",
    /// An agent event without its envelope.
    AgentEvent = "flow.AgentEvent",
    /// A debug event without its envelope.
    DebugEvent = "flow.DebugEvent",
    /// A loss notice without its envelope.
    LostEvent = "flow.LostEvent",
    /// A relay's word on its nodes, without its envelope.
    NodeStatusEvent = "relay.NodeStatusEvent",
    /// One line of a Tetragon export file, also one item of its stream.
    GetEventsResponse = "tetragon.GetEventsResponse",
    /// What a Tetragon client asks for.
    GetEventsRequest = "tetragon.GetEventsRequest",
    /// A Tetragon filter.
    TetragonFilter = "tetragon.Filter",
    /// A Tetragon field filter.
    TetragonFieldFilter = "tetragon.FieldFilter",
    /// A process as Tetragon tells of it.
    Process = "tetragon.Process",
}

impl Message {
    #[expect(clippy::expect_used, reason = "a test looks up every variant")]
    pub(crate) fn definition(self) -> &'static MessageDef {
        DEFINITIONS.get(self as usize).copied().flatten().expect("a message of this crate")
    }
}

/// Appends the wire bytes of a JSON document to `out`; on an error `out` is as before. `json` is used as scratch
/// space and holds nothing useful afterwards.
///
/// # Errors
/// The text is no JSON, a known field has a value of another type, or a limit is passed.
pub fn to_wire(message: Message, json: &mut [u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let start = out.len();
    let read = with_tape(json, |nodes| {
        let mut reading = Reading::default();
        reading.document(message.definition(), nodes, out)
    });
    if read.is_err() {
        out.truncate(start);
    }
    read?
}

/// Appends the JSON document of wire bytes to `out`; on an error `out` is as before.
///
/// # Errors
/// The bytes are no message of that type, or a limit is passed.
pub fn from_wire(message: Message, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    let written = write::document(message.definition(), wire, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Reads a message struct from JSON text.
///
/// # Errors
/// As [`to_wire`].
pub fn parse<M: prost::Message + Default>(message: Message, json: &str) -> Result<M, JsonError> {
    let mut wire = Vec::with_capacity(json.len());
    to_wire(message, &mut json.as_bytes().to_vec(), &mut wire)?;
    M::decode(wire.as_slice()).map_err(|_error| JsonError::Field { path: String::new(), expected: message.full_name() })
}

/// The JSON text of a message struct.
///
/// # Errors
/// As [`from_wire`].
pub fn render<M: prost::Message>(message: Message, value: &M) -> Result<String, WireError> {
    let mut out = Vec::new();
    from_wire(message, &value.encode_to_vec(), &mut out)?;
    String::from_utf8(out).map_err(|_error| WireError::NotUtf8 { path: String::new() })
}

#[cfg(test)]
mod tests;
