//! Where the shared catalogue is, and who writes to it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A lake that several share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LakeConfig {
    /// Address of the PostgreSQL database with the catalogue that all share, `postgres://user@host/database`; empty
    /// shares nothing. The segments are in `segments_url`.
    pub catalog: String,
    /// File that holds the user's password; empty for none, or for one in the address.
    pub password_file: PathBuf,
    /// PEM file with the authorities that the database's certificate must come from; empty for the usual ones. The
    /// address says with `sslmode` whether TLS is used.
    pub ca_file: PathBuf,
    /// Name of this recorder, which no other has: its folder in the lake.
    pub recorder: String,
    /// How often what is new is written to the shared catalogue, or read from it.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// How long the database may take to answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for LakeConfig {
    fn default() -> Self {
        Self {
            catalog: String::new(),
            password_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            recorder: String::new(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
        }
    }
}

impl LakeConfig {
    /// Whether there is one.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.catalog.is_empty()
    }

    /// What cannot be: the option, what was found, what may be. Requires to know where segments are.
    pub(crate) fn problems(&self, segments_url: &str) -> Vec<(&'static str, String, &'static str)> {
        if !self.is_on() {
            return Vec::new();
        }
        let mut problems = Vec::new();
        let is_postgres = self.catalog.starts_with("postgres://") || self.catalog.starts_with("postgresql://");
        if !is_postgres {
            // Not shown as found: it may hold a password.
            problems.push(("lake.catalog", "something else".to_owned(), "empty or postgres://user@host/database"));
        }
        if segments_url.is_empty() {
            problems.push(("segments_url", "empty".to_owned(), "a place that all who share the lake reach"));
        }
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let name = &self.recorder;
        if !name.bytes().all(is_part) || name.starts_with('.') || name.len() > 100 {
            problems.push(("lake.recorder", name.clone(), "letters, digits, '-', '_' and '.', at most 100"));
        }
        if self.interval < Duration::from_millis(50) {
            problems.push(("lake.interval", format!("{:?}", self.interval), "at least 50ms"));
        }
        if self.timeout < Duration::from_secs(1) {
            problems.push(("lake.timeout", format!("{:?}", self.timeout), "at least 1s"));
        }
        problems
    }
}
