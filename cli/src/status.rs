//! `hindcast status`: what a server holds and what its sources do, or what lies in a data directory.

use std::fmt::Write as _;

use hindcast_model::Timestamp;
use hindcast_storage::StoreStatus;
use serde_json::{Value, json};

use crate::args::StatusArgs;
use crate::ask::{Asker, Local};
use crate::exit;
use crate::human;
use crate::server::Server;
use crate::setup::{self, Common};
use crate::table::{Align, Table};
use crate::terminal::{Palette, Tone, printable};

/// Runs the command. The exit status is 1 where something is wrong.
///
/// # Errors
/// The place cannot be reached or opened.
pub(crate) fn run(args: &StatusArgs, common: &Common) -> anyhow::Result<u8> {
    setup::block_on(async {
        let asker = Asker::open(&args.place, common).await?;
        let document = match &asker {
            Asker::Server(server) => of_server(server).await,
            Asker::Local(local) => Ok(of_store(local)),
        };
        asker.close().await;
        let document = document?;
        let text = if args.json { format!("{document:#}\n") } else { text(&document, common.palette())? };
        crate::print(&text)?;
        Ok(if troubles(&document).is_empty() { exit::DONE } else { exit::FAILED })
    })
}

async fn of_server(server: &Server) -> anyhow::Result<Value> {
    let mut document = server.json("/api/v1/status", &[]).await?;
    let sources = server.json("/api/v1/sources", &[]).await?;
    if let (Some(document), Some(sources)) = (document.as_object_mut(), sources.get("sources")) {
        document.insert("server".to_owned(), server.url().as_str().into());
        document.insert("sources".to_owned(), sources.clone());
    }
    Ok(document)
}

/// The same members as a server's answer, as far as a closed store has them.
fn of_store(local: &Local) -> Value {
    let status: StoreStatus = local.store().status();
    let time = |at: Timestamp| human::time(at);
    let tables: Vec<Value> = status
        .tables
        .iter()
        .map(|table| {
            json!({
                "table": table.table.name(),
                "rows": table.stats.n_rows(),
                "moved_rows": table.stats.moved_rows,
                "segment_rows": table.stats.segment_rows,
                "segment_bytes": table.stats.segment_bytes,
                "segments": table.stats.n_segments,
                "first": table.held.map(|(first, _)| time(first)),
                "last": table.held.map(|(_, last)| time(last)),
            })
        })
        .collect();
    json!({
        "lsn": status.lsn.get(),
        "log_bytes": status.log_bytes,
        "log_files": status.log_files,
        "memory_bytes": status.memory_bytes,
        "oldest_unsealed_at": status.oldest_unsealed_at.map(time),
        "last_log_error": status.last_log_error,
        "last_seal_error": status.last_seal_error,
        "last_clickhouse_error": status.last_clickhouse_error,
        "clickhouse_backlog_bytes": status.clickhouse_backlog_bytes,
        "clickhouse_shards_away": status.clickhouse_shards_away,
        "clickhouse_lacking": status.clickhouse_lacking,
        "clickhouse_set_aside": status.clickhouse_set_aside,
        "lake": status.lake.map(|lake| {
            let recorders = lake.recorders.into_iter().map(|recorder| {
                json!({
                    "recorder": recorder.recorder,
                    "seen_at": time(recorder.seen_at),
                    "named_until": time(recorder.named_until),
                })
            });
            json!({
                "last_error": lake.last_error,
                "waiting_segments": lake.n_waiting,
                "recorders": recorders.collect::<Vec<_>>(),
            })
        }),
        "missing_segments": status.missing_segments,
        "quarantined": status.quarantined,
        "tables": tables,
    })
}

/// What somebody has to look at.
fn troubles(document: &Value) -> Vec<String> {
    let mut troubles = Vec::new();
    for (member, what) in [
        ("last_log_error", "the log cannot be written"),
        ("last_seal_error", "sealing fails"),
        ("last_clickhouse_error", "rows wait for ClickHouse"),
    ] {
        troubles.extend(text_of(document, member).map(|error| format!("{what}: {error}")));
    }
    if let Some(error) = document.get("lake").and_then(|lake| text_of(lake, "last_error")) {
        troubles.push(format!("the shared catalogue is out of reach: {error}"));
    }
    match number_of(document, "clickhouse_shards_away") {
        0 => {}
        n_away => troubles.push(format!("shards of ClickHouse that do not answer: {n_away}")),
    }
    for (member, what) in [
        ("clickhouse_lacking", "ClickHouse lost rows"),
        ("clickhouse_set_aside", "a segment is kept from ClickHouse"),
        ("missing_segments", "missing segment"),
        ("quarantined", "quarantined log file"),
    ] {
        let paths = document.get(member).and_then(Value::as_array).into_iter().flatten();
        troubles.extend(paths.filter_map(Value::as_str).map(|path| format!("{what}: {path}")));
    }
    for source in document.get("sources").and_then(Value::as_array).into_iter().flatten() {
        if text_of(source, "state") == Some("failed") {
            let (name, detail) = (text_of(source, "name").unwrap_or("?"), text_of(source, "detail").unwrap_or(""));
            troubles.push(format!("source {name} failed: {detail}"));
        }
    }
    troubles
}

fn text_of<'a>(document: &'a Value, member: &str) -> Option<&'a str> {
    document.get(member).and_then(Value::as_str)
}

fn number_of(document: &Value, member: &str) -> u64 {
    document.get(member).and_then(Value::as_u64).unwrap_or(0)
}

fn text(document: &Value, palette: Palette) -> anyhow::Result<String> {
    let mut out = String::new();
    if let Some(server) = text_of(document, "server") {
        let version = text_of(document, "version").unwrap_or("?");
        let started = text_of(document, "started").unwrap_or("?");
        let _infallible = writeln!(out, "{server}  version {version}, running since {started}");
    }
    let _infallible = writeln!(
        out,
        "log {} in {} files, {} in memory",
        human::size(number_of(document, "log_bytes")),
        number_of(document, "log_files"),
        human::size(number_of(document, "memory_bytes")),
    );
    if let Some(n_bytes) = document.get("clickhouse_backlog_bytes").and_then(Value::as_u64) {
        let state = match text_of(document, "last_clickhouse_error") {
            Some(_) => ", which does not take them",
            None => "",
        };
        let _infallible = writeln!(out, "{} wait for ClickHouse{state}", human::size(n_bytes));
    }
    if let Some(lake) = document.get("lake").filter(|lake| lake.is_object()) {
        out.push_str(&lake_text(lake));
    }
    let tables = document.get("tables").and_then(Value::as_array).into_iter().flatten();
    // A table without rows of its own may have some of other recorders.
    let is_empty = |table: &&Value| text_of(table, "first").is_none();
    let rows: Vec<Vec<String>> = tables.filter(|table| !is_empty(table)).map(table_row).collect();
    if rows.is_empty() {
        out.push_str("no events yet\n");
    } else {
        let titles = ["table", "rows", "in ClickHouse only", "segments", "on disk", "from", "to"];
        out.push('\n');
        out.push_str(&render(&titles, 1..5, &rows, palette)?);
    }
    let sources = document.get("sources").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = sources.map(|source| source_row(source, palette)).collect();
    if !rows.is_empty() {
        let titles = ["source", "kind", "state", "received", "recorded", "duplicate", "rejected", "lost", "last event"];
        out.push('\n');
        out.push_str(&render(&titles, 3..8, &rows, palette)?);
    }
    for trouble in troubles(document) {
        let _infallible = writeln!(out, "{}", palette.paint(Tone::Bad, &printable(&trouble)));
    }
    Ok(out)
}

/// What waits for the shared catalogue, and who else writes there.
fn lake_text(lake: &Value) -> String {
    let mut out = String::new();
    match number_of(lake, "waiting_segments") {
        0 => {}
        n => {
            let _infallible = writeln!(out, "{} segments wait for the shared catalogue", human::count(n));
        }
    }
    for recorder in lake.get("recorders").and_then(Value::as_array).into_iter().flatten() {
        let text = |member| printable(text_of(recorder, member).unwrap_or("?"));
        let (name, until, seen) = (text("recorder"), text("named_until"), text("seen_at"));
        let _infallible = writeln!(out, "recorder {name}: all until {until}, last seen {seen}");
    }
    out
}

fn table_row(table: &Value) -> Vec<String> {
    vec![
        text_of(table, "table").unwrap_or("?").to_owned(),
        human::count(number_of(table, "rows")),
        human::count(number_of(table, "moved_rows")),
        human::count(number_of(table, "segments")),
        human::size(number_of(table, "segment_bytes")),
        text_of(table, "first").unwrap_or_default().to_owned(),
        text_of(table, "last").unwrap_or_default().to_owned(),
    ]
}

fn source_row(source: &Value, palette: Palette) -> Vec<String> {
    let sum = |member: &str| {
        let counts = source.get(member).and_then(Value::as_array).into_iter().flatten();
        human::count(counts.map(|count| number_of(count, "count")).sum())
    };
    let state = text_of(source, "state").unwrap_or("?");
    let tone = match state {
        "reading" | "ended" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Notable,
    };
    vec![
        printable(text_of(source, "name").unwrap_or("?")).into_owned(),
        text_of(source, "kind").unwrap_or("?").to_owned(),
        palette.paint(tone, state).into_owned(),
        human::count(number_of(source, "received")),
        human::count(number_of(source, "recorded")),
        human::count(number_of(source, "deduplicated")),
        sum("rejected"),
        sum("lost"),
        text_of(source, "last_event").unwrap_or_default().to_owned(),
    ]
}

fn render(
    titles: &[&str],
    numbers: std::ops::Range<usize>,
    rows: &[Vec<String>],
    palette: Palette,
) -> anyhow::Result<String> {
    let align = |column: usize| if numbers.contains(&column) { Align::Right } else { Align::Left };
    let columns = titles.iter().enumerate().map(|(column, title)| ((*title).to_owned(), align(column)));
    let mut out = Vec::new();
    Table::new(columns.collect(), "  ", palette).write(rows, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
