//! The files of the log, read as they lie, without opening the store.

use hindcast_model::report;
use hindcast_storage::Config;
use hindcast_storage::log::fs::RealFs;
use hindcast_storage::log::payload;
use hindcast_storage::log::reader::{self, FileReader};
use serde_json::json;

use super::Part;
use crate::human;

/// What one file holds.
struct Held {
    n_records: u64,
    n_rows: u64,
    /// `whole`, or where and how it is damaged.
    state: String,
    is_damaged: bool,
}

/// Reads every file; with `verify` the rows of every record too.
pub(super) fn inspect(config: &Config, verify: bool) -> anyhow::Result<Part> {
    let files = reader::list(&RealFs, &config.data_dir.join("log"))?;
    let max_record = usize::try_from(config.log.max_record_size.as_u64()).unwrap_or(usize::MAX);
    let mut part = Part {
        name: "log",
        titles: vec!["file", "first lsn", "records", "rows", "size", "state"],
        rows: Vec::new(),
        notes: Vec::new(),
        document: json!([]),
        is_damaged: false,
    };
    let mut documents = Vec::new();
    let last = files.len().saturating_sub(1);
    for (position, (path, first, n_bytes)) in files.iter().enumerate() {
        let held = read(path, max_record, verify);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // An append that was under way in a crash leaves a torn end, and only in the last file.
        let is_torn_end = held.is_damaged && position == last;
        part.is_damaged |= held.is_damaged && !is_torn_end;
        if is_torn_end {
            part.notes.push(
                "a torn end of the last file is an append that was never acknowledged; opening cuts it".to_owned(),
            );
        }
        documents.push(json!({
            "file": name, "first_lsn": first.get(), "records": held.n_records,
            "rows": verify.then_some(held.n_rows), "bytes": n_bytes, "state": held.state,
        }));
        let rows = if verify { human::count(held.n_rows) } else { "-".to_owned() };
        part.rows.push(vec![
            name,
            first.get().to_string(),
            human::count(held.n_records),
            rows,
            human::size(*n_bytes),
            held.state,
        ]);
    }
    if files.is_empty() {
        part.notes.push("no log files".to_owned());
    }
    part.document = documents.into();
    Ok(part)
}

fn read(path: &std::path::Path, max_record: usize, verify: bool) -> Held {
    let mut held = Held { n_records: 0, n_rows: 0, state: "whole".to_owned(), is_damaged: false };
    let damaged = |held: &mut Held, text: String| {
        held.state = text;
        held.is_damaged = true;
    };
    let mut file = match FileReader::open(&RealFs, path, max_record) {
        Ok(file) => file,
        Err(error) => {
            damaged(&mut held, report(&error));
            return held;
        }
    };
    loop {
        match file.next_record() {
            Ok(None) => return held,
            Ok(Some(record)) => {
                held.n_records += 1;
                if !verify {
                    continue;
                }
                match payload::decode(&record.payload) {
                    Ok(batches) => {
                        held.n_rows += batches.iter().map(|batch| batch.n_rows() as u64).sum::<u64>();
                    }
                    Err(error) => {
                        damaged(&mut held, format!("record {}: {}", record.lsn.get(), report(&error)));
                        return held;
                    }
                }
            }
            Err(error) => {
                damaged(&mut held, report(&error));
                return held;
            }
        }
    }
}
