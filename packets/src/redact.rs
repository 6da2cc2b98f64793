//! Secrets are taken out before anything is recorded.
//!
//! A rule is a regular expression for one or more places. What its groups matched is replaced, or the whole match
//! where it has no group. [`Redactor::default`] has the rules for well-known secrets: it is on unless a user turns
//! it off. Rules are applied in order, each to what the earlier ones left.

mod well_known;

use std::borrow::Cow;
use std::sync::LazyLock;

use hindcast_model::Kind;
use regex::{Captures, Regex, RegexBuilder};

/// What stands where a secret was.
pub const MARK: &str = "[redacted]";

/// A compiled rule may take this much memory.
const MOST_RULE_SIZE: usize = 1 << 20;
/// A text longer than this is replaced as a whole rather than searched: no rule holds for what was not read.
const MOST_TEXT: usize = 1 << 20;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A URL, a path with a query, or a query string alone.
    Url,
    /// A header, as `name: value`.
    Header,
    /// The arguments of a command, as one text.
    Arguments,
    /// A variable of the environment, as `NAME=value`.
    Environment,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 4] = [Self::Url, Self::Header, Self::Arguments, Self::Environment];
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    places: Vec<Place>,
    pattern: Regex,
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("redaction rule {pattern:?} is not a regular expression, or too large a one")]
pub struct RuleError {
    /// The rule's text.
    pub pattern: String,
    /// What is wrong with it.
    #[source]
    pub source: Box<regex::Error>,
}

impl RuleError {
    /// The rule is wrong.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl Rule {
    /// A rule for some places.
    ///
    /// # Errors
    /// The pattern is not a regular expression.
    pub fn new(places: &[Place], pattern: &str) -> Result<Self, RuleError> {
        let compiled = RegexBuilder::new(pattern).size_limit(MOST_RULE_SIZE).build();
        let pattern = compiled.map_err(|source| RuleError { pattern: pattern.to_owned(), source: Box::new(source) })?;
        Ok(Self { places: places.to_vec(), pattern })
    }

    fn apply(&self, text: &str) -> Option<String> {
        // Most texts hold no secret: matching without groups is much faster, and allocates nothing.
        if !self.pattern.is_match(text) {
            return None;
        }
        Some(self.pattern.replace_all(text, |found: &Captures<'_>| without_groups(found)).into_owned())
    }
}

/// The text of a match, with a mark in place of each group; all of it where there are none.
fn without_groups(found: &Captures<'_>) -> String {
    let Some(whole) = found.get(0) else { return String::new() };
    if found.len() == 1 {
        return MARK.to_owned();
    }
    let mut text = String::with_capacity(whole.len());
    let mut end = whole.start();
    // A group inside of one that was replaced is gone with it.
    for group in found.iter().skip(1).flatten().filter(|group| !group.is_empty()) {
        if group.start() < end {
            continue;
        }
        text.push_str(part(whole, end, group.start()));
        text.push_str(MARK);
        end = group.end();
    }
    text.push_str(part(whole, end, whole.end()));
    text
}

fn part(whole: regex::Match<'_>, start: usize, end: usize) -> &str {
    whole.as_str().get(start.saturating_sub(whole.start())..end.saturating_sub(whole.start())).unwrap_or_default()
}

/// A set of rules.
#[derive(Clone, Debug)]
pub struct Redactor {
    rules: Vec<Rule>,
}

impl Default for Redactor {
    fn default() -> Self {
        // Compiled once: a rule is shared by all who use it.
        static RULES: LazyLock<Vec<Rule>> = LazyLock::new(well_known::rules);
        Self { rules: RULES.clone() }
    }
}

impl Redactor {
    /// No rules: everything is recorded as it was.
    #[must_use]
    pub const fn none() -> Self {
        Self { rules: Vec::new() }
    }

    /// A user's rules alone; for the well-known ones as well, begin with [`Redactor::default`].
    #[must_use]
    pub const fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// These rules, and then some more.
    #[must_use]
    pub fn with(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// How many rules there are.
    #[must_use]
    pub const fn n_rules(&self) -> usize {
        self.rules.len()
    }

    /// A URL, a path with a query, or a query string alone, without its secrets.
    #[must_use]
    pub fn url<'a>(&self, url: &'a str) -> Cow<'a, str> {
        self.text(Place::Url, url)
    }

    /// The value of a header without its secrets.
    #[must_use]
    pub fn header<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if self.rules.is_empty() {
            return Cow::Borrowed(value);
        }
        let line = format!("{name}: {value}");
        match self.text(Place::Header, &line) {
            Cow::Borrowed(_) => Cow::Borrowed(value),
            Cow::Owned(line) => match line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")) {
                Some(value) => Cow::Owned(value.to_owned()),
                // A rule took the name as well: then nothing is told of the value either.
                None => Cow::Borrowed(MARK),
            },
        }
    }

    /// The arguments of a command, as one text, without their secrets.
    #[must_use]
    pub fn arguments<'a>(&self, arguments: &'a str) -> Cow<'a, str> {
        self.text(Place::Arguments, arguments)
    }

    /// A variable of the environment, as `NAME=value`, without its secrets.
    #[must_use]
    pub fn environment<'a>(&self, variable: &'a str) -> Cow<'a, str> {
        self.text(Place::Environment, variable)
    }

    /// Any text of a place without its secrets.
    #[must_use]
    pub fn text<'a>(&self, place: Place, text: &'a str) -> Cow<'a, str> {
        if text.is_empty() || self.rules.is_empty() {
            return Cow::Borrowed(text);
        }
        if text.len() > MOST_TEXT {
            return Cow::Borrowed(MARK);
        }
        let mut current = Cow::Borrowed(text);
        for rule in self.rules.iter().filter(|rule| rule.places.contains(&place)) {
            if let Some(replaced) = rule.apply(&current) {
                current = Cow::Owned(replaced);
            }
        }
        current
    }
}

#[cfg(test)]
mod tests;
