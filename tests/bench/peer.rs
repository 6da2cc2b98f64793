//! DuckDB in a process of its own that answers one line of JSON with another; the clock is on its side.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use hindcast_tests::repository::root;
use serde_json::{Value, json};

/// The process.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    file: PathBuf,
}

/// What a query cost and gave.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) milliseconds: f64,
    pub(crate) n_rows: u64,
}

impl Peer {
    /// Starts it on a new database file.
    pub(crate) fn start(python: &Path, file: &Path) -> Result<Self> {
        if file.is_file() {
            std::fs::remove_file(file)?;
        }
        let mut child = Command::new(python)
            .arg(root().join("tests/python/duckdb_peer.py"))
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start DuckDB")?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, stdin, stdout, file: file.to_path_buf() })
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        writeln!(self.stdin, "{request}")?;
        self.stdin.flush()?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).with_context(|| format!("DuckDB said {line:?}"))?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("DuckDB: {error} ({request})"),
            None => Ok(answer),
        }
    }

    fn seconds(&mut self, request: &Value) -> Result<f64> {
        self.ask(request)?.get("seconds").and_then(Value::as_f64).context("no seconds")
    }

    /// Loads Parquet files into a table of its own; seconds.
    pub(crate) fn load(&mut self, glob: &str) -> Result<f64> {
        self.seconds(&json!({ "load": glob }))
    }

    /// Loads JSON lines into a table of its own and drops it; seconds.
    pub(crate) fn load_json(&mut self, file: &Path) -> Result<f64> {
        self.seconds(&json!({ "load_json": file }))
    }

    /// Runs a query and fetches all of its rows.
    pub(crate) fn query(&mut self, sql: &str) -> Result<Answered> {
        let answer = self.ask(&json!({ "sql": sql }))?;
        let seconds = answer.get("seconds").and_then(Value::as_f64).context("no seconds")?;
        let n_rows = answer.get("rows").and_then(Value::as_u64).context("no rows")?;
        Ok(Answered { milliseconds: seconds * 1e3, n_rows })
    }

    /// Bytes of its database file.
    pub(crate) fn stored_bytes(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.file)?.len())
    }

    /// The most memory it ever held, in MiB.
    pub(crate) fn peak_rss_mib(&self) -> Option<f64> {
        hindcast_tests::measure::peak_rss_mib(self.child.id()).ok()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
