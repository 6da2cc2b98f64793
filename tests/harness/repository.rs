//! Where things lie: the repository's root, the recordings beside it, the programs in `.venv`.

use std::path::{Path, PathBuf};

use crate::skip::skip;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// A file or folder of the recordings to test on: under `HINDCAST_SHARED`, or under `shared` beside the repository.
/// `None`, and noted as skipped, where it is not there.
#[must_use]
pub fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let base = std::env::var_os("HINDCAST_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let wanted = base.join(path);
    match wanted.canonicalize() {
        Ok(found) => Some(found),
        Err(error) => {
            skip(test, &format!("needs {} of the recordings beside the repository: {error}", wanted.display()));
            None
        }
    }
}

/// The Python interpreter of `.venv`, which has the programs of `tests/requirements.txt`. `None`, and noted as
/// skipped, where it is not there.
#[must_use]
pub fn python(test: &str) -> Option<PathBuf> {
    let base = std::env::var_os("HINDCAST_VENV").map_or_else(|| root().join(".venv"), PathBuf::from);
    let python = base.join("bin/python");
    if python.is_file() {
        return Some(python);
    }
    skip(test, &format!("needs {}: run scripts/setup test", python.display()));
    None
}

/// Every file of the repository that is written by hand, with its path from the root; built and fetched things are
/// left out.
///
/// # Errors
/// A directory cannot be read.
pub fn files() -> std::io::Result<Vec<PathBuf>> {
    const LEFT_OUT: [&str; 8] =
        [".git", ".venv", "target", "node_modules", "hindcast-data", ".hypothesis", "__pycache__", ".pytest_cache"];
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let file_type = entry.file_type()?;
            if file_type.is_dir() && !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                folders.push(entry.path());
            } else if file_type.is_file() {
                files.push(entry.path().strip_prefix(&root).map_or_else(|_| entry.path(), Path::to_path_buf));
            }
        }
    }
    files.sort();
    Ok(files)
}
