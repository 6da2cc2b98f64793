//! The log: what an append writes and syncs before it returns.
//!
//! `format` is the bytes, `payload` turns batches into a record's payload and back, `fs` is the little of a file
//! system the log needs, `writer` appends, `reader` recovers.

#[cfg(test)]
pub(crate) mod faulty;
pub mod format;
pub mod fs;
pub mod payload;
pub mod reader;
pub(crate) mod writer;

use std::io;
use std::path::PathBuf;

use hindcast_model::Kind;

/// What is wrong with the log as a whole.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file is damaged where it may not be.
    #[error("log file {path} is damaged at byte {offset}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// How.
        #[source]
        source: Damage,
    },
    /// Records are missing between two files.
    #[error("log records {first_missing} to {last_missing} are missing before {path}")]
    Gap {
        /// The file after the gap.
        path: PathBuf,
        /// First record that is not there.
        first_missing: u64,
        /// Last record that is not there.
        last_missing: u64,
    },
}

impl LogError {
    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::Unavailable,
            Self::Damaged { .. } | Self::Gap { .. } => Kind::Corrupt,
        }
    }
}

/// How a log file shows that it is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file ends inside of a header or a record.
    #[error("it ends {missing} bytes early")]
    Short {
        /// How many bytes are missing.
        missing: u64,
    },
    /// The file does not start as a log file does.
    #[error("it does not start as a log file")]
    Magic,
    /// A later build wrote it.
    #[error("it has version {found}, this build reads {known}")]
    Version {
        /// The file's.
        found: u32,
        /// This build's.
        known: u32,
    },
    /// Bytes were changed.
    #[error("a checksum fails")]
    Checksum,
    /// A record stands where another should.
    #[error("record {found} stands where {expected} should")]
    Order {
        /// The record that is there.
        found: u64,
        /// The record that should be.
        expected: u64,
    },
    /// A checksummed payload that cannot be decoded.
    #[error("a payload cannot be decoded: {0}")]
    Payload(&'static str),
}

#[cfg(test)]
mod tests;
