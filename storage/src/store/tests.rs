//! The store through its front door.

use std::path::Path;

use arrow::array::RecordBatch;
use hindcast_model::{TableId, TimeRange};

mod crash;
mod duckdb;
mod lifecycle;

use super::*;
use crate::fixtures::{self, MINUTE, T0, Traffic};

async fn open(dir: &Path) -> Store {
    Store::open(fixtures::config(dir).validate().unwrap(), fixtures::clock()).await.unwrap()
}

fn memory_rows(store: &Store, table: TableId) -> usize {
    store.snapshot().memory(table, TimeRange::ALL).iter().map(|batch| batch.records.num_rows()).sum()
}

#[tokio::test]
async fn appended_rows_are_visible_at_once_and_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let batch = Traffic::new(1, 40).flows(1000, T0, 10 * MINUTE);
    let expected: RecordBatch = batch.records.clone();
    let mut tail = store.tail();
    let receipt = store.append(Append { batches: vec![batch, fixtures::runtime(1, 50, T0)] }).await.unwrap();
    assert_eq!(receipt, Receipt { lsn: Lsn::new(1), n_rows: 1050 });
    let check = |store: &Store| {
        let held = store.snapshot().memory(TableId::Flows, TimeRange::ALL);
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].records, expected);
        assert_eq!(memory_rows(store, TableId::RuntimeEvents), 50);
    };
    check(&store);
    let Some(crate::TailItem::Appended(appended)) = tail.next().await else { panic!("nothing in the tail") };
    assert_eq!((appended.lsn, appended.batches.len()), (Lsn::new(1), 2));
    drop(store);
    let mut store = Store::open(fixtures::config(dir.path()).validate().unwrap(), fixtures::clock()).await;
    for _ in 0..200 {
        if store.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        store = Store::open(fixtures::config(dir.path()).validate().unwrap(), fixtures::clock()).await;
    }
    check(&store.unwrap());
}

#[tokio::test]
async fn a_second_store_on_the_directory_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path()).await;
    let second = Store::open(fixtures::config(dir.path()).validate().unwrap(), fixtures::clock()).await;
    let text = second.unwrap_err().to_string();
    assert!(text.ends_with(&format!("is in use by process {}", std::process::id())), "{text}");
}

#[tokio::test]
async fn a_batch_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut batch = fixtures::runtime(1, 5, T0);
    batch.table = TableId::Flows;
    let error = store.append(Append { batches: vec![batch] }).await.unwrap_err();
    assert_eq!(error.kind(), hindcast_model::Kind::Invalid);
    assert_eq!(memory_rows(&store, TableId::Flows), 0);
}
