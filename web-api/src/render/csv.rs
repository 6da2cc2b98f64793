//! Comma-separated values (RFC 4180): a header line, absent values empty, an empty text quoted.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::RenderError;
use super::cell::Cells;

/// A CSV answer being written.
pub(crate) struct Csv {
    cell: Vec<u8>,
}

impl Csv {
    pub(super) fn new(schema: &SchemaRef, out: &mut Vec<u8>) -> Self {
        for (position, field) in schema.fields().iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            write_cell(field.name().as_bytes(), out);
        }
        out.extend_from_slice(b"\r\n");
        Self { cell: Vec::new() }
    }

    pub(super) fn write(&mut self, records: &RecordBatch, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let fields = records.schema_ref().fields().iter().zip(records.columns());
        let columns = fields.map(|(field, array)| Cells::new(field.name(), array)).collect::<Result<Vec<_>, _>>()?;
        for row in 0..records.num_rows() {
            for (position, cells) in columns.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                if !cells.is_null(row) {
                    self.cell.clear();
                    cells.write_plain(row, &mut self.cell);
                    write_cell(&self.cell, out);
                }
            }
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

fn write_cell(cell: &[u8], out: &mut Vec<u8>) {
    let must_quote = cell.is_empty() || cell.iter().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n'));
    if !must_quote {
        out.extend_from_slice(cell);
        return;
    }
    out.push(b'"');
    for byte in cell {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
