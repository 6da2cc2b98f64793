//! The `hindcast` binary, and running programs to their end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

use crate::repository::root;

/// The built binary: what `HINDCAST_BIN` names; else the one beside the running test or benchmark, built first.
///
/// # Errors
/// It cannot be built.
pub fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BINARY.get_or_init(|| find_binary().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(message) => bail!("no hindcast binary: {message}"),
    }
}

fn find_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HINDCAST_BIN") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let profile = own
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "debug" || name == "release"))
        .context("this program does not lie in a target directory")?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace, as the tests were built: another choice of packages is another set of features, and so
    // another build of every dependency.
    build.current_dir(root()).args(["build", "--quiet", "--workspace", "--all-targets"]);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let output = build.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo build failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(profile.join("hindcast"))
}

/// A command of the binary that cannot be disturbed by the caller's configuration.
///
/// # Errors
/// The binary cannot be built.
pub fn hindcast() -> Result<Command> {
    let mut command = Command::new(binary()?);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("HINDCAST_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    Ok(command)
}

/// What a program printed and how it ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The standard output of a program that succeeded.
    ///
    /// # Errors
    /// It did not succeed; the error shows all that it printed.
    pub fn success(self) -> Result<String> {
        if self.code == Some(0) {
            return Ok(self.stdout);
        }
        bail!("ended with {:?}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started.
pub fn run(command: &mut Command) -> Result<Ended> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    Ok(Ended::of(&output))
}

/// Runs `hindcast` with these arguments to its end.
///
/// # Errors
/// It cannot be built or started.
pub fn run_hindcast<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Ended> {
    run(hindcast()?.args(arguments))
}
