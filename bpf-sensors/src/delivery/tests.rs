//! A line in front of a sink that is full, slow or gone.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use hindcast_model::tables::{flows, runtime_events};
use hindcast_model::{Batch, TableId};

use super::Delivery;
use crate::sink::Counters;

fn batch(table: TableId) -> Batch {
    let records = match table {
        TableId::Flows => {
            let mut rows = flows::Builder::default();
            rows.time.set(0, 1);
            rows.recorded_at.set(0, 1);
            rows.source_kind.set(0, "sensor");
            rows.flow_count.set(0, 1);
            rows.commit();
            rows.finish()
        }
        _ => {
            let mut rows = runtime_events::Builder::default();
            rows.time.set(0, 1);
            rows.recorded_at.set(0, 1);
            rows.source_kind.set(0, "sensor");
            rows.kind.set(0, "process_exec");
            rows.commit();
            rows.finish()
        }
    };
    Batch { table, records: records.unwrap() }
}

fn line(room: usize, max: usize) -> (Delivery, Receiver<Batch>, Arc<Counters>) {
    let (sender, receiver) = sync_channel(room);
    let counters = Arc::new(Counters::default());
    (Delivery::new(Box::new(sender), max, Arc::clone(&counters)), receiver, counters)
}

#[test]
fn a_full_sink_gets_what_waits_once_it_has_room() {
    let (mut delivery, receiver, counters) = line(1, 8);
    delivery.push((0..3).map(|_| Ok(batch(TableId::Flows))).collect());
    assert!(!delivery.is_empty());
    for _ in 0..3 {
        receiver.try_recv().unwrap();
        delivery.offer();
    }
    assert!(delivery.is_empty());
    assert_eq!((Counters::read(&counters.delivered), delivery.take_shed()), (3, 0));
}

#[test]
fn processes_outlive_flows_and_the_loss_is_counted() {
    let (mut delivery, receiver, counters) = line(1, 2);
    delivery.push(vec![Ok(batch(TableId::Flows))]);
    delivery.push(vec![
        Ok(batch(TableId::RuntimeEvents)),
        Ok(batch(TableId::Flows)),
        Ok(batch(TableId::RuntimeEvents)),
    ]);
    assert_eq!(delivery.take_shed(), 1);
    assert_eq!(delivery.take_shed(), 0);
    let mut taken = Vec::new();
    while let Ok(batch) = receiver.try_recv() {
        taken.push(batch.table);
        delivery.offer();
    }
    assert_eq!(taken, [TableId::Flows, TableId::RuntimeEvents, TableId::RuntimeEvents]);
    let made = Counters::read(&counters.rows);
    assert_eq!(made, Counters::read(&counters.delivered) + Counters::read(&counters.shed));
}

#[test]
fn a_sink_that_is_gone_loses_rows_and_never_blocks() {
    let (mut delivery, receiver, counters) = line(1, 2);
    drop(receiver);
    for _ in 0..10 {
        delivery.push(vec![Ok(batch(TableId::Flows))]);
    }
    assert_eq!(Counters::read(&counters.shed), 8);
}
