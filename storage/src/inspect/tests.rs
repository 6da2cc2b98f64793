//! What an operator sees of a directory, whole and damaged.

use super::*;
use crate::fixtures::{self, MINUTE, T0, Traffic};
use crate::{Append, Config, Store};

#[tokio::test]
async fn log_segments_and_snapshots_are_shown_and_damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::at(dir.path()).validate().unwrap();
    let store = Store::open(config.clone(), fixtures::clock()).await.unwrap();
    let mut traffic = Traffic::new(1, 10);
    store.append(Append { batches: vec![traffic.flows(40, T0, MINUTE)] }).await.unwrap();
    store.seal_all().await.unwrap();
    store.append(Append { batches: vec![traffic.flows(30, T0, MINUTE), fixtures::runtime(1, 5, T0)] }).await.unwrap();
    let files = log(&config).unwrap();
    assert_eq!((files.len(), &files[0].problem), (1, &None));
    let last = files[0].records.last().unwrap();
    assert_eq!(last.rows, BTreeMap::from([(TableId::Flows, 30), (TableId::RuntimeEvents, 5)]));
    let whole = list_segments(&config, true).await.unwrap();
    let tables: Vec<TableId> = whole.iter().map(|segment| segment.table).collect();
    assert_eq!(tables, [TableId::Flows, TableId::Edges1h]);
    assert!(whole.iter().all(|segment| segment.problem.is_none()));
    let commits = snapshots(&config).unwrap();
    assert_eq!(commits.last().unwrap().changes, "inserted_into_table:1,inserted_into_table:5");
    let path = dir.path().join("segments").join(&whole[0].path);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let damaged = list_segments(&config, true).await.unwrap();
    assert_eq!(damaged[0].problem.as_deref(), Some("its checksum fails"));
    let mut bytes = std::fs::read(&files[0].path).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&files[0].path, bytes).unwrap();
    assert!(log(&config).unwrap()[0].problem.as_ref().unwrap().ends_with("is damaged at byte 24: a checksum fails"));
}
