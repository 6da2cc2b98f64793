//! What every command begins with: settings, logging, the runtime, the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hindcast_model::Clock;
use hindcast_storage::{OpenError, Store};

use crate::args::{ColorChoice, DEFAULT_DATA_DIR};
use crate::clock::SystemClock;
use crate::config::{self, Inputs, Settings};
use crate::exit;
use crate::logging;
use crate::terminal::Palette;

/// How long threads may take to end when a command has ended.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// What is common to all commands.
#[derive(Debug)]
pub(crate) struct Common {
    /// How to colour.
    pub(crate) color: ColorChoice,
    /// `--log`.
    pub(crate) log: Option<String>,
}

/// How much a command says of itself where nobody set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// It runs for long: its log is how it is watched.
    Service,
    /// It answers and ends: only what is wrong is said.
    Tool,
}

impl Common {
    /// Colours of stdout.
    pub(crate) fn palette(&self) -> Palette {
        Palette::for_stdout(self.color)
    }

    /// Composes the settings and starts logging.
    ///
    /// # Errors
    /// The configuration has problems; all of them are named.
    pub(crate) fn settings(&self, voice: Voice, mut inputs: Inputs) -> anyhow::Result<Settings> {
        inputs.flag(&["log", "level"], "--log", self.log.as_ref());
        if voice == Voice::Tool {
            inputs.fallback(&["log", "level"], "warn");
        }
        let loaded = config::load(inputs).map_err(|problems| exit::usage(problems.to_string()))?;
        logging::start(&loaded.settings.log, Palette::for_stderr(self.color));
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        Ok(loaded.settings)
    }
}

/// The inputs of a command that works on a data directory.
pub(crate) fn inputs(config_file: Option<&PathBuf>, data_dir: Option<&PathBuf>) -> Inputs {
    let mut inputs = Inputs::of_environment(config_file.cloned());
    inputs.flag(&["storage", "data_dir"], "--data-dir", data_dir.map(|dir| dir.display()));
    inputs
}

/// The real clock, as parts are given it.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Runs a command on a runtime of its own.
///
/// # Errors
/// The runtime cannot start, or the command failed.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("hindcast")
        .build()
        .context("the runtime cannot start")?;
    let result = runtime.block_on(future);
    // A thread that is still reading does not hold up an end that was forced; everything else was waited for.
    runtime.shutdown_timeout(LEAVE_TIMEOUT);
    result
}

/// Opens the store; a directory that somebody else holds is told what to do instead.
///
/// # Errors
/// The store cannot be opened.
pub(crate) async fn open_store(config: hindcast_storage::Config, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
    let config = config.validate().map_err(|error| exit::usage(error.to_string()))?;
    match Store::open(config, clock).await {
        Ok(store) => Ok(store),
        Err(error @ OpenError::Locked { .. }) => {
            Err(anyhow::Error::new(error)
                .context("a running server keeps its data directory to itself: use --server URL"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens what others wrote, to answer from it.
///
/// # Errors
/// Nothing to read is configured, or it cannot be read.
pub(crate) async fn open_read_only(config: hindcast_storage::Config, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
    let config = config.validate().map_err(|error| exit::usage(error.to_string()))?;
    match Store::open_read_only(config, clock).await {
        Err(error @ OpenError::NothingToRead) => Err(exit::usage(error.to_string())),
        opened => Ok(opened?),
    }
}

/// A store that is only read has to be there already.
///
/// # Errors
/// There is none.
pub(crate) fn require_store(data_dir: &Path) -> anyhow::Result<()> {
    match std::fs::metadata(data_dir) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => bail!("{} is no directory", data_dir.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && data_dir == Path::new(DEFAULT_DATA_DIR) => {
            bail!("there is no data directory {}: name one with --data-dir DIR", data_dir.display())
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("data directory {}", data_dir.display()))),
    }
}
