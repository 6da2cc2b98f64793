//! Errors of the SQL engine in the words of a user: what, where, and what was probably meant.

use std::sync::Arc;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::QueryError;
use crate::nearest::nearest;

/// The error as ours.
pub(super) fn explain(error: DataFusionError, text: &str) -> QueryError {
    let place =
        error.diagnostic().and_then(|diagnostic| diagnostic.span).map(|span| (span.start.line, span.start.column));
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => return QueryError::Exhausted { what: "memory" },
        DataFusionError::SchemaError(inner, _) => {
            if let SchemaError::FieldNotFound { field, valid_fields } = inner.as_ref() {
                let names = valid_fields.iter().map(|column| column.name());
                let suggestion = nearest(field.name(), names).map(str::to_owned);
                let message = format!("there is no column {}", field.name());
                return QueryError::Sql { message, place: place.or_else(|| find(text, field.name())), suggestion };
            }
        }
        DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::Internal(_) => {
            return QueryError::Internal { step: "work out a statement", source: Arc::new(error) };
        }
        _ => {}
    }
    let message = error.strip_backtrace();
    let message = message.lines().next().unwrap_or_default().to_owned();
    let message = ["SQL error: ", "Error during planning: ", "This feature is not implemented: "]
        .iter()
        .fold(message, |text, prefix| text.strip_prefix(prefix).map_or(text.clone(), str::to_owned));
    let message = match message.strip_prefix("ParserError(\"").and_then(|rest| rest.strip_suffix("\")")) {
        Some(inner) => inner.to_owned(),
        None => message,
    };
    let place = place.or_else(|| place_in(&message));
    let table = message.strip_prefix("table 'hindcast.public.").and_then(|rest| rest.split('\'').next());
    let tables = hindcast_model::TableId::ALL.iter().map(|table| table.name());
    let suggestion = table.and_then(|name| nearest(name, tables)).map(str::to_owned);
    let message = table.map_or_else(|| message.clone(), |name| format!("there is no table {name}"));
    QueryError::Sql { message, place, suggestion }
}

/// `… at Line: 1, Column: 8 …`
fn place_in(message: &str) -> Option<(u64, u64)> {
    let number = |label: &str| {
        let rest = message.split(label).nth(1)?;
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().ok()
    };
    Some((number("Line: ")?, number("Column: ")?))
}

/// The first place of a word in a text.
fn find(text: &str, word: &str) -> Option<(u64, u64)> {
    let position = text.to_lowercase().find(&word.to_lowercase())?;
    let before = text.get(..position)?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    Some((u64::try_from(line).ok()?, u64::try_from(column).ok()?))
}
