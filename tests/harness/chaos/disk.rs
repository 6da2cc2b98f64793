//! A disk of one's own that can be filled: a small tmpfs, where it may be mounted.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The file that fills it.
const BALLAST: &str = "ballast";

/// A folder, on a disk of its own if possible.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    is_mounted: bool,
    is_kept: bool,
}

impl Disk {
    /// Makes the folder and mounts a disk of that many MiB there, if that is allowed.
    pub(crate) fn make(path: &Path, n_mib: u32) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let size = format!("size={n_mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "hindcast-chaos"]).arg(path).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        Ok(Self { path: path.to_path_buf(), is_mounted, is_kept: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it can be filled without filling the machine's disk.
    pub(crate) const fn can_be_filled(&self) -> bool {
        self.is_mounted
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut ballast = std::fs::File::create(self.path.join(BALLAST)).context("cannot make the ballast")?;
        let mut n_bytes = 1 << 20;
        let zeros = vec![0_u8; n_bytes];
        // Smaller and smaller pieces, until not even a byte goes in.
        while n_bytes > 0 {
            match zeros.get(..n_bytes).map(|part| ballast.write_all(part)) {
                Some(Ok(())) => {}
                _ => n_bytes /= 2,
            }
        }
        Ok(())
    }

    pub(crate) fn free(&self) -> Result<()> {
        std::fs::remove_file(self.path.join(BALLAST)).context("cannot remove the ballast")
    }

    /// What is on it stays.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted && !self.is_kept {
            // Lazily: a program that was killed may not be gone yet.
            drop(Command::new("umount").arg("-l").arg(&self.path).output());
        }
    }
}
