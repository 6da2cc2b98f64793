//! What can go wrong with a filter or a question.

use std::ops::Range;
use std::sync::Arc;

use hindcast_model::{Kind, SchemaError};

/// A filter that cannot be understood, or rows it cannot be applied to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// What is wrong, for a person.
    pub message: String,
    /// Where in the filter's text, in bytes.
    pub span: Option<Range<usize>>,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl FilterError {
    /// An error without a place.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, suggestion: None }
    }

    /// An error at a place in the text.
    pub(crate) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span: Some(span), suggestion: None }
    }

    /// The same error with a proposal.
    pub(crate) fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    /// The same error, placed at `span` where it has no place of its own.
    pub(crate) fn or_at(mut self, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Invalid
    }

    /// The text with a caret under the place, for a terminal.
    #[must_use]
    pub fn with_caret(&self, text: &str) -> String {
        let mut out = self.message.clone();
        if let Some(span) = &self.span {
            let before = text.get(..span.start).map_or(0, |prefix| prefix.chars().count());
            let width = text.get(span.clone()).map_or(1, |part| part.chars().count()).max(1);
            out = format!("{out}\n  {text}\n  {}{}", " ".repeat(before), "^".repeat(width));
        }
        if let Some(suggestion) = &self.suggestion {
            out = format!("{out}\n  did you mean {suggestion}?");
        }
        out
    }
}

impl From<SchemaError> for FilterError {
    fn from(error: SchemaError) -> Self {
        Self::new(error.to_string())
    }
}

/// A question that has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The filter is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A part of the store cannot be read.
    #[error(transparent)]
    Read(#[from] hindcast_storage::ReadError),
    /// The SQL text is wrong.
    #[error("{message}")]
    Sql {
        /// What is wrong.
        message: String,
        /// Line and column in the text, from 1.
        place: Option<(u64, u64)>,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// The statement would do more than read.
    #[error("only questions are answered here (SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES, DESCRIBE): {what}")]
    NotAQuestion {
        /// What was asked for.
        what: String,
    },
    /// The question contradicts itself.
    #[error("{0}")]
    Invalid(String),
    /// The answer needs more of a resource than the question may take.
    #[error("the question needs more than its limit of {what}")]
    Exhausted {
        /// The resource.
        what: &'static str,
    },
    /// A promise of ours is broken.
    #[error("cannot {step}")]
    Internal {
        /// What failed.
        step: &'static str,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl QueryError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Filter(error) => error.kind(),
            Self::Read(error) => error.kind(),
            Self::Sql { .. } | Self::NotAQuestion { .. } | Self::Invalid(_) => Kind::Invalid,
            Self::Exhausted { .. } => Kind::Busy,
            Self::Internal { .. } => Kind::Internal,
        }
    }

    /// The work behind an answer ended without a word, as after a panic.
    pub(crate) fn broken_off() -> Self {
        Self::Internal {
            step: "answer to the end",
            source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("the search broke off")),
        }
    }

    /// A step of ours failed.
    pub(crate) fn internal(step: &'static str) -> impl Fn(arrow::error::ArrowError) -> Self {
        move |source| Self::Internal { step, source: Arc::new(source) }
    }
}
