//! A Parquet file, written row group by row group.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::{Ending, RenderError};

/// Rows of a row group: bounds what an answer holds in memory.
const ROW_GROUP_ROWS: usize = 64 * 1024;

/// A Parquet answer being written.
pub(crate) struct Parquet {
    writer: ArrowWriter<Shared>,
    written: Shared,
}

/// Bytes that the Parquet writer has finished and the answer has not sent.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Parquet {
    pub(super) fn new(schema: &SchemaRef, out: &mut Vec<u8>) -> Result<Self, RenderError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let written = Shared::default();
        let writer = ArrowWriter::try_new(written.clone(), Arc::clone(schema), Some(properties));
        let this = Self { writer: writer.map_err(RenderError::Parquet)?, written };
        this.take(out);
        Ok(this)
    }

    pub(super) fn write(&mut self, records: &RecordBatch, out: &mut Vec<u8>) -> Result<(), RenderError> {
        self.writer.write(records).map_err(RenderError::Parquet)?;
        self.take(out);
        Ok(())
    }

    pub(super) fn end(mut self, ending: &Ending, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let cut = ending.cut.as_ref().map(|cut| format!("{}: {}", cut.reason, cut.detail));
        let facts = [("hindcast.cut", cut), ("hindcast.next_cursor", ending.next_cursor.clone())];
        for (key, value) in facts.into_iter().filter(|(_, value)| value.is_some()) {
            self.writer.append_key_value_metadata(KeyValue { key: key.to_owned(), value });
        }
        self.writer.finish().map_err(RenderError::Parquet)?;
        self.take(out);
        Ok(())
    }

    fn take(&self, out: &mut Vec<u8>) {
        out.append(&mut self.written.0.lock());
    }
}
