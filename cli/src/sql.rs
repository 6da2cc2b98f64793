//! `hindcast sql`: one statement, a script from stdin, or a prompt.

mod prompt;
mod statement;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::time::Instant;

use anyhow::Context as _;

use crate::args::{SqlArgs, SqlFormat};
use crate::ask::Asker;
use crate::exit;
use crate::human;
use crate::rows::Printer;
use crate::setup::{self, Common};

/// Runs the command.
///
/// # Errors
/// A statement failed. At the prompt errors are shown and the prompt goes on.
pub(crate) fn run(args: SqlArgs, common: &Common) -> anyhow::Result<u8> {
    setup::block_on(async {
        let asker = Asker::open(&args.place, common).await?;
        let session = Session { asker: &asker, format: args.output, common };
        let result = session.run(args.query.as_deref()).await;
        asker.close().await;
        result
    })
}

/// Statements against one place in one form.
#[derive(Clone, Copy, Debug)]
struct Session<'a> {
    asker: &'a Asker,
    format: SqlFormat,
    common: &'a Common,
}

impl Session<'_> {
    async fn run(self, query: Option<&str>) -> anyhow::Result<u8> {
        match query {
            None if std::io::stdin().is_terminal() => prompt::run(self).await,
            None | Some("-") => {
                let mut script = String::new();
                std::io::stdin().read_to_string(&mut script).context("cannot read stdin")?;
                for statement in statement::split(&script) {
                    self.answer(statement).await?;
                }
                Ok(exit::DONE)
            }
            Some(query) => {
                for statement in statement::split(query) {
                    self.answer(statement).await?;
                }
                Ok(exit::DONE)
            }
        }
    }

    /// Asks one statement and prints its answer.
    async fn answer(self, statement: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut rows = self.asker.sql(statement).await?;
        let schema = rows.schema().context("the answer has no columns")?;
        let out = std::io::BufWriter::new(std::io::stdout());
        let mut printer = Printer::new(self.format, &schema, self.common.palette(), out);
        while let Some(records) = rows.next().await? {
            printer.write(&records)?;
        }
        let n_rows = printer.end(&schema)?;
        let mut notes = String::new();
        if self.format == SqlFormat::Table && std::io::stdout().is_terminal() {
            let noun = if n_rows == 1 { "row" } else { "rows" };
            notes = format!("({} {noun}, {} ms)\n", human::count(n_rows), began.elapsed().as_millis());
        }
        if let Some(cut) = rows.cut() {
            notes.push_str(&format!("cut: {cut}\n"));
        }
        std::io::stderr().write_all(notes.as_bytes()).context("cannot write to stderr")
    }
}
