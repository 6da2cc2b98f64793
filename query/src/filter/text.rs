//! The filter language for people: `ns:payments verdict:dropped to:pod:db port:5432 -dns:*.internal "free text"`.
//!
//! ```text
//! filter = any                           any  = all { "or" all }
//! all    = unary { ["and"] unary }       unary = ( "-" | "not" ) unary | "(" any ")" | term
//! term   = [ "from:" | "to:" ] key op value { "," value } | text
//! op     = ":" | "=" | "!=" | ">" | ">=" | "<" | "<="
//! value  = word | quoted | "~/" pattern "/" | low ".." high
//! ```
//! A comma means any of, `*` in a word any run of characters, `key:*` that there is a value at all. Errors say where
//! in the text and, for an unknown key, what was probably meant. `docs/filter-language.md` lists the keys.

mod keys;
mod lexer;
mod value;

use std::ops::Range;

use hindcast_model::TableId;

pub use self::keys::{Columns, Key, Values, keys};
use self::lexer::{Lexer, Token, TokenKind};
use super::Filter;
use crate::FilterError;

/// Longest text that is read, in bytes.
const MAX_TEXT_BYTES: usize = 16_384;
/// Most terms in a filter.
const MAX_TERMS: usize = 512;
/// Deepest nesting of brackets and negations.
const MAX_DEPTH: usize = 64;

/// Flows that a text means.
///
/// # Errors
/// The text is malformed.
pub fn parse(text: &str) -> Result<Filter, FilterError> {
    parse_for(TableId::Flows, text)
}

/// Rows of `table` that a text means. Tables other than flows and runtime events know their columns' names as keys.
///
/// # Errors
/// The text is malformed.
pub fn parse_for(table: TableId, text: &str) -> Result<Filter, FilterError> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("filter of {} bytes is longer than {MAX_TEXT_BYTES}", text.len());
        return Err(FilterError::at(0..text.len(), message));
    }
    let tokens = Lexer::new(text).tokens()?;
    let mut parser = Parser { table, tokens: tokens.into_iter().peekable(), end: text.len(), depth: 0, n_terms: 0 };
    if parser.tokens.peek().is_none() {
        return Ok(Filter::True);
    }
    let filter = parser.any()?;
    match parser.tokens.next() {
        None => Ok(filter),
        Some(token) => Err(FilterError::at(token.span, "a closing bracket without an opening one")),
    }
}

struct Parser {
    table: TableId,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    end: usize,
    depth: usize,
    n_terms: usize,
}

impl Parser {
    fn any(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.all()?];
        while self.tokens.next_if(|token| token.kind == TokenKind::Or).is_some() {
            parts.push(self.all()?);
        }
        Ok(Filter::any(parts))
    }

    fn all(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.unary()?];
        loop {
            let _and = self.tokens.next_if(|token| token.kind == TokenKind::And);
            match self.tokens.peek().map(|token| &token.kind) {
                None | Some(TokenKind::Or | TokenKind::Close) => return Ok(Filter::all(parts)),
                Some(_) => parts.push(self.unary()?),
            }
        }
    }

    fn unary(&mut self) -> Result<Filter, FilterError> {
        let Some(token) = self.tokens.next() else {
            return Err(FilterError::at(self.end..self.end, "the filter ends where a term is expected"));
        };
        match token.kind {
            TokenKind::Not => {
                self.deeper(&token.span)?;
                let inner = self.unary()?;
                self.depth -= 1;
                Ok(inner.negate())
            }
            TokenKind::Open => {
                self.deeper(&token.span)?;
                let inner = self.any()?;
                self.depth -= 1;
                match self.tokens.next() {
                    Some(Token { kind: TokenKind::Close, .. }) => Ok(inner),
                    _ => Err(FilterError::at(token.span, "this bracket is not closed")),
                }
            }
            TokenKind::Term(term) => {
                self.n_terms += 1;
                if self.n_terms > MAX_TERMS {
                    return Err(FilterError::at(token.span, format!("more than {MAX_TERMS} terms")));
                }
                value::term(self.table, &term)
            }
            TokenKind::Close => Err(FilterError::at(token.span, "a closing bracket where a term is expected")),
            TokenKind::Or | TokenKind::And => {
                Err(FilterError::at(token.span, "a term is expected on both sides of this word"))
            }
        }
    }

    fn deeper(&mut self, span: &Range<usize>) -> Result<(), FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(FilterError::at(span.clone(), format!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
