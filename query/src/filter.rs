//! One filter language for every door: a tree of predicates over the columns of a table.
//!
//! Logic is two-valued: a predicate says yes or no for every row, so that `not` is the exact complement. What a
//! predicate says of an absent value is its own matter (most say no); a column that a batch does not hold reads as
//! absent in every row.
//!
//! A filter is used twice: [`Evaluator`] applies it exactly to a batch, [`prune`] decides from statistics alone
//! whether a part of a segment can hold a match, and never says no to a part that does (QU-2).

pub mod cel;
mod evaluate;
mod http;
pub mod hubble;
mod labels;
mod names;
pub mod prune;
mod regex;
mod test;
pub mod tetragon;
pub mod text;
pub(crate) mod wire;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use hindcast_model::{TableId, Timestamp};

pub use self::evaluate::Evaluator;
pub use self::labels::Selector;
pub use self::regex::Pattern;
pub use self::test::{BitsTest, NumberTest, TextTest};
use crate::FilterError;

/// A predicate over rows of a table.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Every row.
    True,
    /// Rows that all of these match; every row if there are none.
    And(Vec<Self>),
    /// Rows that any of these matches; no row if there are none.
    Or(Vec<Self>),
    /// Rows that this does not match.
    Not(Box<Self>),
    /// Rows by the text of a column.
    Text {
        /// The column.
        column: &'static str,
        /// What the text must be.
        test: TextTest,
    },
    /// Rows by the number, or the instant in nanoseconds, of a column.
    Number {
        /// The column.
        column: &'static str,
        /// What the number must be.
        test: NumberTest,
    },
    /// Rows by the truth value of a column; an absent one matches neither.
    Bool {
        /// The column.
        column: &'static str,
        /// What it must be.
        value: bool,
    },
    /// Rows by bytes being there.
    BytesPresent {
        /// The column.
        column: &'static str,
    },
    /// Rows by something that no single column says.
    Rows(Arc<dyn RowTest>),
}

/// A predicate that looks at several columns of a row, or into wire bytes.
pub trait RowTest: Debug + Send + Sync {
    /// The columns it reads.
    fn columns(&self) -> Vec<&'static str>;

    /// The rows among `candidates` that match.
    ///
    /// # Errors
    /// The batch is not of the table the test was made for.
    fn select(&self, batch: &RecordBatch, candidates: &BooleanBuffer) -> Result<BooleanBuffer, FilterError>;
}

impl Filter {
    /// No row.
    #[must_use]
    pub const fn nothing() -> Self {
        Self::Or(Vec::new())
    }

    /// All of `parts`; cheap ones are asked first.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        flat.sort_by_key(Self::cost);
        match flat.len() {
            0 => Self::True,
            1 => flat.pop().unwrap_or(Self::True),
            _ => Self::And(flat),
        }
    }

    /// Any of `parts`; cheap ones are asked first.
    #[must_use]
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::True => return Self::True,
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        flat.sort_by_key(Self::cost);
        if flat.len() == 1 { flat.pop().unwrap_or_else(Self::nothing) } else { Self::Or(flat) }
    }

    /// The complement.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::True => Self::nothing(),
            Self::Not(inner) => *inner,
            Self::Or(parts) if parts.is_empty() => Self::True,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Rows whose `column` is one of these texts.
    #[must_use]
    pub fn one_of<T: Into<String>>(column: &'static str, values: impl IntoIterator<Item = T>) -> Self {
        let values = values.into_iter().map(Into::into).collect::<BTreeSet<String>>();
        Self::Text { column, test: TextTest::OneOf(values) }
    }

    /// Rows whose `column` is this text, where the empty text means an absent value.
    #[must_use]
    pub(crate) fn text_or_absent(column: &'static str, value: &str) -> Self {
        if value.is_empty() { Self::absent(column) } else { Self::one_of(column, [value]) }
    }

    /// Rows whose text column has no value, or an empty one.
    #[must_use]
    pub(crate) fn absent(column: &'static str) -> Self {
        Self::Text { column, test: TextTest::Absent }
    }

    /// Rows whose text column has a value.
    #[must_use]
    pub(crate) fn present(column: &'static str) -> Self {
        Self::Text { column, test: TextTest::Absent }.negate()
    }

    /// Rows whose number is one of these.
    #[must_use]
    pub(crate) fn number(column: &'static str, values: impl IntoIterator<Item = i128>) -> Self {
        Self::Number { column, test: NumberTest::OneOf(values.into_iter().collect()) }
    }

    /// Rows at or after an instant.
    #[must_use]
    pub fn since(time: Timestamp) -> Self {
        Self::Number { column: "time", test: NumberTest::Between(i128::from(time.as_nanos()), i128::MAX) }
    }

    /// The columns that deciding needs, each once, sorted.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&'static str> {
        let mut columns = BTreeSet::new();
        self.collect_columns(&mut columns);
        columns
    }

    fn collect_columns(&self, into: &mut BTreeSet<&'static str>) {
        match self {
            Self::True => {}
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.collect_columns(into)),
            Self::Not(inner) => inner.collect_columns(into),
            Self::Text { column, .. }
            | Self::Number { column, .. }
            | Self::Bool { column, .. }
            | Self::BytesPresent { column } => {
                into.insert(column);
            }
            Self::Rows(test) => into.extend(test.columns()),
        }
    }

    /// Whether every row matches without a look at it.
    #[must_use]
    pub const fn is_true(&self) -> bool {
        matches!(self, Self::True)
    }

    /// Whether the filter only speaks of columns of `table`.
    #[must_use]
    pub fn fits(&self, table: TableId) -> bool {
        self.columns().iter().all(|name| table.columns().iter().any(|column| column.name == *name))
    }

    fn cost(&self) -> u8 {
        match self {
            Self::True => 0,
            Self::Number { .. } | Self::Bool { .. } | Self::BytesPresent { .. } => 1,
            Self::Text { .. } => 2,
            Self::Not(inner) => inner.cost(),
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::cost).max().unwrap_or(0).max(3),
            Self::Rows(_) => 9,
        }
    }
}

#[cfg(test)]
mod tests;
