//! Hubble's messages ⇄ columns.
//!
//! A value that fits its column stands there. All else of a flow — unknown fields, policies, further workloads,
//! empty messages whose presence means something, numbers too large for their column — stands in `rest` as bytes of
//! the same message; bytes of one message behind one another are their merge, so that putting both together gives
//! the flow that came in. An envelope that does not follow from its flow, and marks of what is missing, stand there
//! too, under the numbers of [`hindcast_model::rest`].
//!
//! Rows of `agent_events` and `losses` hold the whole message in `rest`, as an `observer.ExportEvent`.

mod decode;
mod encode;
mod endpoint;
mod event;
mod fault;
mod layer7;
mod layers;
mod row;

pub use decode::{decode_flow, decode_response};
pub use encode::{encode_flow, encode_recorded, encode_response};
pub(crate) use event::{checked, put_origin, put_time};
pub use event::{decode_agent_response, decode_debug_response, encode_agent_event, encode_agent_response, encode_lost};
pub(crate) use fault::{Fault, bytes, number, text};
pub(crate) use row::{Instant, Scratch, instant, put_list_item};
