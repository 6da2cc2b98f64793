//! One process per data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::error::OpenError;

/// The lock of a data directory; released when dropped or when the process ends.
#[derive(Debug)]
pub(crate) struct DirLock(#[expect(dead_code, reason = "held for its lock")] File);

impl DirLock {
    /// Takes the lock and writes who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let failed = |action| {
            let path = path.clone();
            move |source| OpenError::Directory { action, path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(OpenError::Locked { path: dir.to_path_buf(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        // Best effort: the lock holds whether or not the number can be written.
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        if let Err(error) = written {
            tracing::warn!(error = hindcast_model::report(&error), "cannot write the process number into the lock");
        }
        Ok(Self(file))
    }
}
