//! The reading thread of an import: opens each input where it was left and hands out its blocks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use hindcast_model::{Batch, SourceKind, Timestamp};
use hindcast_proto::RejectReason;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{DecodedBlock, Note, Place as Where, Ticket, Work};
use crate::file::blocks::{BlockLimits, Piece};
use crate::file::content::Packing;
use crate::file::decode::Decoded;
use crate::file::inputs::{Input, Place};
use crate::file::known::{Fingerprint, Reached};
use crate::file::open::{Opened, Opening, open};
use crate::file::summary::{FileState, Rejected, RejectedLines};
use crate::file::whole::{Whole, WholeReader};
use crate::pipeline::{Pipeline, Prepared, SubmitError};

/// What the reading thread needs.
pub(super) struct Reader {
    pub(super) pipeline: Pipeline,
    pub(super) limits: BlockLimits,
    pub(super) cancel: CancellationToken,
    pub(super) permits: mpsc::Sender<()>,
    pub(super) work: SyncSender<Work>,
    pub(super) notes: mpsc::Sender<Ticket>,
    /// Bytes read, as they lie on disk.
    pub(super) n_bytes: Arc<AtomicU64>,
    pub(super) next_seq: u64,
}

/// The other side has gone: the import was given up.
struct Gone;

/// What the collector has to know of an input before its blocks.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) reached: Option<Reached>,
}

impl Reader {
    /// Reads all inputs, in order.
    pub(super) fn run(mut self, inputs: &[Input]) {
        for (file, input) in inputs.iter().enumerate() {
            let before = self.n_bytes.load(Ordering::Relaxed);
            if self.cancel.is_cancelled() || self.input(file, input).is_err() {
                return;
            }
            self.n_bytes.store(before + input.n_bytes, Ordering::Relaxed);
        }
    }

    fn send(&mut self, file: usize, note: Note) -> Result<(), Gone> {
        self.permits.blocking_send(()).map_err(|_gone| Gone)?;
        let seq = self.take_seq();
        self.notes.blocking_send(Ticket { seq, file, note }).map_err(|_gone| Gone)
    }

    const fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    fn input(&mut self, file: usize, input: &Input) -> Result<(), Gone> {
        let pipeline = self.pipeline.clone();
        let state = match open(&input.place, self.limits, |head| pipeline.candidates(head)) {
            Ok(Opening::Ready(opened)) => return self.read(file, input, *opened),
            Ok(Opening::Whole(whole)) => return self.read_whole(file, input, *whole),
            Ok(Opening::Empty) => FileState::Empty,
            Ok(Opening::Unchanged(reached)) => return self.send(file, Note::Unchanged(Box::new(reached))),
            Ok(Opening::Foreign { first_line, hint }) => FileState::NotEvents { first_line, hint: Some(hint) },
            Err(error) => FileState::Failed { error: error.to_string() },
        };
        self.send(file, Note::Ended(state))
    }

    fn read(&mut self, file: usize, input: &Input, opened: Opened) -> Result<(), Gone> {
        let Opened { mut blocks, mut tail, fingerprint, reached, packing, n_packed } = opened;
        let before = self.n_bytes.load(Ordering::Relaxed);
        let may_be_foreign = reached.is_none();
        let give_up = Arc::new(AtomicBool::new(false));
        self.send(file, Note::Begun(Box::new(Begun { fingerprint, reached })))?;
        let mut is_first = true;
        while let Some(piece) = blocks.next_piece() {
            if self.cancel.is_cancelled() {
                return self.send(file, Note::Ended(FileState::Stopped));
            }
            if give_up.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.n_bytes.store(before + n_packed.load(Ordering::Relaxed).min(input.n_bytes), Ordering::Relaxed);
            match piece {
                Piece::Block(block) => {
                    let safe_end = block.end - (block.bytes.len() - block.safe.end) as u64;
                    tail.push(block.bytes.get(..block.safe.end).unwrap_or_default());
                    let safe = Where { position: safe_end, mark: tail.mark() };
                    tail.push(block.bytes.get(block.safe.end..).unwrap_or_default());
                    let end = Where { position: block.end, mark: tail.mark() };
                    let failure = blocks.take_failure();
                    let leaves_end = failure.is_some();
                    let safe_line = block.first_line + block.safe.n_lines;
                    let seq = self.take_seq();
                    let foreign = (is_first && may_be_foreign).then(|| Arc::clone(&give_up));
                    is_first = false;
                    let source = input.place.name();
                    self.permits.blocking_send(()).map_err(|_gone| Gone)?;
                    let work = Work { seq, file, source, block, safe, end, leaves_end, foreign };
                    self.work.send(work).map_err(|_gone| Gone)?;
                    if let Some(error) = failure {
                        return self.fail(file, input, packing, safe_line, &error);
                    }
                }
                Piece::TooLarge { line, n_bytes, end, tail: passed } => {
                    is_first = false;
                    tail.push(passed.bytes());
                    let detail = format!("a line of {n_bytes} bytes is longer than the limit of {}", self.limits.line);
                    let end = Where { position: end, mark: tail.mark() };
                    self.send(
                        file,
                        Note::Rejected { rejected: one(RejectReason::TooLarge, line, detail), end, n_bytes },
                    )?;
                }
            }
        }
        if let Some(error) = blocks.take_failure() {
            return self.fail(file, input, packing, blocks.line(), &error);
        }
        self.send(file, Note::Ended(FileState::Complete))
    }

    /// Reads an input that only makes sense as a whole.
    fn read_whole(&mut self, file: usize, input: &Input, whole: Whole) -> Result<(), Gone> {
        let fingerprint = whole.fingerprint;
        let before = self.n_bytes.load(Ordering::Relaxed);
        let n_packed = Arc::clone(&whole.n_packed);
        self.send(file, Note::Begun(Box::new(Begun { fingerprint, reached: None })))?;
        let mut reader = WholeReader::new(whole, &input.place.name(), self.cancel.clone());
        let mut n_bytes_before = 0;
        while let Some(batch) = reader.next_batch() {
            // What stood open of a file when it was stopped is told in full by the next import.
            if self.cancel.is_cancelled() && fingerprint.is_some() {
                return self.send(file, Note::Ended(FileState::Stopped));
            }
            self.n_bytes.store(before + n_packed.load(Ordering::Relaxed).min(input.n_bytes), Ordering::Relaxed);
            let (n_bytes, _mark) = reader.place();
            let note = match self.rows(&batch, reader.kind, n_bytes - n_bytes_before) {
                Ok(block) => Note::Block(Box::new(block)),
                Err(error) => Note::Broken(error),
            };
            n_bytes_before = n_bytes;
            self.send(file, note)?;
        }
        let is_stopped = self.cancel.is_cancelled();
        if is_stopped && fingerprint.is_some() {
            return self.send(file, Note::Ended(FileState::Stopped));
        }
        let (position, mark) = reader.place();
        let n_bytes = position - n_bytes_before;
        self.send(file, Note::Rejected { rejected: reader.rejected(), end: Where { position, mark }, n_bytes })?;
        let state = reader.state();
        self.send(file, Note::Ended(if is_stopped { FileState::Stopped } else { state }))
    }

    /// Rows as the decoders of lines hand them over, without a place to go on from.
    fn rows(&self, batch: &Batch, kind: SourceKind, n_bytes: u64) -> Result<DecodedBlock, SubmitError> {
        let events = Prepared::accepted(batch, self.pipeline.now())?;
        let first = events.keys.times.iter().min().map(|time| Timestamp::from_nanos(*time));
        let n_records = events.batch.n_rows() as u64;
        let decoded =
            Decoded { events: vec![events], n_records, first_time: first, kind: Some(kind), ..Decoded::default() };
        let nowhere = Where::default();
        Ok(DecodedBlock {
            decoded,
            is_foreign: false,
            safe: nowhere,
            end: nowhere,
            leaves_end: false,
            n_lines: 0,
            n_bytes,
        })
    }

    /// The input cannot be read on.
    fn fail(&mut self, file: usize, input: &Input, packing: Packing, line: u64, error: &io::Error) -> Result<(), Gone> {
        if packing == Packing::Plain {
            return self.send(file, Note::Ended(FileState::Failed { error: error.to_string() }));
        }
        let detail = format!("the packed content of {} ends here: {error}", input.place.name());
        let rejected = one(RejectReason::Truncated, line, detail);
        self.send(file, Note::Torn(rejected))?;
        self.send(file, Note::Ended(FileState::Truncated { line, error: error.to_string() }))
    }
}

/// A single rejected line.
fn one(reason: RejectReason, line: u64, detail: String) -> Rejected {
    let mut lines = RejectedLines::default();
    lines.add(line, || detail, 1);
    Rejected::from([(reason, lines)])
}

/// Whether a place is read as a pipe.
pub(super) const fn is_pipe(place: &Place) -> bool {
    matches!(place, Place::Stdin | Place::Stream(_))
}
