//! The `rest` column: what a wire message held and no column of the table does.
//!
//! It is protobuf bytes: the remaining fields of the message under their own numbers, unknown ones included, and
//! under the numbers below, which no public message uses, what only a recorder has to remember.

/// Members of a JSON document that the recorder's descriptors do not know: a JSON object text, nested as it was.
pub const UNKNOWN_JSON: u32 = 536_000_001;
/// The envelope (response or export line) of an event where it does not follow from the event itself.
pub const ENVELOPE: u32 = 536_000_002;
/// An event that came bare, with no envelope around it: a varint 1.
pub const BARE: u32 = 536_000_003;
/// A message whose `time` column is not its own time field's but the envelope's or another field's: a varint 1.
pub const NO_TIME: u32 = 536_000_004;
/// A field whose columns are only copies for people, because it did not fit them; the field itself stands in `rest`:
/// its number as a varint.
pub const COPIED: u32 = 536_000_005;
/// When a connection that the row sums up was last seen, nanoseconds since 1970 as a varint; `time` is when it was
/// first seen.
pub const LAST_SEEN: u32 = 536_000_006;
