//! The little of a file system that durability needs, as a trait so that tests can make each step fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

/// Files by path. Every call may fail, and a failed [`LogFile::sync`] leaves the file's unsynced bytes in doubt.
pub trait LogFs: Send + Sync + std::fmt::Debug {
    /// Creates a file, which may not exist, for writing.
    ///
    /// # Errors
    /// As the file system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// Opens a file for reading from its start.
    ///
    /// # Errors
    /// As the file system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;

    /// Cuts a file and syncs it.
    ///
    /// # Errors
    /// As the file system says.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;

    /// Files of a directory with their sizes, in no order.
    ///
    /// # Errors
    /// As the file system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<(PathBuf, u64)>>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Moves a file inside of the file system, replacing what is there.
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Creates a directory and those above it.
    ///
    /// # Errors
    /// As the file system says.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes creations, moves and removals in a directory durable.
    ///
    /// # Errors
    /// As the file system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file under construction.
pub trait LogFile: Send {
    /// Appends all bytes; after an error any part of them may be there.
    ///
    /// # Errors
    /// As the file system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes durable. After an error the file must not be synced again: the kernel may have forgotten what
    /// it could not write.
    ///
    /// # Errors
    /// As the file system says.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file; the next append continues there.
    ///
    /// # Errors
    /// As the file system says.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

struct RealFile(File);

impl LogFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

impl LogFs for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        // In append mode the position follows the file's end, also after it was cut.
        Ok(Box::new(RealFile(OpenOptions::new().append(true).create_new(true).open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_data()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                files.push((entry.path(), metadata.len()));
            }
        }
        Ok(files)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}
