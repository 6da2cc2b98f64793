//! The answer to a question about events.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::Stream;
use tokio::sync::mpsc;

use super::Cursor;
use crate::{Cut, QueryError};

/// What a walk sends.
#[derive(Debug)]
pub(super) enum Sent {
    Rows(RecordBatch, Option<Cursor>),
    Cut(Cut),
    /// The answer is whole.
    End,
}

/// Batches of rows in the order asked for. Dropping it stops the work behind it.
#[derive(Debug)]
pub struct EventStream {
    schema: SchemaRef,
    receiver: mpsc::Receiver<Result<Sent, QueryError>>,
    cut: Option<Cut>,
    cursor: Option<Cursor>,
    stop: Arc<AtomicBool>,
    /// Whether the end was announced: a walk that dies says nothing, and half an answer must not pass for a whole one.
    ended: bool,
}

impl EventStream {
    pub(super) const fn new(
        schema: SchemaRef,
        receiver: mpsc::Receiver<Result<Sent, QueryError>>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self { schema, receiver, cut: None, cursor: None, stop, ended: false }
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

    /// Where the next page goes on ([`super::EventQuery::after`]): behind the rows given so far.
    #[must_use]
    pub const fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// All rows in one batch, and whether they were cut.
    ///
    /// # Errors
    /// As the stream's items.
    pub async fn collect_all(mut self) -> Result<(RecordBatch, Option<Cut>, Option<Cursor>), QueryError> {
        use futures::StreamExt as _;
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        let all = arrow::compute::concat_batches(&self.schema, &batches)
            .map_err(QueryError::internal("join the batches of an answer"))?;
        Ok((all, self.cut, self.cursor))
    }
}

impl Stream for EventStream {
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
                Poll::Ready(Some(Ok(Sent::Cut(cut)))) => self.cut = Some(cut),
                Poll::Ready(Some(Ok(Sent::Rows(records, cursor)))) => {
                    self.cursor = cursor.or(self.cursor);
                    return Poll::Ready(Some(Ok(records)));
                }
            }
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
