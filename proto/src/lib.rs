//! The wires: our own `.proto` files for the Hubble and Tetragon APIs, proto JSON, and wire ⇄ columns.
//!
//! Every door uses the same two steps: JSON becomes wire bytes ([`json`]), wire bytes become columns ([`hubble`],
//! [`tetragon_codec`]); and back. What no column holds stays in `rest`, so that a message comes back as it was.
#![forbid(unsafe_code)]

pub mod dynamic;
mod events;
pub mod hubble;
pub mod json;
pub mod line;
pub mod mask;
#[cfg(test)]
mod properties;
mod raw;
mod schema;
pub mod tetragon_codec;
mod wire;

pub use events::{EventBuilders, Origin, Recorded, RejectReason, Rejection};
pub use raw::RawMessage;

/// Flows, filters and agent events (package `flow`).
#[expect(missing_docs, clippy::enum_variant_names, clippy::too_many_lines, reason = "generated")]
pub mod flow {
    tonic::include_proto!("flow");
}
/// The Hubble observer service (package `observer`).
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    reason = "generated"
)]
pub mod observer {
    tonic::include_proto!("observer");
}
/// The Hubble peer service (package `peer`).
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    reason = "generated"
)]
pub mod peer {
    tonic::include_proto!("peer");
}
/// Node states of a Hubble relay (package `relay`).
#[expect(missing_docs, clippy::enum_variant_names, reason = "generated")]
pub mod relay {
    tonic::include_proto!("relay");
}
/// Runtime events and the agent services of Tetragon (package `tetragon`).
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    clippy::enum_variant_names,
    clippy::too_many_lines,
    reason = "generated"
)]
pub mod tetragon {
    tonic::include_proto!("tetragon");
}

/// All `.proto` files of this crate and what they import, as an encoded `FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
