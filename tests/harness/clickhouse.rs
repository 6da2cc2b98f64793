//! A ClickHouse server of one's own: a real engine in a process that can be killed and started again on its data.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::repository::{python, shared};

/// The program that opens the engine's listeners.
const PROGRAM: &str = "tools/chdb_server.py";

/// A server; killed when it goes out of scope.
#[derive(Debug)]
pub struct ClickHouse {
    python: PathBuf,
    program: PathBuf,
    data: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl ClickHouse {
    /// Starts a server on that folder; `None`, and noted as skipped, where there is no engine.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(test: &str, data: &Path) -> Result<Option<Self>> {
        let (Some(python), Some(program)) = (python(test), shared(test, PROGRAM)) else { return Ok(None) };
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut server = Self { python, program, data: data.to_path_buf(), port, arguments: Vec::new(), child: None };
        server.restart()?;
        Ok(Some(server))
    }

    /// Ends it and starts it again with these arguments more.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart_with(&mut self, arguments: Vec<String>) -> Result<()> {
        self.kill()?;
        self.arguments = arguments;
        self.restart()
    }

    /// Starts it again where it was, if it is not running.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let mut child = Command::new(&self.python)
            .arg(&self.program)
            .arg("--data")
            .arg(&self.data)
            .args(["--http-port", &self.port.to_string(), "--tcp-port", "0", "--watch-stdin"])
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start ClickHouse")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        self.child = Some(child);
        if !line.contains("http_port") {
            bail!("ClickHouse did not start: {line:?}");
        }
        Ok(())
    }

    /// Ends it without a chance to do anything about it.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its HTTP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it answers to a statement, as text.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub fn ask(&self, statement: &str) -> Result<String> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.post(self.url()).send(statement).context("ClickHouse does not answer")?;
        let text = response.body_mut().read_to_string()?;
        if !response.status().is_success() {
            bail!("ClickHouse refused {statement}: {text}");
        }
        Ok(text.trim_end().to_owned())
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        drop(self.kill());
    }
}
