//! What went wrong with a question, before a door puts it into its own words.

use hindcast_model::Kind;

use crate::problem::{self, Problem};

/// A failure with what a client may know of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Fault {
    /// Who has to act.
    pub(crate) kind: Kind,
    /// What went wrong, the whole chain.
    pub(crate) text: String,
    /// Where in the text of the filter or the query.
    pub(crate) span: Option<(usize, usize)>,
    /// The parameter at fault.
    pub(crate) parameter: Option<&'static str>,
}

impl Fault {
    /// A failure of that kind.
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), span: None, parameter: None }
    }

    /// A wrong request.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, text)
    }

    /// A limit that is reached.
    pub(crate) fn busy(text: impl Into<String>) -> Self {
        Self::new(Kind::Busy, text)
    }

    /// The same failure, of that parameter.
    pub(crate) fn of(self, parameter: &'static str) -> Self {
        Self { parameter: Some(parameter), ..self }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let problem = match fault.parameter {
            Some(parameter) if fault.kind == Kind::Invalid => Self::parameter(parameter, fault.text),
            _ => Self::new(fault.kind, fault.text),
        };
        match fault.span {
            Some((start, end)) => problem.at(start, end),
            None => problem,
        }
    }
}

impl From<Fault> for tonic::Status {
    fn from(fault: Fault) -> Self {
        if matches!(fault.kind, Kind::Corrupt | Kind::Internal | Kind::Unavailable) {
            tracing::warn!(error = %fault.text, "call failed");
        }
        problem::status(fault.kind, fault.text)
    }
}
