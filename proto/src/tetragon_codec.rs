//! Tetragon's events ⇄ columns of `runtime_events`.
//!
//! The columns `process` and `parent` hold the messages of both processes, so that a process which many events name
//! stands once. `rest` holds the `tetragon.GetEventsResponse` without them and without what `kind`, `node`, `cluster`
//! and `time` hold. All other columns are copies for people: they are never read back.
//!
//! A kind that this build has no number for is kept as it came; its `kind` is its JSON member name, or `field_N`.

mod decode;
mod derive;
mod encode;
mod kind;

pub use decode::decode_response;
pub use encode::{encode_rate_limit, encode_response};
pub use kind::is_public_kind;
