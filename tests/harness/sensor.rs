//! A `hindcast sensor` of one's own, killed when it goes out of scope.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{tool, wait_until};

/// A running sensor with its spool.
#[derive(Debug)]
pub struct Sensor {
    child: Child,
    spool: PathBuf,
}

impl Sensor {
    /// Starts the sensors of this host and waits until they see.
    ///
    /// # Errors
    /// It ended, or did not begin in time; the error shows what it said.
    pub fn start(to: &str, spool: &Path, arguments: &[&str]) -> Result<Self> {
        let log = |end: &str| File::options().create(true).append(true).open(spool.with_extension(end));
        let (stdout, stderr) = (File::create(spool.with_extension("out"))?, log("log")?);
        let mut command = tool::hindcast()?;
        command.args(["sensor", "--to", to, "--spool"]).arg(spool).args(arguments);
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut sensor = Self { child, spool: spool.to_path_buf() };
        let mut has_ended = None;
        let begun = wait_until("the sensors do not begin", || {
            has_ended = sensor.child.try_wait().ok().flatten();
            has_ended.is_some() || sensor.printed().contains("\nready\n")
        });
        match (has_ended, begun) {
            (None, Ok(())) => Ok(sensor),
            (ended, _) => bail!("the sensor did not begin, {ended:?}:\n{}\n{}", sensor.printed(), sensor.said()),
        }
    }

    /// What it printed.
    #[must_use]
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.spool.with_extension("out")).unwrap_or_default()
    }

    /// What it and its predecessors on this spool said on standard error.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.spool.with_extension("log")).unwrap_or_default()
    }

    /// Whether some file of the spool holds this text.
    #[must_use]
    pub fn has_spooled(&self, text: &str) -> bool {
        let files = std::fs::read_dir(&self.spool).into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read(file.path()).ok()).any(|bytes| contains(&bytes, text.as_bytes()))
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

    /// Asks it to stop and waits until it did; what it printed at the end.
    ///
    /// # Errors
    /// It ended otherwise than by a clean stop.
    pub fn stop(mut self) -> Result<String> {
        let status = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        if !status.success() {
            bail!("cannot signal process {}", self.child.id());
        }
        let ended = self.child.wait()?;
        if !ended.success() {
            bail!("the sensor ended with {ended}:\n{}", self.said());
        }
        Ok(self.printed())
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

impl Drop for Sensor {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
