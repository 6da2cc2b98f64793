//! Reads and decodes files without recording them, for a caller that hands the batches to a recorder elsewhere.
//!
//! One thread, whole files, from their start: the recorder at the other end tells repeats by the events' ids.

use std::sync::atomic::Ordering;

use hindcast_model::{Batch, Timestamp};
use hindcast_proto::RejectReason;
use tokio_util::sync::CancellationToken;

use super::blocks::{Block, Piece};
use super::config::ImportConfig;
use super::content::Packing;
use super::decode::{DecodeArgs, decode};
use super::inputs::{Input, Inputs};
use super::open::{Opened, Opening, open};
use super::summary::{FileState, FileSummary, ImportSummary, Progress, merge};
use super::whole::{Whole, WholeReader};

/// What became of a batch at the recorder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Rows that are durable there now.
    pub recorded: u64,
    /// Rows that were there already.
    pub deduplicated: u64,
}

/// Reads `paths` (files, globs, directories, `-`) and hands every batch to `take`, with the name of its input; `tell`
/// hears how far it is. What cannot be read or decoded is listed in the summary and does not stop the rest; an error
/// of `take` stops all.
///
/// # Errors
/// The first error of `take`.
pub fn read<E>(
    paths: &[String],
    config: &ImportConfig,
    recorded_at: Timestamp,
    take: impl FnMut(&str, Batch) -> Result<Taken, E>,
    tell: impl FnMut(&Progress),
) -> Result<ImportSummary, E> {
    let Inputs { found, errors, .. } = Inputs::expand(paths);
    let mut summary = ImportSummary { errors, ..ImportSummary::default() };
    let bytes_total = found.iter().map(|input| input.n_bytes).sum();
    let progress = Progress { files_total: found.len(), bytes_total, ..Progress::default() };
    let mut reading = Reading { config, recorded_at, take, tell, progress };
    for input in &found {
        let before = reading.progress.bytes_done;
        summary.files.push(reading.input(input)?);
        reading.progress.files_done += 1;
        reading.progress.bytes_done = before + input.n_bytes;
        (reading.tell)(&reading.progress);
    }
    Ok(summary)
}

struct Reading<'a, T, P> {
    config: &'a ImportConfig,
    recorded_at: Timestamp,
    take: T,
    tell: P,
    progress: Progress,
}

impl<E, T, P> Reading<'_, T, P>
where
    T: FnMut(&str, Batch) -> Result<Taken, E>,
    P: FnMut(&Progress),
{
    fn input(&mut self, input: &Input) -> Result<FileSummary, E> {
        let mut file = FileSummary::new(input.place.name(), input.is_named);
        file.state = match open(&input.place, self.config.limits(), |_head| Vec::new()) {
            Ok(Opening::Ready(opened)) => self.blocks(*opened, &mut file)?,
            Ok(Opening::Whole(whole)) => self.whole(*whole, &mut file)?,
            Ok(Opening::Empty) => FileState::Empty,
            Ok(Opening::Unchanged(_reached)) => FileState::Unchanged,
            Ok(Opening::Foreign { first_line, hint }) => FileState::NotEvents { first_line, hint: Some(hint) },
            Err(error) => FileState::Failed { error: error.to_string() },
        };
        Ok(file)
    }

    fn blocks(&mut self, opened: Opened, file: &mut FileSummary) -> Result<FileState, E> {
        let Opened { mut blocks, packing, n_packed, .. } = opened;
        let before = self.progress.bytes_done;
        let mut is_first = true;
        while let Some(piece) = blocks.next_piece() {
            match piece {
                Piece::TooLarge { line, n_bytes, .. } => {
                    let lines = file.rejected.entry(RejectReason::TooLarge).or_default();
                    let detail = || format!("a line of {n_bytes} bytes is longer than the limit");
                    lines.add(line, detail, self.config.max_samples);
                    file.tally.rejected += 1;
                    file.records += 1;
                    file.bytes += n_bytes;
                }
                Piece::Block(block) => {
                    let failure = blocks.take_failure();
                    if let Some(end) = self.block(block, file, is_first, failure.is_some())? {
                        return Ok(end);
                    }
                    self.progress.bytes_done = before + n_packed.load(Ordering::Relaxed);
                    (self.tell)(&self.progress);
                    if let Some(error) = failure {
                        return Ok(broken(packing, blocks.line(), &error));
                    }
                }
            }
            is_first = false;
        }
        match blocks.take_failure() {
            Some(error) => Ok(broken(packing, blocks.line(), &error)),
            None => Ok(FileState::Complete),
        }
    }

    /// Reads an input that only makes sense as a whole.
    fn whole(&mut self, whole: Whole, file: &mut FileSummary) -> Result<FileState, E> {
        let before = self.progress.bytes_done;
        let n_packed = std::sync::Arc::clone(&whole.n_packed);
        let source = file.source.clone();
        let mut reader = WholeReader::new(whole, &source, CancellationToken::new());
        while let Some(batch) = reader.next_batch() {
            file.records += batch.n_rows() as u64;
            self.take(&source, batch, file)?;
            file.bytes = reader.place().0;
            self.progress.bytes_done = before + n_packed.load(Ordering::Relaxed);
            (self.tell)(&self.progress);
        }
        file.bytes = reader.place().0;
        let rejected = reader.rejected();
        let n_rejected = rejected.values().map(|lines| lines.count).sum::<u64>();
        file.records += n_rejected;
        file.tally.rejected += n_rejected;
        merge(&mut file.rejected, &rejected, self.config.max_samples);
        Ok(reader.state())
    }

    /// Hands a batch over.
    fn take(&mut self, source: &str, batch: Batch, file: &mut FileSummary) -> Result<(), E> {
        let taken = (self.take)(source, batch)?;
        file.tally.recorded += taken.recorded;
        file.tally.deduplicated += taken.deduplicated;
        self.progress.rows += taken.recorded + taken.deduplicated;
        Ok(())
    }

    /// Decodes a block and hands its batches over; `Some` if the input ends here.
    fn block(
        &mut self,
        mut block: Block,
        file: &mut FileSummary,
        is_first: bool,
        leaves_end: bool,
    ) -> Result<Option<FileState>, E> {
        let max_samples = self.config.max_samples;
        let source = file.source.clone();
        let args = DecodeArgs { source: &source, recorded_at: self.recorded_at, max_samples, leaves_end };
        let decoded = match decode(&mut block, args) {
            Ok(decoded) => decoded,
            Err(error) => return Ok(Some(FileState::Failed { error: hindcast_model::report(&error) })),
        };
        if let Some(first_line) = decoded.foreign.filter(|_| is_first) {
            return Ok(Some(FileState::NotEvents { first_line, hint: None }));
        }
        file.lines += block.n_lines;
        file.bytes += block.bytes.len() as u64;
        file.records += decoded.n_records;
        file.tally.rejected += decoded.rejected.values().map(|lines| lines.count).sum::<u64>();
        merge(&mut file.rejected, &decoded.rejected, max_samples);
        for prepared in decoded.events {
            self.take(&source, prepared.batch, file)?;
        }
        Ok(None)
    }
}

fn broken(packing: Packing, line: u64, error: &std::io::Error) -> FileState {
    match packing {
        Packing::Plain => FileState::Failed { error: error.to_string() },
        Packing::Gzip | Packing::Zstd => FileState::Truncated { line, error: error.to_string() },
    }
}
