//! The program's own log: on stderr, as text or JSON. `RUST_LOG` wins over `--log`, which wins over `[log]`.

use std::io;
use std::panic::PanicHookInfo;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::terminal::Palette;

/// Libraries that log as errors what they also return as such; we say it, once.
const QUIET: &str = "kube_client=off";

/// Section `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How much is said: `error`, `warn`, `info`, `debug`, `trace`, or a filter like `info,hindcast_storage=debug`.
    pub level: String,
    /// `text` for people, `json` for programs.
    pub format: Format,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: Format::Text }
    }
}

impl Config {
    /// What is wrong with the section.
    #[must_use]
    pub(crate) fn problem(&self) -> Option<String> {
        EnvFilter::try_new(&self.level).err().map(|error| format!("log.level = {:?} is no filter: {error}", self.level))
    }
}

/// Starts logging. Called once; a second call does nothing.
pub(crate) fn start(config: &Config, palette: Palette) {
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_unset| EnvFilter::try_new(format!("{QUIET},{}", config.level)))
        .unwrap_or_else(|_checked_before| EnvFilter::new("info"));
    // Where stderr takes no more (a full disk), complaining about it there would panic, and the panic's own line again:
    // the program would end because it cannot talk.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    let started = match config.format {
        Format::Text => builder.with_ansi(palette.is_colored()).with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second start, as in a test, keeps the first log.
    drop(started);
    std::panic::set_hook(Box::new(log_panic));
}

/// A panic in one task does not end the program; it must not go by unseen either.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let text = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(location, panic = text, backtrace = %std::backtrace::Backtrace::capture(), "a task panicked");
}
