//! Words of the filter language, with their places.

use std::ops::Range;

use crate::FilterError;

/// A word and where it stands, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Open,
    Close,
    Or,
    And,
    Not,
    Term(Term),
}

/// A term: a key with values, or free text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    /// `None` for free text.
    pub(super) key: Option<(String, Range<usize>)>,
    pub(super) operator: Operator,
    pub(super) values: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Is,
    IsNot,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) form: Form,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A bare word: `*` is a wildcard.
    Word,
    /// Between quotes: every character is itself.
    Quoted,
    /// `~/…/`.
    Pattern,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    pub(super) fn tokens(mut self) -> Result<Vec<Token>, FilterError> {
        let mut tokens = Vec::new();
        loop {
            self.skip_space();
            let start = self.position;
            let Some(next) = self.peek() else { return Ok(tokens) };
            let kind = match next {
                '(' => self.single(TokenKind::Open),
                ')' => self.single(TokenKind::Close),
                '-' | '!' if self.rest().chars().nth(1).is_some_and(|second| !second.is_whitespace()) => {
                    self.single(TokenKind::Not)
                }
                _ => self.word()?,
            };
            tokens.push(Token { kind, span: start..self.position });
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self) {
        self.position += self.peek().map_or(0, char::len_utf8);
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.advance();
        kind
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.advance();
        }
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.position += text.len();
        }
        found
    }

    fn word(&mut self) -> Result<TokenKind, FilterError> {
        if let Some(key) = self.key() {
            let operator = self.operator();
            let values = self.values()?;
            return Ok(TokenKind::Term(Term { key: Some(key), operator, values }));
        }
        let value = self.value(&[])?;
        if value.form == Form::Word {
            match value.text.to_ascii_lowercase().as_str() {
                "or" | "||" => return Ok(TokenKind::Or),
                "and" | "&&" => return Ok(TokenKind::And),
                "not" => return Ok(TokenKind::Not),
                _ => {}
            }
        }
        Ok(TokenKind::Term(Term { key: None, operator: Operator::Is, values: vec![value] }))
    }

    /// A key, if an operator follows it; `from:` and `to:` belong to the key that follows them.
    fn key(&mut self) -> Option<(String, Range<usize>)> {
        let start = self.position;
        let side = ["from:", "to:"]
            .into_iter()
            .find(|side| self.rest().get(..side.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(side)));
        let after_side = side.map_or(0, str::len);
        let name_end = |text: &str| {
            text.find(|character: char| !(character.is_ascii_alphanumeric() || "_.".contains(character)))
                .unwrap_or(text.len())
        };
        let inner = self.rest().get(after_side..)?;
        let end = name_end(inner);
        let follows = inner.get(end..)?;
        let is_key = end > 0
            && inner.starts_with(|first: char| first.is_ascii_alphabetic())
            && [":", "=", "!=", ">", "<"].iter().any(|operator| follows.starts_with(operator))
            // An address such as fe80::1 is no key.
            && !follows.starts_with("::");
        if is_key {
            self.position += after_side + end;
        } else if let Some(side) = side {
            // `to:value`: the side is the key itself.
            self.position += side.len() - 1;
        } else {
            return None;
        }
        let span = start..self.position;
        let name = self.text.get(span.clone())?.to_ascii_lowercase();
        Some((name, span))
    }

    fn operator(&mut self) -> Operator {
        let _colon = self.eat(":");
        if self.eat("!=") {
            Operator::IsNot
        } else if self.eat(">=") {
            Operator::GreaterOrEqual
        } else if self.eat("<=") {
            Operator::LessOrEqual
        } else if self.eat(">") {
            Operator::Greater
        } else if self.eat("<") {
            Operator::Less
        } else {
            let _second = self.eat("==") || self.eat("=");
            Operator::Is
        }
    }

    fn values(&mut self) -> Result<Vec<Value>, FilterError> {
        let mut values = vec![self.value(&[','])?];
        while self.eat(",") {
            values.push(self.value(&[','])?);
        }
        Ok(values)
    }

    fn value(&mut self, stops: &[char]) -> Result<Value, FilterError> {
        let start = self.position;
        if self.eat("\"") {
            let text = self.until('"', start, "this quote is not closed")?;
            return Ok(Value { text, form: Form::Quoted, span: start..self.position });
        }
        if self.eat("~/") {
            let text = self.until('/', start, "this pattern is not closed by a slash")?;
            return Ok(Value { text, form: Form::Pattern, span: start..self.position });
        }
        // Brackets belong to a word where they balance inside of it: `label:app in (a)` does not, `f(x)` does.
        let mut open = 0_usize;
        while let Some(next) = self.peek() {
            match next {
                '(' => open += 1,
                ')' if open == 0 => break,
                ')' => open -= 1,
                stop if stop.is_whitespace() || stops.contains(&stop) => break,
                _ => {}
            }
            self.advance();
        }
        let text = self.text.get(start..self.position).unwrap_or_default().to_owned();
        if text.is_empty() {
            return Err(FilterError::at(start..start, "a value is expected here"));
        }
        Ok(Value { text, form: Form::Word, span: start..self.position })
    }

    /// Everything up to `close`; a backslash before it or before itself is taken away.
    fn until(&mut self, close: char, start: usize, unclosed: &str) -> Result<String, FilterError> {
        let mut text = String::new();
        while let Some(next) = self.peek() {
            self.advance();
            if next == close {
                return Ok(text);
            }
            if next == '\\'
                && let Some(escaped) = self.peek()
            {
                // In a pattern a backslash means something of its own.
                if escaped == close || (close == '"' && escaped == '\\') {
                    self.advance();
                    text.push(escaped);
                    continue;
                }
                if close == '/' {
                    self.advance();
                    text.push(next);
                    text.push(escaped);
                    continue;
                }
            }
            text.push(next);
        }
        Err(FilterError::at(start..self.position, unclosed))
    }
}
