//! Label selectors in the grammar of Kubernetes, over labels that may have a source (`k8s:app=web`).

use hindcast_model::list;

use crate::FilterError;

/// Longest selector that is read, in bytes.
const MAX_SELECTOR_BYTES: usize = 16_384;
/// Longest name part of a key, and longest value, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// Requirements that a set of labels must all meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    /// The source a label must have; any if `None`.
    source: Option<String>,
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equals,
    NotEquals,
    Greater,
    Less,
}

/// A label taken apart.
struct Label<'a> {
    source: Option<&'a str>,
    key: &'a str,
    value: &'a str,
}

impl<'a> Label<'a> {
    fn parse(text: &'a str) -> Self {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match name.split_once(':') {
            Some((source, key)) => Self { source: Some(source), key, value },
            None => Self { source: None, key: name, value },
        }
    }
}

impl Selector {
    /// Reads a selector; a key may be preceded by the source of its label and a colon.
    ///
    /// # Errors
    /// The text is no selector.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_SELECTOR_BYTES {
            return Err(FilterError::new(format!("label selector is longer than {MAX_SELECTOR_BYTES} bytes")));
        }
        let wrong = |reason: String| FilterError::new(format!("invalid label selector {text:?}: {reason}"));
        let tokens = tokenize(text).map_err(wrong)?;
        let mut parser = SelectorParser { tokens: tokens.into_iter().peekable() };
        parser.selector().map_err(wrong)
    }

    /// Whether a list of labels (see [`hindcast_model::list`]) meets every requirement.
    #[must_use]
    pub fn selects_list(&self, labels: &str) -> bool {
        let items = list::split(labels).collect::<Vec<_>>();
        self.selects(items.iter().map(AsRef::as_ref))
    }

    /// Whether labels meet every requirement.
    #[must_use]
    pub fn selects<'a>(&self, labels: impl Iterator<Item = &'a str> + Clone) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels
                .clone()
                .map(Label::parse)
                .find(|label| {
                    label.key == requirement.key
                        && requirement.source.as_deref().is_none_or(|source| label.source == Some(source))
                })
                .map(|label| label.value);
            requirement.operator.passes(value)
        })
    }
}

impl Operator {
    fn passes(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|text| text.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Missing => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Self::Greater(bound) => number().is_some_and(|number| number > *bound),
            Self::Less(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

fn tokenize(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(character) = chars.next() {
        let token = match character {
            ' ' | '\t' | '\r' | '\n' => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::Greater,
            '<' => Token::Less,
            '=' => {
                let _second = chars.next_if_eq(&'=');
                Token::Equals
            }
            '!' if chars.next_if_eq(&'=').is_some() => Token::NotEquals,
            '!' => Token::Not,
            first => {
                let mut word = String::from(first);
                while let Some(next) = chars.next_if(|next| !" \t\r\n,()><=!".contains(*next)) {
                    word.push(next);
                }
                Token::Word(word)
            }
        };
        tokens.push(token);
    }
    Ok(tokens)
}

struct SelectorParser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl SelectorParser {
    fn selector(&mut self) -> Result<Selector, String> {
        let mut requirements = Vec::new();
        if self.tokens.peek().is_none() {
            return Ok(Selector::default());
        }
        loop {
            requirements.push(self.requirement()?);
            match self.tokens.next() {
                None => return Ok(Selector { requirements }),
                Some(Token::Comma) if self.tokens.peek().is_some() => {}
                Some(Token::Comma) => return Err("found nothing after ',', expected a key".to_owned()),
                Some(token) => return Err(format!("found {token:?}, expected ',' or the end")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let is_negated = self.tokens.next_if_eq(&Token::Not).is_some();
        let Some(Token::Word(name)) = self.tokens.next() else { return Err("expected a key".to_owned()) };
        let (source, key) = split_source(&name);
        check_key(key)?;
        let operator = if is_negated {
            Operator::Missing
        } else {
            match self.tokens.peek() {
                None | Some(Token::Comma) => Operator::Exists,
                Some(_) => self.operator()?,
            }
        };
        Ok(Requirement { source: source.map(str::to_owned), key: key.to_owned(), operator })
    }

    fn operator(&mut self) -> Result<Operator, String> {
        match self.tokens.next() {
            Some(Token::Equals) => Ok(Operator::In(vec![self.value()?])),
            Some(Token::NotEquals) => Ok(Operator::NotIn(vec![self.value()?])),
            Some(Token::Greater) => Ok(Operator::Greater(self.number()?)),
            Some(Token::Less) => Ok(Operator::Less(self.number()?)),
            Some(Token::Word(word)) if word == "in" => Ok(Operator::In(self.values()?)),
            Some(Token::Word(word)) if word == "notin" => Ok(Operator::NotIn(self.values()?)),
            other => Err(format!("found {other:?}, expected in, notin, =, ==, !=, > or <")),
        }
    }

    /// One value, empty if nothing stands there.
    fn value(&mut self) -> Result<String, String> {
        match self.tokens.peek() {
            None | Some(Token::Comma) => Ok(String::new()),
            Some(Token::Word(_)) => match self.tokens.next() {
                Some(Token::Word(word)) => check_value(word),
                _ => Err("expected a value".to_owned()),
            },
            Some(token) => Err(format!("found {token:?}, expected a value")),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        let value = self.value()?;
        value.parse().map_err(|_error| format!("{value:?} is not a whole number"))
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if self.tokens.next() != Some(Token::Open) {
            return Err("expected '('".to_owned());
        }
        let mut values = Vec::new();
        loop {
            match self.tokens.next() {
                Some(Token::Word(word)) => {
                    values.push(check_value(word)?);
                    match self.tokens.next() {
                        Some(Token::Comma) => {}
                        Some(Token::Close) => return Ok(values),
                        other => return Err(format!("found {other:?}, expected ',' or ')'")),
                    }
                }
                Some(Token::Comma) => values.push(String::new()),
                Some(Token::Close) => {
                    values.push(String::new());
                    return Ok(values);
                }
                other => return Err(format!("found {other:?}, expected a value")),
            }
        }
    }
}

fn split_source(name: &str) -> (Option<&str>, &str) {
    match name.split_once(':') {
        Some(("any", key)) => (None, key),
        Some((source, key)) => (Some(source), key),
        None => (None, name),
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.rsplit_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_is_good = prefix.is_none_or(|prefix| {
        !prefix.is_empty()
            && prefix.len() <= 253
            && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
    });
    if prefix_is_good && is_name(name) { Ok(()) } else { Err(format!("{key:?} is not a label key")) }
}

fn check_value(value: String) -> Result<String, String> {
    if value.is_empty() || is_name(&value) { Ok(value) } else { Err(format!("{value:?} is not a label value")) }
}

/// Letters and digits at both ends, also `-`, `_` and `.` between.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends_are_good =
        bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.last().is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= MAX_NAME_BYTES
        && ends_are_good
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}
