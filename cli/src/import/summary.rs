//! What an import did, for people and for programs.

use std::fmt::Write as _;

use hindcast_ingest::file::{FileState, FileSummary, ImportSummary};
use hindcast_model::report;
use serde_json::{Value, json};

use crate::args::SummaryFormat;
use crate::human;
use crate::terminal::printable;

/// Whether an input could not be read.
pub(super) fn has_errors(summary: &ImportSummary) -> bool {
    !summary.errors.is_empty() || summary.files.iter().any(FileSummary::is_error)
}

/// The summary as text.
pub(super) fn render(summary: &ImportSummary, format: SummaryFormat) -> String {
    match format {
        SummaryFormat::Text => text(summary),
        SummaryFormat::Json => format!("{:#}\n", document(summary)),
    }
}

fn text(summary: &ImportSummary) -> String {
    let tally = summary.tally();
    let mut text = String::new();
    let seconds = summary.duration.as_secs_f64();
    let rate = if seconds > 0.0 { (summary.records() as f64 / seconds).round() } else { 0.0 };
    push(&mut text, format_args!("recorded   {:>12}\n", human::count(tally.recorded)));
    push(&mut text, format_args!("duplicate  {:>12}\n", human::count(tally.deduplicated)));
    push(&mut text, format_args!("rejected   {:>12}\n", human::count(tally.rejected)));
    for (reason, count) in summary.rejected() {
        push(&mut text, format_args!("  {:<16} {count}\n", reason.as_str()));
    }
    for (place, reason, detail) in rejections(summary) {
        push(&mut text, format_args!("  {place}: {reason}: {}\n", printable(&detail)));
    }
    let files = summary.files.len();
    push(
        &mut text,
        format_args!(
            "{files} {}, {} records, {} in {seconds:.1} s ({} records/s)\n",
            if files == 1 { "file" } else { "files" },
            human::count(summary.records()),
            human::size(summary.bytes()),
            human::count(whole(rate)),
        ),
    );
    let n_unchanged = summary.files.iter().filter(|file| file.state == FileState::Unchanged).count();
    if n_unchanged > 0 {
        push(&mut text, format_args!("  {n_unchanged} of them were imported before and have not changed\n"));
    }
    for file in summary.files.iter().filter(|file| !file.is_error()) {
        if let Some(note) = note(file) {
            push(&mut text, format_args!("  {}: {}\n", printable(&file.source), printable(&note)));
        }
    }
    if summary.is_stopped {
        text.push_str("stopped before the end: run the same import again and it goes on from here\n");
    }
    text
}

/// Inputs that could not be read, one line each, for stderr.
pub(super) fn complaints(summary: &ImportSummary) -> String {
    let mut text = String::new();
    for error in &summary.errors {
        push(&mut text, format_args!("error: {}\n", printable(&report(error))));
    }
    for file in summary.files.iter().filter(|file| file.is_error()) {
        let note = note(file).unwrap_or_default();
        push(&mut text, format_args!("error: {}: {}\n", printable(&file.source), printable(&note)));
    }
    text
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _infallible = text.write_fmt(arguments);
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rounded rate, bounded below")]
fn whole(rate: f64) -> u64 {
    rate.clamp(0.0, 1e15) as u64
}

/// `file:line`, reason and detail of the lines that are shown.
fn rejections(summary: &ImportSummary) -> impl Iterator<Item = (String, &'static str, String)> {
    summary.files.iter().flat_map(|file| {
        file.rejected.iter().flat_map(move |(reason, lines)| {
            lines.samples.iter().map(move |sample| {
                // An input without lines has none.
                let line = if sample.line > 0 { format!(":{}", sample.line) } else { String::new() };
                (format!("{}{line}", file.source), reason.as_str(), sample.detail.clone())
            })
        })
    })
}

/// What is worth saying of a file; `None` where all went as it should.
fn note(file: &FileSummary) -> Option<String> {
    match &file.state {
        FileState::Complete | FileState::Unchanged => None,
        FileState::Unread => Some("not read".to_owned()),
        FileState::Empty => Some("empty".to_owned()),
        FileState::NotEvents { first_line, hint } => {
            let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            Some(format!(
                "holds neither events of Hubble or Tetragon nor packets or flow logs{hint}; it begins with {first_line:?}"
            ))
        }
        FileState::Truncated { line: 0, error } => Some(format!("cut short {error}; what came before is kept")),
        FileState::Truncated { line, error } => {
            Some(format!("cut short at line {line}: {error}; what came before is kept"))
        }
        FileState::Failed { error } => Some(format!("could not be read: {error}")),
        FileState::Stopped => Some("stopped in its middle".to_owned()),
    }
}

const fn state_name(state: &FileState) -> &'static str {
    match state {
        FileState::Unread => "unread",
        FileState::Complete => "complete",
        FileState::Unchanged => "unchanged",
        FileState::Empty => "empty",
        FileState::NotEvents { .. } => "not_events",
        FileState::Truncated { .. } => "truncated",
        FileState::Failed { .. } => "failed",
        FileState::Stopped => "stopped",
    }
}

fn document(summary: &ImportSummary) -> Value {
    let tally = summary.tally();
    let by_reason: serde_json::Map<String, Value> =
        summary.rejected().into_iter().map(|(reason, count)| (reason.as_str().to_owned(), count.into())).collect();
    let rejections: Vec<Value> = rejections(summary)
        .map(|(place, reason, detail)| json!({ "at": place, "reason": reason, "detail": detail }))
        .collect();
    let files: Vec<Value> = summary.files.iter().map(file_document).collect();
    json!({
        "recorded": tally.recorded,
        "deduplicated": tally.deduplicated,
        "rejected": tally.rejected,
        "rejected_by_reason": by_reason,
        "rejections": rejections,
        "lines": summary.lines(),
        "records": summary.records(),
        "bytes": summary.bytes(),
        "duration_ms": u64::try_from(summary.duration.as_millis()).unwrap_or(u64::MAX),
        "is_complete": !summary.is_stopped && !has_errors(summary),
        "files": files,
        "errors": summary.errors.iter().map(|error| report(error)).collect::<Vec<_>>(),
    })
}

fn file_document(file: &FileSummary) -> Value {
    json!({
        "source": file.source,
        "state": state_name(&file.state),
        "note": note(file),
        "resumed_at": file.resumed_at,
        "lines": file.lines,
        "records": file.records,
        "bytes": file.bytes,
        "recorded": file.tally.recorded,
        "deduplicated": file.tally.deduplicated,
        "rejected": file.tally.rejected,
    })
}
