//! What a process and a folder take.

use std::path::Path;

use anyhow::{Context as _, Result};

/// The most memory a process ever held, in MiB.
///
/// # Errors
/// There is no such process.
pub fn peak_rss_mib(pid: u32) -> Result<f64> {
    memory(pid, "VmHWM:")
}

/// What a process holds now, in MiB.
///
/// # Errors
/// There is no such process.
pub fn rss_mib(pid: u32) -> Result<f64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, name: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// Bytes of the files below a folder, without folders of the name `except`.
///
/// # Errors
/// It cannot be read.
pub fn bytes_in(folder: &Path, except: &str) -> Result<u64> {
    let (mut total, mut folders) = (0, vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                // A file may be compacted away between the listing and the question.
                total += entry.metadata().map_or(0, |metadata| metadata.len());
            } else if entry.file_name() != except {
                folders.push(entry.path());
            }
        }
    }
    Ok(total)
}
