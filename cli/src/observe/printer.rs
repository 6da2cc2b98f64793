//! Batches of events in the form asked for.

use std::io::{self, BufWriter, Stdout, Write as _};

use anyhow::Context as _;
use arrow::array::RecordBatch;
use hindcast_model::TableId;
use hindcast_model::tables::{flows, runtime_events};

use super::flow::{self, Look};
use super::runtime;
use crate::args::ObserveFormat;
use crate::lines::Encoder;
use crate::table::{Align, Table};

/// Prints events.
pub(super) struct Printer {
    table: TableId,
    form: Form,
    look: Look,
    out: BufWriter<Stdout>,
}

enum Form {
    Compact,
    Table(Table),
    Json(Encoder),
}

impl Printer {
    pub(super) fn new(table: TableId, format: ObserveFormat, look: Look) -> Self {
        let form = match format {
            ObserveFormat::Compact => Form::Compact,
            ObserveFormat::Table => {
                let titles = if table == TableId::Flows { flow::COLUMNS } else { runtime::COLUMNS };
                let mut titles: Vec<_> = titles.iter().map(|title| ((*title).to_owned(), Align::Left)).collect();
                if look.has_node {
                    titles.insert(1, ("NODE".to_owned(), Align::Left));
                }
                Form::Table(Table::new(titles, "   ", look.palette))
            }
            ObserveFormat::Json | ObserveFormat::Jsonpb => Form::Json(Encoder::default()),
        };
        Self { table, form, look, out: BufWriter::new(io::stdout()) }
    }

    /// Prints the rows of a batch.
    ///
    /// # Errors
    /// The output is closed, or the rows are not of the table.
    pub(super) fn write(&mut self, records: &RecordBatch) -> anyhow::Result<()> {
        if let Form::Json(encoder) = &mut self.form {
            return encoder.write(self.table, records, &mut self.out);
        }
        let look = self.look;
        if self.table == TableId::Flows {
            let view = flows::View::new(records).context("the answer is no flows")?;
            self.rows(
                view.n_rows(),
                |row, line| flow::compact(&view, row, look, line),
                |row| flow::cells(&view, row, look),
            )
        } else {
            let view = runtime_events::View::new(records).context("the answer is no runtime events")?;
            self.rows(
                view.n_rows(),
                |row, line| runtime::compact(&view, row, look, line),
                |row| runtime::cells(&view, row, look),
            )
        }
    }

    fn rows(
        &mut self,
        n_rows: usize,
        compact: impl Fn(usize, &mut String),
        cells: impl Fn(usize) -> Vec<String>,
    ) -> anyhow::Result<()> {
        match &mut self.form {
            Form::Table(table) => table.write(&(0..n_rows).map(cells).collect::<Vec<_>>(), &mut self.out)?,
            Form::Compact | Form::Json(_) => {
                let mut line = String::new();
                for row in 0..n_rows {
                    line.clear();
                    compact(row, &mut line);
                    line.push('\n');
                    self.out.write_all(line.as_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// Hands over what was printed so far.
    ///
    /// # Errors
    /// The output is closed.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }

    /// Prints what comes after the last row.
    ///
    /// # Errors
    /// The output is closed.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        if let Form::Table(table) = &mut self.form {
            table.end(&mut self.out)?;
        }
        self.flush()
    }
}
