//! Regular expressions as the wires' own agents read them (RE2), with bounds on what a pattern may cost.
//!
//! The engine is of the same family. Where the dialects differ the pattern is rewritten: `\d`, `\s`, `\w` and `\b`
//! are ASCII, a bracket or a doubled sign inside of a class is itself, `\Q…\E` quotes.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use ::regex::{Regex, RegexBuilder};

use crate::FilterError;

/// Longest pattern that is compiled, in bytes.
const MAX_PATTERN_BYTES: usize = 4096;
/// Most memory a compiled pattern may take, in bytes.
const MAX_PROGRAM_BYTES: usize = 1 << 20;
/// Deepest nesting of groups.
const MAX_NESTING: u32 = 64;

/// A compiled pattern.
#[derive(Clone)]
pub struct Pattern {
    regex: Regex,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/{}/", self.regex.as_str())
    }
}

impl Pattern {
    /// A pattern in RE2's dialect, to be searched for anywhere in a text.
    ///
    /// # Errors
    /// The pattern is malformed, too long or too costly.
    pub fn re2(pattern: &str) -> Result<Self, FilterError> {
        check_length(pattern)?;
        Self::compile(&translate(pattern), false)
            .map_err(|reason| FilterError::new(format!("invalid regular expression {pattern:?}: {reason}")))
    }

    /// A text in which `*` stands for any run of characters, to match a whole text.
    ///
    /// # Errors
    /// The text is too long.
    pub fn wildcard(pattern: &str) -> Result<Self, FilterError> {
        check_length(pattern)?;
        let body = pattern.split('*').map(::regex::escape).collect::<Vec<_>>().join(".*");
        Self::compile(&format!("^(?s:{body})$"), false)
            .map_err(|reason| FilterError::new(format!("invalid pattern {pattern:?}: {reason}")))
    }

    /// A pattern that is known to be in this engine's dialect.
    pub(crate) fn native(pattern: &str) -> Result<Self, FilterError> {
        Self::compile(pattern, false).map_err(FilterError::new)
    }

    fn compile(pattern: &str, ignore_case: bool) -> Result<Self, String> {
        RegexBuilder::new(pattern)
            .case_insensitive(ignore_case)
            .size_limit(MAX_PROGRAM_BYTES)
            .dfa_size_limit(MAX_PROGRAM_BYTES)
            .nest_limit(MAX_NESTING)
            .build()
            .map(|regex| Self { regex })
            .map_err(|error| match error {
                ::regex::Error::CompiledTooBig(_) => "it needs too much memory".to_owned(),
                other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
            })
    }

    /// Whether the pattern is found in `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn check_length(pattern: &str) -> Result<(), FilterError> {
    if pattern.len() > MAX_PATTERN_BYTES {
        let message = format!("pattern of {} bytes is longer than {MAX_PATTERN_BYTES}", pattern.len());
        return Err(FilterError::new(message));
    }
    Ok(())
}

/// Rewrites RE2 into the engine's dialect.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    let mut class_is_fresh = false;
    while let Some(character) = chars.next() {
        match character {
            '\\' => escape(&mut chars, in_class, &mut out),
            '[' if in_class => {
                if chars.peek() == Some(&':') {
                    out.push('[');
                    copy_posix_class(&mut chars, &mut out);
                } else {
                    out.push_str("\\[");
                }
            }
            '[' => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                class_is_fresh = true;
                continue;
            }
            ']' if in_class && class_is_fresh => out.push_str("\\]"),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(character);
            }
            '-' if in_class && chars.peek() == Some(&'-') => out.push_str("\\-"),
            other => out.push(other),
        }
        class_is_fresh = false;
    }
    out
}

fn copy_posix_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    for character in chars.by_ref() {
        out.push(character);
        if character == ']' {
            return;
        }
    }
}

fn escape(chars: &mut Peekable<Chars<'_>>, in_class: bool, out: &mut String) {
    let Some(escaped) = chars.next() else {
        out.push('\\');
        return;
    };
    let plain = match escaped {
        'd' => "0-9",
        's' => "\\t\\n\\f\\r ",
        'w' => "0-9A-Za-z_",
        'D' => return out.push_str("[^0-9]"),
        'S' => return out.push_str("[^\\t\\n\\f\\r ]"),
        'W' => return out.push_str("[^0-9A-Za-z_]"),
        'b' if !in_class => return out.push_str("(?-u:\\b)"),
        'Q' if !in_class => return quote(chars, out),
        other => {
            out.push('\\');
            return out.push(other);
        }
    };
    if in_class {
        out.push_str(plain);
    } else {
        out.push('[');
        out.push_str(plain);
        out.push(']');
    }
}

fn quote(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut quoted = String::new();
    while let Some(character) = chars.next() {
        if character == '\\' && chars.next_if_eq(&'E').is_some() {
            break;
        }
        quoted.push(character);
    }
    out.push_str(&::regex::escape(&quoted));
}
