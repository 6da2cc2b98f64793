//! The ordered end of an import: keeps each file's account and submits what has gathered.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindcast_model::{SourceKind, Timestamp};

use super::reader::is_pipe;
use super::{DecodedBlock, Note, Place};
use crate::file::config::ImportConfig;
use crate::file::inputs::{self, Input};
use crate::file::known::{Reached, Tally};
use crate::file::report::{ReportArgs, report};
use crate::file::summary::{FileState, ImportSummary, Progress, Rejected, merge};
use crate::pipeline::{Part, Pipeline, SubmitError};
use crate::source::Source;

/// Bytes of columns submitted together at most; an append has to fit one log record.
pub(crate) const MAX_SUBMIT_BYTES: usize = 24 << 20;

/// A file being read.
#[derive(Debug)]
struct Reading {
    part: Part,
    /// How far it is read, with the account up to the last submission; its progress is recorded only with a
    /// fingerprint.
    reached: Reached,
    kind: SourceKind,
    last_time: Option<Timestamp>,
    is_dirty: bool,
}

/// Keeps the account of an import.
#[derive(Debug)]
pub(super) struct Collector {
    pipeline: Pipeline,
    source: Source,
    inputs: Arc<Vec<Input>>,
    max_samples: usize,
    summary: ImportSummary,
    reading: BTreeMap<usize, Reading>,
    n_rows: usize,
    n_bytes: usize,
    n_settled: u64,
    files_done: usize,
}

impl Collector {
    pub(super) fn new(
        pipeline: Pipeline,
        source: Source,
        inputs: Arc<Vec<Input>>,
        config: &ImportConfig,
        summary: ImportSummary,
    ) -> Self {
        Self {
            pipeline,
            source,
            inputs,
            max_samples: config.max_samples,
            summary,
            reading: BTreeMap::new(),
            n_rows: 0,
            n_bytes: 0,
            n_settled: 0,
            files_done: 0,
        }
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            files_done: self.files_done,
            files_total: self.inputs.len(),
            rows: self.n_settled,
            ..Progress::default()
        }
    }

    /// The summary; files that were begun and not ended were stopped.
    pub(super) fn into_summary(mut self) -> ImportSummary {
        for file in self.reading.keys() {
            if let Some(file) = self.summary.files.get_mut(*file) {
                file.state = FileState::Stopped;
            }
        }
        self.summary
    }

    fn set_state(&mut self, file: usize, state: FileState) {
        if let Some(summary) = self.summary.files.get_mut(file)
            && summary.state == FileState::Unread
        {
            summary.state = state;
            self.files_done += 1;
        }
    }

    /// Takes in a note; whether enough has gathered to submit it.
    pub(super) fn take(&mut self, file: usize, note: Note) -> Result<bool, SubmitError> {
        let is_done = self.summary.files.get(file).is_none_or(|it| it.state != FileState::Unread);
        if is_done {
            return Ok(false);
        }
        match note {
            Note::Begun(begun) => self.begin(file, begun.fingerprint, begun.reached),
            Note::Unchanged(reached) => {
                if let Some(summary) = self.summary.files.get_mut(file) {
                    summary.rejected_before = reached.tally.rejected;
                }
                self.set_state(file, FileState::Unchanged);
            }
            Note::Block(block) => self.block(file, *block)?,
            Note::Rejected { rejected, end, n_bytes } => {
                // What has no line is of an input without lines.
                let has_line = rejected.values().any(|lines| lines.last_line > 0);
                if let Some(summary) = self.summary.files.get_mut(file) {
                    summary.lines += u64::from(has_line);
                    summary.bytes += n_bytes;
                }
                let n_rejected = rejected.values().map(|lines| lines.count).sum();
                self.reject(file, n_rejected, &rejected, None)?;
                self.move_to(file, end, 0);
            }
            Note::Torn(rejected) => self.reject(file, 1, &rejected, None)?,
            Note::Ended(state) => {
                let is_complete = matches!(state, FileState::Complete | FileState::Truncated { .. });
                if let Some(reading) = self.reading.get_mut(&file) {
                    reading.reached.is_complete = is_complete;
                    reading.is_dirty = true;
                }
                self.set_state(file, state);
            }
            Note::Broken(error) => return Err(error),
        }
        Ok(self.n_rows >= self.pipeline.config().max_append_rows || self.n_bytes >= MAX_SUBMIT_BYTES)
    }

    fn begin(&mut self, file: usize, fingerprint: Option<crate::file::known::Fingerprint>, reached: Option<Reached>) {
        let source = self.inputs.get(file).map(|input| input.place.name()).unwrap_or_default();
        let reached = match reached {
            Some(reached) => Reached { source, fingerprint, is_complete: false, ..reached },
            None => Reached {
                source,
                fingerprint,
                position: 0,
                mark: 0,
                pending: 0,
                is_complete: false,
                tally: Tally::default(),
                last_event_time: None,
            },
        };
        if let Some(summary) = self.summary.files.get_mut(file) {
            summary.resumed_at = reached.position;
            summary.rejected_before = reached.tally.rejected;
        }
        let last_time = reached.last_event_time;
        let reading = Reading { part: Part::default(), reached, kind: SourceKind::Hubble, last_time, is_dirty: false };
        self.reading.insert(file, reading);
    }

    fn block(&mut self, file: usize, block: DecodedBlock) -> Result<(), SubmitError> {
        let DecodedBlock { mut decoded, is_foreign, safe, end, leaves_end, n_lines, n_bytes } = block;
        if is_foreign {
            let first_line = decoded.foreign.take().unwrap_or_default();
            self.reading.remove(&file);
            self.set_state(file, FileState::NotEvents { first_line, hint: None });
            return Ok(());
        }
        if let Some(summary) = self.summary.files.get_mut(file) {
            summary.lines += n_lines;
            summary.bytes += n_bytes;
        }
        if let Some(reading) = self.reading.get_mut(&file) {
            reading.kind = decoded.kind.unwrap_or(reading.kind);
            for events in &decoded.events {
                self.n_rows += events.batch.n_rows();
                self.n_bytes += events.batch.records.get_array_memory_size();
            }
            reading.part.events.append(&mut decoded.events);
        }
        self.reject(file, decoded.n_records, &decoded.rejected, decoded.first_time)?;
        if leaves_end || decoded.is_end_rejected {
            self.move_to(file, safe, end.position - safe.position);
        } else {
            self.move_to(file, end, 0);
        }
        Ok(())
    }

    fn move_to(&mut self, file: usize, place: Place, pending: u64) {
        if let Some(reading) = self.reading.get_mut(&file) {
            reading.reached.position = place.position;
            reading.reached.mark = place.mark;
            reading.reached.pending = pending;
            reading.is_dirty = true;
        }
    }

    /// Counts records, the bad ones among them, and reports these.
    fn reject(
        &mut self,
        file: usize,
        n_records: u64,
        rejected: &Rejected,
        time: Option<Timestamp>,
    ) -> Result<(), SubmitError> {
        self.source.count_received(n_records);
        let n_rejected: u64 = rejected.values().map(|lines| lines.count).sum();
        rejected.iter().for_each(|(reason, lines)| self.source.count_rejected(*reason, lines.count));
        if let Some(summary) = self.summary.files.get_mut(file) {
            summary.records += n_records;
            summary.tally.rejected += n_rejected;
            merge(&mut summary.rejected, rejected, self.max_samples);
        }
        let Some(reading) = self.reading.get_mut(&file) else { return Ok(()) };
        let input = self.inputs.get(file);
        let time = time.or(reading.last_time).or_else(|| input.and_then(modified));
        reading.last_time = time;
        reading.part.n_rejected += n_rejected;
        let now = self.pipeline.now();
        let args = ReportArgs {
            source: &reading.reached.source,
            kind: reading.kind,
            time: time.unwrap_or(now),
            recorded_at: now,
        };
        let report = report(rejected, args).map_err(|error| SubmitError::Assemble(Arc::new(error)))?;
        reading.part.reports.extend(report);
        Ok(())
    }

    /// Records what has gathered.
    pub(super) async fn flush(&mut self) -> Result<(), SubmitError> {
        let (mut files, mut parts) = (Vec::new(), Vec::new());
        for (file, reading) in &mut self.reading {
            let mut part = std::mem::take(&mut reading.part);
            let has_progress = reading.is_dirty && reading.reached.fingerprint.is_some();
            part.progress = has_progress.then(|| reading.reached.clone());
            if has_progress || !part.events.is_empty() || !part.reports.is_empty() {
                files.push((*file, part.n_rejected));
                parts.push(part);
            }
            reading.is_dirty = false;
        }
        self.n_rows = 0;
        self.n_bytes = 0;
        if !parts.is_empty() {
            let outcomes = self.pipeline.submit_or_lose(&self.source, parts).await?;
            for ((file, rejected), outcome) in files.into_iter().zip(outcomes) {
                let now = Tally { recorded: outcome.recorded, deduplicated: outcome.deduplicated, rejected };
                self.n_settled += outcome.recorded + outcome.deduplicated;
                if let Some(reading) = self.reading.get_mut(&file) {
                    reading.reached.tally += now;
                    reading.reached.last_event_time = reading.reached.last_event_time.max(outcome.last_event_time);
                }
                if let Some(summary) = self.summary.files.get_mut(file) {
                    // The rejected ones stand there since they were met.
                    summary.tally += Tally { rejected: 0, ..now };
                }
            }
        }
        let files = &self.summary.files;
        self.reading.retain(|file, _| files.get(*file).is_some_and(|file| file.state == FileState::Unread));
        Ok(())
    }
}

/// When a file was written last: the same however often it is read.
fn modified(input: &Input) -> Option<Timestamp> {
    let path = match &input.place {
        inputs::Place::File(path) => path,
        inputs::Place::Object(listed) => return Some(listed.object.modified),
        inputs::Place::Stdin | inputs::Place::Stream(_) => return None,
    };
    debug_assert!(!is_pipe(&input.place), "a pipe has no time");
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_nanos(0).saturating_add(since))
}
