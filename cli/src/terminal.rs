//! What is known of the terminal: whether to colour, and how.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};

use crate::args::ColorChoice;

/// Whether texts get colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Palette {
    is_colored: bool,
}

/// What a text means, which decides its colour. The choice is that of the `hubble` CLI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A host, pod, service or program.
    Host,
    /// A port.
    Port,
    /// A security identity or user.
    Identity,
    /// Passed.
    Good,
    /// Refused or failed.
    Bad,
    /// Neither: audited, traced, translated.
    Notable,
    /// Of less interest.
    Faint,
}

impl Palette {
    /// No colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { is_colored: false };

    /// As the user chose for stdout: `NO_COLOR` (set and not empty) and a stdout that is no terminal switch colours
    /// off unless they are asked for.
    #[must_use]
    pub(crate) fn for_stdout(choice: ColorChoice) -> Self {
        let is_colored = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_color_wanted() && io::stdout().is_terminal(),
        };
        Self { is_colored }
    }

    /// The same for stderr.
    #[must_use]
    pub(crate) fn for_stderr(choice: ColorChoice) -> Self {
        let is_colored = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_color_wanted() && io::stderr().is_terminal(),
        };
        Self { is_colored }
    }

    /// Whether there are colours.
    #[must_use]
    pub(crate) const fn is_colored(self) -> bool {
        self.is_colored
    }

    /// The text in the colour of its tone.
    #[must_use]
    pub(crate) fn paint<'a>(self, tone: Tone, text: &'a str) -> Cow<'a, str> {
        if !self.is_colored || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let code = match tone {
            Tone::Host => "36",
            Tone::Port | Tone::Notable => "33",
            Tone::Identity => "35",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Faint => "2",
        };
        Cow::Owned(format!("\u{1b}[{code}m{text}\u{1b}[0m"))
    }
}

fn is_color_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// The text with control characters made visible, so that a recorded text cannot steer the reader's terminal.
#[must_use]
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_control() {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests;
