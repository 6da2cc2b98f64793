//! `hindcast inspect`: what lies in a data directory, and with `--verify` whether it is whole.

mod log;
mod segments;

use anyhow::Context as _;
use hindcast_model::TableId;
use hindcast_query::Limits;
use serde_json::Value;

use crate::args::{InspectArgs, InspectWhat};
use crate::ask::Local;
use crate::config::Settings;
use crate::exit;
use crate::setup::{self, Common, Voice};
use crate::table::{Align, Table};
use crate::terminal::Palette;

/// One part of the answer: rows for people, a document for programs, and whether anything is damaged.
#[derive(Debug)]
struct Part {
    name: &'static str,
    /// Titles and cells; the first column holds text, the others are numbers where all cells are.
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// Said below the table.
    notes: Vec<String>,
    document: Value,
    is_damaged: bool,
}

/// What is lost, by where and why.
const LOSSES: &str = "\
SELECT stage, reason, source, count(*) AS reports, sum(count) AS events, min(time) AS first, max(time) AS last \
FROM losses GROUP BY stage, reason, source ORDER BY stage, reason, source";

/// Runs the command. The exit status is 1 where something is damaged.
///
/// Log, segments and catalogue are read as they lie: also beside a running server, and where the store does not open.
///
/// # Errors
/// There is no data directory, or losses are asked for while a server holds it.
pub(crate) fn run(args: &InspectArgs, common: &Common) -> anyhow::Result<u8> {
    let settings = common.settings(Voice::Tool, setup::inputs(None, args.data_dir.as_ref()))?;
    setup::require_store(&settings.storage.data_dir)?;
    let config = settings.storage.clone().validate().map_err(|error| exit::usage(error.to_string()))?;
    let is_wanted = |what| args.what.is_none_or(|wanted| wanted == what);
    setup::block_on(async {
        let mut parts = Vec::new();
        if is_wanted(InspectWhat::Log) {
            parts.push(log::inspect(&config)?);
        }
        if is_wanted(InspectWhat::Catalog) {
            parts.push(segments::catalog(&config).await?);
        }
        if is_wanted(InspectWhat::Segments) {
            parts.push(segments::inspect(&config, args.verify).await?);
        }
        if is_wanted(InspectWhat::Losses) {
            match losses_of(settings).await {
                Ok(part) => parts.push(part),
                // The other parts are worth showing all the same.
                Err(error) if args.what.is_none() => parts.push(unread(&error)),
                Err(error) => return Err(error),
            }
        }
        let is_damaged = parts.iter().any(|part| part.is_damaged);
        crate::print(&render(&parts, args.json, common.palette())?)?;
        Ok(if is_damaged { exit::FAILED } else { exit::DONE })
    })
}

fn unread(error: &anyhow::Error) -> Part {
    Part {
        name: TableId::Losses.name(),
        titles: Vec::new(),
        rows: Vec::new(),
        notes: vec![format!("not read: {error:#}")],
        document: Value::Null,
        is_damaged: false,
    }
}

async fn losses_of(settings: Settings) -> anyhow::Result<Part> {
    let local = Local::open(settings).await?;
    let part = losses(&local).await;
    local.close().await;
    part
}

async fn losses(local: &Local) -> anyhow::Result<Part> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let stream = local.engine().sql(LOSSES, Limits::unbounded_answer()).await?;
    let (mut rows, mut answer) = (Vec::new(), crate::ask::Rows::Sql(stream));
    while let Some(records) = answer.next().await? {
        let options = FormatOptions::default();
        let columns = records.columns().iter().map(|array| ArrayFormatter::try_new(array, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>().context("a column cannot be shown as text")?;
        rows.extend(
            (0..records.num_rows())
                .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>()),
        );
    }
    let names = ["stage", "reason", "source", "reports", "events", "first", "last"];
    let documents: Vec<Value> = rows
        .iter()
        .map(|row| names.iter().zip(row).map(|(name, cell)| ((*name).to_owned(), Value::from(cell.as_str()))).collect())
        .collect();
    let notes = if rows.is_empty() { vec!["no losses are recorded".to_owned()] } else { Vec::new() };
    Ok(Part {
        name: TableId::Losses.name(),
        titles: names.to_vec(),
        rows,
        notes,
        document: documents.into(),
        is_damaged: false,
    })
}

fn render(parts: &[Part], is_json: bool, palette: Palette) -> anyhow::Result<String> {
    if is_json {
        let document: serde_json::Map<String, Value> =
            parts.iter().map(|part| (part.name.to_owned(), part.document.clone())).collect();
        return Ok(format!("{:#}\n", Value::Object(document)));
    }
    let mut out = Vec::new();
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(format!("{}\n", part.name).as_bytes());
        if !part.rows.is_empty() {
            let is_number = |column: usize| {
                let cells = part.rows.iter().filter_map(|row| row.get(column));
                column > 0 && cells.into_iter().all(|cell| cell.starts_with(|first: char| first.is_ascii_digit()))
            };
            let align = |column| if is_number(column) { Align::Right } else { Align::Left };
            let columns = part.titles.iter().enumerate().map(|(column, title)| ((*title).to_owned(), align(column)));
            Table::new(columns.collect(), "  ", palette).write(&part.rows, &mut out)?;
        }
        for note in &part.notes {
            out.extend_from_slice(format!("{note}\n").as_bytes());
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
