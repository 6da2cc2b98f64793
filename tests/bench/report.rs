//! What was measured, as a table, on standard output and in a file.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::questions::{Measured, Question};
use crate::rows::Rows;

/// A table under construction.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    lines: Vec<[String; 5]>,
    fleet: Vec<[String; 5]>,
}

impl Report {
    pub(crate) fn new(rows: &Rows) -> Self {
        let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let title = format!(
            "{} flows pushed and asked about, {} imported from JSON, {cpus} cores; medians; DuckDB on the same rows",
            rows.n_rows, rows.n_json_rows
        );
        Self { title, lines: Vec::new(), fleet: Vec::new() }
    }

    /// A number of both sides; a ratio only where both have one.
    pub(crate) fn rate(&mut self, name: &str, unit: &str, ours: Option<f64>, theirs: Option<f64>) {
        let text = |number: Option<f64>| number.map_or_else(|| "–".to_owned(), shown);
        let ratio = match (ours, theirs) {
            (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2}", ours / theirs),
            _ => "–".to_owned(),
        };
        self.push([format!("{name} ({unit})"), text(ours), text(theirs), ratio, String::new()]);
    }

    /// Adds a line, and shows it already: the whole takes minutes.
    fn push(&mut self, line: [String; 5]) {
        let [name, ours, theirs, ratio, aim] = &line;
        // Whoever cannot see it here sees it at the end.
        drop(writeln!(std::io::stderr(), "measured: {name}: {ours}, DuckDB {theirs}, ratio {ratio} {aim}"));
        self.lines.push(line);
    }

    /// A question's medians.
    pub(crate) fn question(&mut self, question: &Question, measured: Measured) {
        let aim = question.aim_ms.map_or_else(String::new, |aim| {
            let word = if measured.hindcast_ms <= aim { "met" } else { "missed" };
            format!("≤ {aim} ms: {word}")
        });
        self.push([
            format!("{} (ms)", question.name),
            shown(measured.hindcast_ms),
            shown(measured.peer_ms),
            format!("{:.2}", measured.hindcast_ms / measured.peer_ms),
            aim,
        ]);
    }

    /// A question's medians where rows are in ClickHouse: Hindcast's, those of a plain table there, those of DuckDB.
    pub(crate) fn fleet(&mut self, name: &str, milliseconds: [f64; 3]) {
        let [ours, plain, duck] = milliseconds;
        let ratio = format!("{:.2}", ours / plain.min(duck));
        let line = [format!("{name} (ms)"), shown(ours), shown(plain), shown(duck), ratio];
        let [name, ours, plain, duck, ratio] = &line;
        // Whoever cannot see it here sees it at the end.
        drop(writeln!(
            std::io::stderr(),
            "measured in ClickHouse: {name}: {ours}, plain table {plain}, DuckDB {duck}, ratio to the best {ratio}"
        ));
        self.fleet.push(line);
    }

    /// Prints the table and keeps it in `folder`.
    pub(crate) fn print(&self, folder: &Path) -> Result<()> {
        let header = ["", "Hindcast", "DuckDB", "ratio", "aim"].map(ToOwned::to_owned);
        let all: Vec<&[String; 5]> = std::iter::once(&header).chain(&self.lines).collect();
        let mut text = format!("{}\n\n", self.title);
        for line in all {
            let [name, ours, theirs, ratio, aim] = line;
            writeln!(text, "{name:<34} {ours:>12} {theirs:>12} {ratio:>7}  {aim}")?;
        }
        let header = ["in ClickHouse", "Hindcast", "plain table", "DuckDB", "ratio to best"].map(ToOwned::to_owned);
        text.push('\n');
        for [name, ours, plain, duck, ratio] in std::iter::once(&header).chain(&self.fleet) {
            writeln!(text, "{name:<34} {ours:>12} {plain:>12} {duck:>12} {ratio:>14}")?;
        }
        std::fs::write(folder.join("report.txt"), &text)?;
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

fn shown(number: f64) -> String {
    if number >= 1000.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}
