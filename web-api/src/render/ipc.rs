//! The Arrow IPC stream.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;

use super::RenderError;

/// An Arrow answer being written.
pub(crate) struct Ipc {
    writer: StreamWriter<Vec<u8>>,
}

impl Ipc {
    pub(super) fn new(schema: &SchemaRef, out: &mut Vec<u8>) -> Result<Self, RenderError> {
        let writer = StreamWriter::try_new(Vec::new(), schema).map_err(RenderError::Arrow)?;
        let mut this = Self { writer };
        this.take(out);
        Ok(this)
    }

    pub(super) fn write(&mut self, records: &RecordBatch, out: &mut Vec<u8>) -> Result<(), RenderError> {
        self.writer.write(records).map_err(RenderError::Arrow)?;
        self.take(out);
        Ok(())
    }

    pub(super) fn end(mut self, out: &mut Vec<u8>) -> Result<(), RenderError> {
        self.writer.finish().map_err(RenderError::Arrow)?;
        self.take(out);
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        out.append(self.writer.get_mut());
    }
}
