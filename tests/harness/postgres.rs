//! A PostgreSQL server of one's own, with one empty database, that can be killed and started again on its data.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::pause;
use crate::skip::skip;

/// Where Debian keeps its versions.
const VERSIONS: &str = "/usr/lib/postgresql";
const USER: &str = "hindcast";
/// How long it may take to come up.
const PATIENCE: u32 = 300;

/// A server; killed when it goes out of scope.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// Starts a server; `None`, and noted as skipped, where there is none.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(test: &str) -> Result<Option<Self>> {
        let Some(bin) = programs() else {
            skip(test, &format!("needs PostgreSQL in {VERSIONS}: run scripts/setup test"));
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut server = Self { bin, folder, port, child: None };
        let data = server.data();
        std::fs::create_dir(&data)?;
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&data))?;
        }
        run(server.program("initdb").args(["-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8", "-D"]).arg(&data))?;
        server.restart()?;
        run(server.program("createdb").args(server.place()).arg(USER))?;
        Ok(Some(server))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of its programs. The server does not run as root, so then it runs as the user that Debian makes for it.
    fn program(&self, name: &str) -> Command {
        let path = self.bin.join(name);
        let mut command = Command::new(if is_root() { Path::new("setpriv") } else { &path });
        if is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(&path);
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn place(&self) -> [String; 6] {
        ["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER].map(str::to_owned)
    }

    /// Starts it again where it was, if it is not running.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        for _ in 0..PATIENCE {
            let child = match &mut self.child {
                Some(child) => child,
                None => self.child.insert(self.spawn()?),
            };
            // What is left of one that was killed holds the data for a moment longer.
            if child.try_wait()?.is_some() {
                self.child = None;
            } else if run(self.program("pg_isready").args(self.place())).is_ok() {
                return Ok(());
            }
            pause(Duration::from_millis(100));
        }
        let said = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        bail!("PostgreSQL does not start: {said}")
    }

    fn spawn(&self) -> Result<Child> {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        // The machine does not fail here, only the server: what it wrote need not be on disk.
        self.program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .spawn()
            .context("cannot start PostgreSQL")
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

    /// The address of its database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{USER}?sslmode=disable", self.port)
    }

    /// The same, as DuckDB takes it.
    #[must_use]
    pub fn dsn(&self) -> String {
        format!("host=127.0.0.1 port={} user={USER} dbname={USER}", self.port)
    }

    /// What it answers to a statement: a line a row, columns apart by `|`.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub fn ask(&self, statement: &str) -> Result<String> {
        run(self.program("psql").args(self.place()).args([
            "-d",
            USER,
            "-X",
            "-At",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ]))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// The newest version that is installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).ok()?;
    let bins = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("postgres").is_file() && bin.join("psql").is_file()).max()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn run(command: &mut Command) -> Result<String> {
    let ended = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !ended.status.success() {
        bail!("{command:?} ended with {}: {}", ended.status, String::from_utf8_lossy(&ended.stderr));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).trim_end().to_owned())
}
