//! Half an answer never passes for a whole one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use futures::StreamExt as _;
use hindcast_model::Kind;
use tokio::sync::mpsc;

use super::{EventStream, Sent};

async fn answer(sent: Vec<Sent>) -> EventStream {
    let schema = Arc::new(Schema::empty());
    let (sender, receiver) = mpsc::channel(8);
    for item in sent {
        sender.send(Ok(item)).await.expect("room");
    }
    EventStream::new(schema, receiver, Arc::new(AtomicBool::new(false)))
}

fn no_rows() -> Sent {
    Sent::Rows(RecordBatch::new_empty(Arc::new(Schema::empty())), None)
}

#[tokio::test]
async fn a_search_that_dies_in_its_middle_is_an_error_and_not_an_end() {
    let mut stream = answer(vec![no_rows()]).await;
    assert!(stream.next().await.expect("rows").is_ok());
    let error = stream.next().await.expect("an error").expect_err("the end was not announced");
    assert_eq!(error.kind(), Kind::Internal);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_announced_end_is_an_end() {
    let mut stream = answer(vec![no_rows(), Sent::End]).await;
    assert!(stream.next().await.expect("rows").is_ok());
    assert!(stream.next().await.is_none());
}
