//! How a command ends: its exit status and, where it failed, what it says.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Everything asked for was done.
pub(crate) const DONE: u8 = 0;
/// Something could not be done.
pub(crate) const FAILED: u8 = 1;
/// The command line or the configuration is wrong; nothing was begun. `EX_USAGE` of sysexits.
pub(crate) const USAGE: u8 = 64;
/// Stopped by a second signal before everything was written in order.
pub(crate) const FORCED: u8 = 130;

/// A wrong command line or configuration, with everything that is wrong.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A usage error as `anyhow` carries it.
pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(UsageError(text.into()))
}

/// Prints what went wrong, if anything, and gives the exit status.
///
/// A reader of our output that went away (`hindcast observe | head`) is no failure.
pub(crate) fn conclude(result: Result<u8, anyhow::Error>) -> ExitCode {
    let error = match result {
        Ok(status) => return ExitCode::from(status),
        Err(error) => error,
    };
    if is_closed_pipe(&error) {
        return ExitCode::from(DONE);
    }
    let text = format!("error: {}\n", chain(&error));
    // Nobody is left to tell when stderr is gone too.
    let _gone = io::Write::write_all(&mut io::stderr(), text.as_bytes());
    ExitCode::from(if error.is::<UsageError>() { USAGE } else { FAILED })
}

/// The whole chain of causes, without repeating a cause that the text before it already holds.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}
