//! The three JSON forms: rows, lines and columns.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::cell::{Cells, write_text};
use super::{Ending, RenderError, Style};
use crate::columns::is_list;
use crate::problem::Problem;

/// `{"rows":[{…},…],"next_cursor":…,"cut":…}`
pub(crate) struct Rows {
    style: Style,
    n_rows: usize,
}

impl Rows {
    pub(super) fn new(style: Style, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"{\"rows\":[");
        Self { style, n_rows: 0 }
    }

    pub(super) fn write(&mut self, records: &RecordBatch, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let columns = Objects::new(records, self.style)?;
        for row in 0..records.num_rows() {
            if self.n_rows > 0 {
                out.push(b',');
            }
            out.push(b'\n');
            columns.write(row, out);
            self.n_rows += 1;
        }
        Ok(())
    }

    pub(super) fn end(self, ending: &Ending, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\n],");
        write_ending(ending, out);
        out.extend_from_slice(b"}\n");
    }
}

/// One object per line; the last line is `{"_end":{…}}`.
pub(crate) struct Lines {
    style: Style,
}

impl Lines {
    pub(super) const fn new(style: Style) -> Self {
        Self { style }
    }

    pub(super) fn write(&mut self, records: &RecordBatch, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let columns = Objects::new(records, self.style)?;
        for row in 0..records.num_rows() {
            columns.write(row, out);
            out.push(b'\n');
        }
        Ok(())
    }

    pub(super) fn end(self, ending: &Ending, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"_end\":{");
        write_ending(ending, out);
        out.extend_from_slice(b"}}\n");
    }
}

/// `{"columns":[{"name":…,"type":…},…],"chunks":[[[…],[…]],…],"cut":…}`: per chunk one array per column.
pub(crate) struct Columns {
    style: Style,
    n_chunks: usize,
}

impl Columns {
    pub(super) fn new(schema: &SchemaRef, style: Style, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"{\"columns\":");
        write_schema(schema, out);
        out.extend_from_slice(b",\"chunks\":[");
        Self { style, n_chunks: 0 }
    }

    pub(super) fn write(&mut self, records: &RecordBatch, out: &mut Vec<u8>) -> Result<(), RenderError> {
        if records.num_rows() == 0 {
            return Ok(());
        }
        if self.n_chunks > 0 {
            out.push(b',');
        }
        self.n_chunks += 1;
        out.extend_from_slice(b"\n[");
        for (position, (field, array)) in records.schema_ref().fields().iter().zip(records.columns()).enumerate() {
            if position > 0 {
                out.push(b',');
            }
            let cells = Cells::new(field.name(), array)?;
            let is_list = self.style.with_lists && is_list(field.name());
            out.push(b'[');
            for row in 0..records.num_rows() {
                if row > 0 {
                    out.push(b',');
                }
                if is_list { cells.write_list(row, out) } else { cells.write_json(row, out) }
            }
            out.push(b']');
        }
        out.push(b']');
        Ok(())
    }

    pub(super) fn end(self, ending: &Ending, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\n],");
        write_ending(ending, out);
        out.extend_from_slice(b"}\n");
    }
}

/// The columns of a batch, ready to be written row by row.
pub(crate) struct Objects<'a> {
    style: Style,
    /// Per column: `"name":`, its cells and whether it is a list.
    columns: Vec<(Vec<u8>, Cells<'a>, bool)>,
}

impl<'a> Objects<'a> {
    pub(crate) fn new(records: &'a RecordBatch, style: Style) -> Result<Self, RenderError> {
        let schema = records.schema_ref();
        let mut columns = Vec::with_capacity(schema.fields().len());
        for (field, array) in schema.fields().iter().zip(records.columns()) {
            let cells = Cells::new(field.name(), array)?;
            if matches!(cells, Cells::Null) && !style.with_nulls {
                continue;
            }
            let mut label = Vec::new();
            write_text(field.name(), &mut label);
            label.push(b':');
            columns.push((label, cells, style.with_lists && is_list(field.name())));
        }
        Ok(Self { style, columns })
    }

    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut is_first = true;
        for (label, cells, is_list) in &self.columns {
            if !self.style.with_nulls && cells.is_null(row) {
                continue;
            }
            if !is_first {
                out.push(b',');
            }
            is_first = false;
            out.extend_from_slice(label);
            if *is_list { cells.write_list(row, out) } else { cells.write_json(row, out) }
        }
        out.push(b'}');
    }
}

/// `[{"name":…,"type":…},…]`
fn write_schema(schema: &Schema, out: &mut Vec<u8>) {
    out.push(b'[');
    for (position, field) in schema.fields().iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"name\":");
        write_text(field.name(), out);
        out.extend_from_slice(b",\"type\":");
        write_text(&field.data_type().to_string(), out);
        out.push(b'}');
    }
    out.push(b']');
}

/// `"next_cursor":…,"cut":…` and, where the answer broke off, `"problem":…`.
fn write_ending(ending: &Ending, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"next_cursor\":");
    match &ending.next_cursor {
        Some(cursor) => write_text(cursor, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"cut\":");
    // Writing into memory cannot fail.
    let _infallible = serde_json::to_writer(&mut *out, &ending.cut);
    if let Some(fault) = &ending.fault {
        out.extend_from_slice(b",\"problem\":");
        out.extend_from_slice(&Problem::from(fault.clone()).json());
    }
}
