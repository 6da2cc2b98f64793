//! Events as the JSON lines that Hubble's and Tetragon's own tools read and write.

use std::io::Write;

use anyhow::{Context as _, bail};
use arrow::array::RecordBatch;
use hindcast_model::TableId;
use hindcast_model::tables::{flows, runtime_events};
use hindcast_proto::json::{self, Message};
use hindcast_proto::{hubble, tetragon_codec};

/// Writes events as lines. Keeps its buffers between batches.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    wire: Vec<u8>,
    line: Vec<u8>,
}

impl Encoder {
    /// Writes the rows of a batch of flows or runtime events, as the server of their own API sends them.
    ///
    /// # Errors
    /// The output is closed, or the rows are of another table.
    pub(crate) fn write(&mut self, table: TableId, records: &RecordBatch, out: &mut dyn Write) -> anyhow::Result<()> {
        match table {
            TableId::Flows => {
                let view = flows::View::new(records).context("the answer is no flows")?;
                for row in 0..view.n_rows() {
                    hubble::encode_response(&view, row, &mut self.wire);
                    self.line(Message::GetFlowsResponse, out)?;
                }
            }
            TableId::RuntimeEvents => {
                let view = runtime_events::View::new(records).context("the answer is no runtime events")?;
                for row in 0..view.n_rows() {
                    tetragon_codec::encode_response(&view, row, &mut self.wire);
                    self.line(Message::GetEventsResponse, out)?;
                }
            }
            other => bail!("rows of {other} have no JSON form of Hubble or Tetragon"),
        }
        Ok(())
    }

    fn line(&mut self, message: Message, out: &mut dyn Write) -> anyhow::Result<()> {
        self.line.clear();
        json::from_wire(message, &self.wire, &mut self.line).context("a recorded event cannot be written as JSON")?;
        self.wire.clear();
        self.line.push(b'\n');
        Ok(out.write_all(&self.line)?)
    }
}
