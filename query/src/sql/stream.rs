//! The answer to a statement.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::Stream;
use tokio::sync::mpsc;

use crate::{Cut, QueryError};

#[derive(Debug)]
pub(super) enum Sent {
    Rows(RecordBatch),
    Cut(Cut),
    /// The answer is whole.
    End,
}

/// Batches of rows. Dropping it stops the work behind it.
#[derive(Debug)]
pub struct SqlStream {
    schema: SchemaRef,
    receiver: mpsc::Receiver<Result<Sent, QueryError>>,
    cut: Option<Cut>,
    /// Whether the end was announced: half an answer must not pass for a whole one.
    ended: bool,
}

impl SqlStream {
    pub(super) const fn new(schema: SchemaRef, receiver: mpsc::Receiver<Result<Sent, QueryError>>) -> Self {
        Self { schema, receiver, cut: None, ended: false }
    }

    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Whether the answer was cut by a limit; known once the stream has ended.
    #[must_use]
    pub const fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// All batches, and whether they were cut.
    ///
    /// # Errors
    /// As the stream's items.
    pub async fn collect_all(mut self) -> Result<(Vec<RecordBatch>, Option<Cut>), QueryError> {
        use futures::StreamExt as _;
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok((batches, self.cut))
    }
}

impl Stream for SqlStream {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.receiver.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) if self.ended => return Poll::Ready(None),
                Poll::Ready(None) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(QueryError::broken_off())));
                }
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(Some(Ok(Sent::End))) => self.ended = true,
                Poll::Ready(Some(Ok(Sent::Cut(cut)))) => {
                    self.ended = true;
                    self.cut = Some(cut);
                }
                Poll::Ready(Some(Ok(Sent::Rows(records)))) => return Poll::Ready(Some(Ok(records))),
            }
        }
    }
}

/// At most `allowed` rows, and whether there were more.
pub(super) fn trimmed(records: RecordBatch, allowed: u64) -> (RecordBatch, bool) {
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    if records.num_rows() > allowed { (records.slice(0, allowed), true) } else { (records, false) }
}
