//! The SQL prompt: history, statements over several lines, completion of tables and columns.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum as _;
use hindcast_model::TableId;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::{Session, statement};
use crate::args::SqlFormat;
use crate::exit;

const PROMPT: &str = "hindcast> ";
const HISTORY_LEN: usize = 2000;
const HELP: &str = "\
  SELECT …;        a statement ends with a semicolon and may span lines
  \\d               the tables
  \\d TABLE         the columns of a table
  \\o FORM          table, csv, json or ndjson
  \\q               leave
";

/// Words that are completed besides tables and columns.
const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "LIMIT",
    "HAVING",
    "JOIN",
    "count(*)",
    "DISTINCT",
    "BETWEEN",
    "INTERVAL",
    "time_bucket(",
    "cidr_match(",
    "label(",
];

/// Reads and answers statements until the user leaves.
pub(super) async fn run(mut session: Session<'_>) -> anyhow::Result<u8> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_LEN)
        .context("the prompt cannot start")?
        .build();
    let mut editor = Editor::<Typist, DefaultHistory>::with_config(config).context("the prompt cannot start")?;
    editor.set_helper(Some(Typist));
    let history = history_file();
    if let Some(file) = &history {
        // The first time there is none.
        drop(editor.load_history(file));
    }
    crate::print("SQL over everything recorded; read-only. \\? for help, \\q to leave.\n")?;
    loop {
        let line = match tokio::task::block_in_place(|| editor.readline(PROMPT)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(anyhow::Error::new(error).context("the prompt broke off")),
        };
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        editor.add_history_entry(text).context("the history cannot be kept")?;
        match command(text, &mut session)? {
            Some(After::Leave) => break,
            Some(After::GoOn) => continue,
            None => {}
        }
        for statement in statement::split(text) {
            if let Err(error) = session.answer(statement).await {
                crate::print(&format!("error: {error:#}\n"))?;
            }
        }
    }
    if let Some(file) = &history
        && let Err(error) = editor.save_history(file)
    {
        tracing::warn!(%error, "the history was not saved");
    }
    Ok(exit::DONE)
}

enum After {
    GoOn,
    Leave,
}

/// Does what a command of the prompt says; `None` where the text is SQL.
fn command(text: &str, session: &mut Session<'_>) -> anyhow::Result<Option<After>> {
    let bare = text.trim_end_matches(';').trim();
    if matches!(bare, "exit" | "quit" | "\\q") {
        return Ok(Some(After::Leave));
    }
    let Some(command) = bare.strip_prefix('\\') else { return Ok(None) };
    let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let argument = argument.trim();
    let answer = match (name, argument) {
        ("d", "") => TableId::ALL.iter().map(|table| format!("  {table}\n")).collect(),
        ("d", table) => match TableId::parse(table) {
            Some(table) => columns(table),
            None => format!("there is no table {table}\n"),
        },
        ("o", form) => match SqlFormat::from_str(form, true) {
            Ok(format) => {
                session.format = format;
                String::new()
            }
            Err(_) => "give table, csv, json or ndjson\n".to_owned(),
        },
        _ => HELP.to_owned(),
    };
    crate::print(&answer)?;
    Ok(Some(After::GoOn))
}

fn columns(table: TableId) -> String {
    let width = table.columns().iter().map(|column| column.name.len()).max().unwrap_or(0);
    table.columns().iter().map(|column| format!("  {:width$}  {}\n", column.name, column.doc.trim())).collect()
}

/// `$XDG_STATE_HOME/hindcast/sql_history`, by default below `~/.local/state`; `None` where there is no home.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    let dir = state.join("hindcast");
    std::fs::create_dir_all(&dir).ok()?;
    Some(dir.join("sql_history"))
}

/// What helps at the prompt.
struct Typist;

impl Helper for Typist {}
impl Highlighter for Typist {}

impl Hinter for Typist {
    type Hint = String;
}

impl Validator for Typist {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let is_command = text.starts_with('\\') || matches!(text, "exit" | "quit");
        let is_whole = is_command || statement::is_whole(text);
        Ok(if is_whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Typist {
    type Candidate = Pair;

    fn complete(&self, line: &str, end: usize, _context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..end).unwrap_or(line);
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let start = before.rfind(|character| !is_part(character)).map_or(0, |position| {
            position + before.get(position..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        });
        let prefix = before.get(start..).unwrap_or_default();
        Ok((start, candidates(prefix)))
    }
}

fn candidates(prefix: &str) -> Vec<Pair> {
    if prefix.is_empty() {
        return Vec::new();
    }
    let tables = TableId::ALL.into_iter().map(TableId::name);
    let columns = TableId::ALL.into_iter().flat_map(TableId::columns).map(|column| column.name);
    let mut words: Vec<&str> = tables.chain(columns).chain(KEYWORDS.iter().copied()).collect();
    words.retain(|word| word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
    words.sort_unstable();
    words.dedup();
    words.into_iter().map(|word| Pair { display: word.to_owned(), replacement: word.to_owned() }).collect()
}
