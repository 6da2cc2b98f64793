//! Rows of an answer in the form asked for, printed as they arrive.

use std::io::Write;

use anyhow::Context as _;
use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::{csv, json};

use crate::args::SqlFormat;
use crate::table::{Align, Table};
use crate::terminal::{Palette, printable};

/// Rows that widths of a table are taken from at once.
const TABLE_SLICE_ROWS: usize = 1000;

/// Prints rows.
pub(crate) struct Printer<W: Write> {
    form: Form<W>,
    n_rows: u64,
}

enum Form<W: Write> {
    Table(Box<Table>, W),
    Csv(Box<csv::Writer<W>>),
    Json(json::ArrayWriter<W>),
    Ndjson(json::LineDelimitedWriter<W>),
}

impl<W: Write> Printer<W> {
    /// A printer of rows with that schema. The table's titles come with the first rows.
    pub(crate) fn new(format: SqlFormat, schema: &Schema, palette: Palette, out: W) -> Self {
        let form = match format {
            SqlFormat::Table => {
                let align = |data_type: &DataType| if data_type.is_numeric() { Align::Right } else { Align::Left };
                let columns = schema.fields().iter().map(|field| (field.name().clone(), align(field.data_type())));
                Form::Table(Box::new(Table::new(columns.collect(), "  ", palette)), out)
            }
            SqlFormat::Csv => Form::Csv(Box::new(csv::WriterBuilder::new().with_header(true).build(out))),
            SqlFormat::Json => Form::Json(json::WriterBuilder::new().with_explicit_nulls(true).build(out)),
            SqlFormat::Ndjson => Form::Ndjson(json::WriterBuilder::new().with_explicit_nulls(true).build(out)),
        };
        Self { form, n_rows: 0 }
    }

    /// Prints some rows.
    ///
    /// # Errors
    /// The output is closed, or a column cannot be written in this form.
    pub(crate) fn write(&mut self, records: &RecordBatch) -> anyhow::Result<()> {
        self.n_rows += u64::try_from(records.num_rows()).unwrap_or(0);
        match &mut self.form {
            Form::Table(table, out) => write_table(table, records, out),
            Form::Csv(writer) => writer.write(&printable_binary(records)?).map_err(output_error),
            Form::Json(writer) => writer.write(records).map_err(output_error),
            Form::Ndjson(writer) => writer.write(records).map_err(output_error),
        }
    }

    /// Prints what comes after the last row, and says how many there were.
    ///
    /// # Errors
    /// The output is closed.
    pub(crate) fn end(mut self, schema: &Schema) -> anyhow::Result<u64> {
        match &mut self.form {
            Form::Table(table, out) => {
                table.end(out)?;
                out.flush()?;
            }
            // A header of an answer without rows.
            Form::Csv(writer) if self.n_rows == 0 => {
                writer.write(&RecordBatch::new_empty(schema.clone().into())).map_err(output_error)?;
            }
            Form::Csv(_) => {}
            Form::Json(writer) => {
                writer.finish().map_err(output_error)?;
                writeln!(writer.get_mut())?;
            }
            Form::Ndjson(writer) => writer.finish().map_err(output_error)?,
        }
        Ok(self.n_rows)
    }
}

/// A closed pipe stays visible as such below Arrow's own error.
fn output_error(error: arrow::error::ArrowError) -> anyhow::Error {
    match error {
        arrow::error::ArrowError::IoError(_, source) => source.into(),
        other if other.to_string().contains("Broken pipe") => {
            std::io::Error::new(std::io::ErrorKind::BrokenPipe, other.to_string()).into()
        }
        other => anyhow::Error::new(other).context("the rows cannot be written in this form"),
    }
}

fn write_table(table: &mut Table, records: &RecordBatch, out: &mut dyn Write) -> anyhow::Result<()> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = records.columns().iter().map(|array| ArrayFormatter::try_new(array, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>().context("a column cannot be shown as text")?;
    let mut begin = 0;
    while begin < records.num_rows() {
        let end = records.num_rows().min(begin + TABLE_SLICE_ROWS);
        let rows = (begin..end).map(|row| {
            columns.iter().map(|column| printable(&column.value(row).to_string()).into_owned()).collect::<Vec<_>>()
        });
        table.write(&rows.collect::<Vec<_>>(), out)?;
        begin = end;
    }
    Ok(())
}

/// CSV has no bytes: they are written as hexadecimal digits.
fn printable_binary(records: &RecordBatch) -> anyhow::Result<RecordBatch> {
    use arrow::array::{ArrayRef, StringArray};
    use arrow::datatypes::Field;
    let is_binary = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, values) => values.is_binary(),
        other => other.is_binary(),
    };
    if !records.schema_ref().fields().iter().any(|field| is_binary(field.data_type())) {
        return Ok(records.clone());
    }
    let options = FormatOptions::default();
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, array) in records.schema_ref().fields().iter().zip(records.columns()) {
        if is_binary(field.data_type()) {
            let formatter = ArrayFormatter::try_new(array, &options)?;
            let text = |row| array.is_valid(row).then(|| formatter.value(row).to_string());
            columns.push(std::sync::Arc::new((0..array.len()).map(text).collect::<StringArray>()));
            fields.push(Field::new(field.name(), DataType::Utf8, true));
        } else {
            columns.push(std::sync::Arc::clone(array));
            fields.push(field.as_ref().clone());
        }
    }
    Ok(RecordBatch::try_new(std::sync::Arc::new(Schema::new(fields)), columns)?)
}

#[cfg(test)]
mod tests;
