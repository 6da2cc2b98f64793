//! How fast flows become durable, and how large they are once sealed.
//!
//! `cargo run --release -p hindcast-storage --example append_speed -- [rows] [directory] [columns]`; the last
//! prints sizes by column.
#![expect(clippy::print_stdout, reason = "an example prints what it measures")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "an example ends where it fails"
)]
#![allow(dead_code, clippy::allow_attributes, reason = "the generator has more than is used here")]

#[path = "../src/fixtures.rs"]
mod fixtures;

use std::path::PathBuf;
use std::time::Instant;

use fixtures::{MINUTE, T0, Traffic};
use hindcast_model::{Batch, TableId, TimeRange};
use hindcast_storage::{Append, Config, Store};

const BATCH: usize = 8192;

/// Processor time of this process so far, of all its threads; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // User and system time are the 14th and 15th field, in ticks of a hundredth of a second.
    after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap_or(0.0) / 100.0).sum()
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let n_rows: usize = args.next().map_or(1 << 20, |text| text.parse().unwrap());
    let dir = args.next().map_or_else(|| std::env::temp_dir().join("hindcast-append-speed"), PathBuf::from);
    drop(std::fs::remove_dir_all(&dir));
    let mut traffic = Traffic::new(7, 3000);
    let n_batches = n_rows / BATCH;
    let step = 60 * MINUTE / i64::try_from(n_batches).unwrap();
    let batches: Vec<Batch> =
        (0..n_batches).map(|i| traffic.flows(BATCH, T0 + i64::try_from(i).unwrap() * step, step)).collect();
    let store = Store::open(Config::at(&dir).validate().unwrap(), fixtures::clock()).await.unwrap();
    let start = Instant::now();
    let cpu_before = cpu_seconds();
    let mut senders = tokio::task::JoinSet::new();
    for batch in batches {
        while senders.len() >= 4 {
            senders.join_next().await.unwrap().unwrap();
        }
        let store = store.clone();
        senders.spawn(async move {
            store.append(Append { batches: vec![batch] }).await.unwrap();
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
    }
    let appended = start.elapsed();
    let log_bytes = store.status().log_bytes;
    let sealing = Instant::now();
    store.seal_all().await.unwrap();
    let sealed = sealing.elapsed();
    let cpu = cpu_seconds() - cpu_before;
    let snapshot = store.snapshot();
    let rows = n_batches * BATCH;
    let rate = |elapsed: std::time::Duration| rows as f64 / elapsed.as_secs_f64();
    println!("appended {rows} rows in {appended:.2?}: {:.0} rows/s durable", rate(appended));
    println!("sealed the rest in {sealed:.2?}: {:.0} rows/s from append to segment", rate(appended + sealed));
    println!("processor time: {:.2} µs a row from append to segment", cpu * 1e6 / rows as f64);
    println!("log: {:.1} bytes a row", log_bytes as f64 / rows as f64);
    for table in [TableId::Flows, TableId::Edges1m, TableId::Edges1h] {
        let stats = snapshot.stats(table);
        println!(
            "{table}: {} rows, {} segments, {:.2} bytes a flow",
            stats.segment_rows,
            stats.n_segments,
            stats.segment_bytes as f64 / rows as f64
        );
    }
    if args.next().is_none() {
        store.close().await.unwrap();
        return;
    }
    for table in [TableId::Flows, TableId::Edges1m, TableId::Edges1h] {
        let Some(segment) = snapshot.segments(table, TimeRange::ALL).pop() else { continue };
        println!("{table}, by column:");
        let metadata = segment.metadata().await.unwrap();
        for column in 0..metadata.file_metadata().schema_descr().num_columns() {
            let chunks = metadata.row_groups().iter().map(|group| group.column(column));
            let bytes: i64 = chunks.clone().map(|chunk| chunk.compressed_size()).sum();
            let bloom: i64 = chunks.filter_map(|chunk| chunk.bloom_filter_length()).map(i64::from).sum();
            let name = metadata.file_metadata().schema_descr().column(column).name().to_owned();
            println!(
                "  {name}: {:.2} bytes a row, bloom {:.2}",
                bytes as f64 / segment.n_rows as f64,
                bloom as f64 / segment.n_rows as f64
            );
        }
    }
    store.close().await.unwrap();
}
