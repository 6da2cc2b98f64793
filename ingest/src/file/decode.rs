//! A block of text becomes batches, ready to append, and a list of what was rejected.

use hindcast_model::{SourceKind, TableId, Timestamp};
use hindcast_proto::{EventBuilders, Origin, RejectReason, line};

use memchr::memmem;

use super::blocks::Block;
use super::frame::{Item, frame};
use super::open::first_line;
use super::summary::{Rejected, RejectedLines};
use crate::pipeline::{Prepared, SubmitError};

/// A block, decoded.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// The events.
    pub(crate) events: Vec<Prepared>,
    /// How many records there were, good and bad.
    pub(crate) n_records: u64,
    /// The bad ones.
    pub(crate) rejected: Rejected,
    /// Whether the record at the end, unfinished or without its newline, is a bad one.
    pub(crate) is_end_rejected: bool,
    /// The earliest event time: the loss reports of the block are dated by it.
    pub(crate) first_time: Option<Timestamp>,
    /// The first line, if nothing at all in the block looks like an event.
    pub(crate) foreign: Option<String>,
    /// Which wire the events came by.
    pub(crate) kind: Option<SourceKind>,
}

/// What all blocks of an input share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeArgs<'a> {
    /// The name in the column `source`.
    pub(crate) source: &'a str,
    /// When the log accepts the events.
    pub(crate) recorded_at: Timestamp,
    /// Rejected lines kept per reason.
    pub(crate) max_samples: usize,
    /// Whether an unfinished record at the end is left for later.
    pub(crate) leaves_end: bool,
}

/// Whether a text that cannot be read may be a damaged event.
fn is_like_event(record: &[u8]) -> bool {
    ["\"flow\":", "\"process_", "\"time\":"].iter().any(|name| memmem::find(record, name.as_bytes()).is_some())
}

/// Decodes a block.
pub(crate) fn decode(block: &mut Block, args: DecodeArgs<'_>) -> Result<Decoded, SubmitError> {
    let mut decoded = Decoded::default();
    let mut builders = EventBuilders::default();
    // A line tells its own kind; the kind here only stands for lines that tell none.
    let origin = Origin { kind: SourceKind::Hubble, source: args.source, recorded_at: args.recorded_at };
    let end = if args.leaves_end { block.safe.end } else { block.bytes.len() };
    let end_line = block.first_line + block.safe.n_lines;
    let shown = first_line(block.bytes.get(..4096).unwrap_or(&block.bytes));
    let mut is_foreign = true;
    let Decoded { n_records, rejected, is_end_rejected, .. } = &mut decoded;
    let text = block.bytes.get_mut(..end).unwrap_or_default();
    frame(text, block.first_line, &mut |number, item| {
        *n_records += 1;
        let (reason, detail) = match item {
            Item::Torn(kind) => {
                is_foreign = false;
                (RejectReason::Truncated, kind.detail().into())
            }
            Item::Record(record) => {
                // A file that was cut short under its writer has a hole before the next line.
                let hole = record.iter().take_while(|byte| **byte == 0).count();
                let record = record.get_mut(hole..).unwrap_or_default();
                match line::decode_line(record, &origin, &mut builders) {
                    Ok(_recorded) => {
                        is_foreign = false;
                        return;
                    }
                    Err(rejection) => {
                        let is_text = rejection.reason != RejectReason::NotJson || std::str::from_utf8(record).is_ok();
                        let reason = if is_text { rejection.reason } else { RejectReason::NotUtf8 };
                        is_foreign &= match reason {
                            RejectReason::UnknownKind => true,
                            RejectReason::NotJson | RejectReason::NotUtf8 => !is_like_event(record),
                            RejectReason::TooLarge
                            | RejectReason::MissingTime
                            | RejectReason::TimeOutOfRange
                            | RejectReason::BadField
                            | RejectReason::Truncated
                            | RejectReason::Unsupported => false,
                        };
                        // The end of the input stands in the middle of the record.
                        let is_cut = reason == RejectReason::NotJson && number >= end_line;
                        (if is_cut { RejectReason::Truncated } else { reason }, rejection.detail)
                    }
                }
            }
        };
        *is_end_rejected |= number >= end_line;
        rejected.entry(reason).or_insert_with(RejectedLines::default).add(
            number,
            || detail.into_owned(),
            args.max_samples,
        );
    });
    if is_foreign && decoded.n_records > 0 {
        decoded.foreign = Some(shown);
    }
    let batches = builders.finish().map_err(|error| SubmitError::Assemble(std::sync::Arc::new(error)))?;
    for batch in batches {
        let prepared = Prepared::new(batch);
        let first = prepared.keys.times.iter().min().map(|time| Timestamp::from_nanos(*time));
        decoded.first_time = [decoded.first_time, first].into_iter().flatten().min();
        decoded.kind = Some(match prepared.batch.table {
            TableId::RuntimeEvents => SourceKind::Tetragon,
            _ => decoded.kind.unwrap_or(SourceKind::Hubble),
        });
        decoded.events.push(prepared);
    }
    Ok(decoded)
}
