//! The files of the log, read as they lie, without opening the store. Every checksum is compared.

use hindcast_storage::{ValidConfig, inspect};
use serde_json::json;

use super::Part;
use crate::human;

/// Reads every file.
pub(super) fn inspect(config: &ValidConfig) -> anyhow::Result<Part> {
    let files = inspect::log(config)?;
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
    for (position, file) in files.iter().enumerate() {
        // An append that was under way in a crash, or is just now, leaves a torn end, and only in the last file.
        let is_last = position == last;
        part.is_damaged |= file.problem.is_some() && !is_last;
        if file.problem.is_some() && is_last {
            let text = "the end of the last file is an append that was never acknowledged; opening cuts it off";
            part.notes.push(text.to_owned());
        }
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let n_rows: usize = file.records.iter().flat_map(|record| record.rows.values()).sum();
        let n_rows = u64::try_from(n_rows).unwrap_or(u64::MAX);
        let state = file.problem.clone().unwrap_or_else(|| "whole".to_owned());
        documents.push(json!({
            "file": name, "first_lsn": file.first.get(), "records": file.records.len(), "rows": n_rows,
            "bytes": file.n_bytes, "state": state,
        }));
        part.rows.push(vec![
            name,
            file.first.get().to_string(),
            file.records.len().to_string(),
            human::count(n_rows),
            human::size(file.n_bytes),
            state,
        ]);
    }
    if files.is_empty() {
        part.notes.push("no log files".to_owned());
    }
    part.document = documents.into();
    Ok(part)
}
