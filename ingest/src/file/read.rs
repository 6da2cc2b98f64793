//! Reads and decodes files without recording them, for a caller that hands the batches to a recorder elsewhere.
//!
//! One thread, whole files, from their start: the recorder at the other end tells repeats by the events' ids.

use hindcast_model::{Batch, Timestamp};
use hindcast_proto::RejectReason;

use super::blocks::Piece;
use super::config::ImportConfig;
use super::content::Packing;
use super::decode::{DecodeArgs, decode};
use super::inputs::{Input, Inputs};
use super::open::{Opened, Opening, open};
use super::summary::{FileState, FileSummary, ImportSummary, merge};

/// What became of a batch at the recorder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Rows that are durable there now.
    pub recorded: u64,
    /// Rows that were there already.
    pub deduplicated: u64,
}

/// Reads `paths` (files, globs, directories, `-`) and hands every batch to `take`, with the name of its input. What
/// cannot be read or decoded is listed in the summary and does not stop the rest; an error of `take` stops all.
///
/// # Errors
/// The first error of `take`.
pub fn read<E>(
    paths: &[String],
    config: &ImportConfig,
    recorded_at: Timestamp,
    mut take: impl FnMut(&str, Batch) -> Result<Taken, E>,
) -> Result<ImportSummary, E> {
    let Inputs { found, errors, .. } = Inputs::expand(paths);
    let mut summary = ImportSummary { errors, ..ImportSummary::default() };
    for input in &found {
        summary.files.push(read_one(input, config, recorded_at, &mut take)?);
    }
    Ok(summary)
}

fn read_one<E>(
    input: &Input,
    config: &ImportConfig,
    recorded_at: Timestamp,
    take: &mut impl FnMut(&str, Batch) -> Result<Taken, E>,
) -> Result<FileSummary, E> {
    let mut file = FileSummary::new(input.place.name(), input.is_named);
    file.state = match open(&input.place, config.limits(), |_head| Vec::new()) {
        Ok(Opening::Ready(opened)) => read_blocks(*opened, config, recorded_at, &mut file, take)?,
        Ok(Opening::Empty) => FileState::Empty,
        Ok(Opening::Unchanged(_reached)) => FileState::Unchanged,
        Ok(Opening::Foreign { first_line, hint }) => FileState::NotEvents { first_line, hint: Some(hint) },
        Err(error) => FileState::Failed { error: error.to_string() },
    };
    Ok(file)
}

fn read_blocks<E>(
    opened: Opened,
    config: &ImportConfig,
    recorded_at: Timestamp,
    file: &mut FileSummary,
    take: &mut impl FnMut(&str, Batch) -> Result<Taken, E>,
) -> Result<FileState, E> {
    let Opened { mut blocks, packing, .. } = opened;
    let max_samples = config.max_samples;
    let mut is_first = true;
    while let Some(piece) = blocks.next_piece() {
        match piece {
            Piece::TooLarge { line, n_bytes, .. } => {
                let lines = file.rejected.entry(RejectReason::TooLarge).or_default();
                lines.add(line, || format!("a line of {n_bytes} bytes is longer than the limit"), max_samples);
                file.tally.rejected += 1;
                file.records += 1;
                file.bytes += n_bytes;
            }
            Piece::Block(mut block) => {
                let failure = blocks.take_failure();
                let source = file.source.clone();
                let args = DecodeArgs { source: &source, recorded_at, max_samples, leaves_end: failure.is_some() };
                let decoded = match decode(&mut block, args) {
                    Ok(decoded) => decoded,
                    Err(error) => return Ok(FileState::Failed { error: hindcast_model::report(&error) }),
                };
                if let Some(first_line) = decoded.foreign.filter(|_| is_first) {
                    return Ok(FileState::NotEvents { first_line, hint: None });
                }
                file.lines += block.n_lines;
                file.bytes += block.bytes.len() as u64;
                file.records += decoded.n_records;
                file.tally.rejected += decoded.rejected.values().map(|lines| lines.count).sum::<u64>();
                merge(&mut file.rejected, &decoded.rejected, max_samples);
                for prepared in decoded.events {
                    let taken = take(&source, prepared.batch)?;
                    file.tally.recorded += taken.recorded;
                    file.tally.deduplicated += taken.deduplicated;
                }
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

fn broken(packing: Packing, line: u64, error: &std::io::Error) -> FileState {
    match packing {
        Packing::Plain => FileState::Failed { error: error.to_string() },
        Packing::Gzip | Packing::Zstd => FileState::Truncated { line, error: error.to_string() },
    }
}
