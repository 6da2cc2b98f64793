//! A `hindcast up` of one's own: free ports, a data directory, killed when it goes out of scope.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{http, pause, tool};

/// How often and how long to ask whether it is ready.
const POLL: Duration = Duration::from_millis(20);
const PATIENCE: u32 = 3000;

/// What a server is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Arguments behind the usual ones.
    pub arguments: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Whether these give it a certificate: its URLs then say so.
    pub is_encrypted: bool,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    http: u16,
    grpc: u16,
    scheme: &'static str,
    data_dir: PathBuf,
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

impl Server {
    /// Starts a server on that data directory and waits until it answers.
    ///
    /// # Errors
    /// It ended, or did not answer in time; the error shows what it said.
    pub fn start(data_dir: &Path, options: &Options) -> Result<Self> {
        let mut server = Self::spawn(data_dir, options)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts a server that keeps nothing and answers from what others wrote, and waits until it answers. What it says
    /// is kept beside that path.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_read_only(name: &Path, options: &Options) -> Result<Self> {
        let mut server = Self::run(&["serve", "--read-only"], name, options)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts a server that records this host, and waits until it answers.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_watching(data_dir: &Path, options: &Options) -> Result<Self> {
        let mut server = Self::run(&["up", "--data-dir", &data_dir.display().to_string()], data_dir, options)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts a server on that data directory and does not wait for it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(data_dir: &Path, options: &Options) -> Result<Self> {
        Self::run(&["up", "--no-sensors", "--data-dir", &data_dir.display().to_string()], data_dir, options)
    }

    /// Starts a server that takes what is pushed to it, and waits until it answers.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_serving(data_dir: &Path, options: &Options) -> Result<Self> {
        std::fs::create_dir_all(data_dir).context("cannot create the data directory")?;
        let mut server = Self::run(&["serve", "--data-dir", &data_dir.display().to_string()], data_dir, options)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts a server as [`Server::start_serving`] does, where another one answered before.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_serving_at(doors: (u16, u16), data_dir: &Path, options: &Options) -> Result<Self> {
        let arguments = ["serve", "--data-dir", &data_dir.display().to_string()];
        let mut server = Self::run_at(doors, &arguments, data_dir, options)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    fn run(arguments: &[&str], data_dir: &Path, options: &Options) -> Result<Self> {
        Self::run_at((free_port()?, free_port()?), arguments, data_dir, options)
    }

    fn run_at((http, grpc): (u16, u16), arguments: &[&str], data_dir: &Path, options: &Options) -> Result<Self> {
        let log = log_path(data_dir);
        let stderr = File::options().create(true).append(true).open(&log).context("cannot write the server's log")?;
        let mut command = tool::hindcast()?;
        command
            .args(arguments)
            .args(["--http", &format!("127.0.0.1:{http}"), "--grpc", &format!("127.0.0.1:{grpc}")])
            .args(&options.arguments)
            .envs(options.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let scheme = if options.is_encrypted { "https" } else { "http" };
        Ok(Self { child, http, grpc, scheme, data_dir: data_dir.to_path_buf() })
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let url = self.url("/api/v1/status");
        for _ in 0..PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}:\n{}", self.said());
            }
            if http::get(&url, "application/json").is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            pause(POLL);
        }
        bail!("the server does not answer at {url}:\n{}", self.said())
    }

    /// A URL of its HTTP door.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.http)
    }

    /// The URL of its gRPC door.
    #[must_use]
    pub fn grpc_url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.grpc)
    }

    /// Address and port of its gRPC door.
    #[must_use]
    pub fn grpc_address(&self) -> String {
        format!("127.0.0.1:{}", self.grpc)
    }

    /// The ports of its HTTP and its gRPC door.
    #[must_use]
    pub const fn doors(&self) -> (u16, u16) {
        (self.http, self.grpc)
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn has_ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it and its predecessors on this data directory said on standard error.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(log_path(&self.data_dir)).unwrap_or_default()
    }

    /// Ends it without a chance to do anything about it: `kill -9`.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop and waits until it did.
    ///
    /// # Errors
    /// It ended otherwise than by a clean stop.
    pub fn stop(mut self) -> Result<()> {
        let status = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        if !status.success() {
            bail!("cannot signal process {}", self.child.id());
        }
        let ended = self.child.wait()?;
        if !ended.success() {
            bail!("the server ended with {ended}:\n{}", self.said());
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// Beside the data directory, so that a data directory holds only what Hindcast put there.
fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("log")
}
