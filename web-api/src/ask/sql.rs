//! Statements: their rows, or only their columns.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt as _};
use hindcast_query::{Limits, QueryError, SqlStream};

use crate::answer::{Answer, Piece, failed};
use crate::doors::Doors;
use crate::fault::Fault;
use crate::render::{CutDto, Ending};

/// The rows of a statement.
pub(crate) async fn sql(doors: &Arc<Doors>, text: &str) -> Result<Answer, Fault> {
    let stream = doors.engine.sql(text, Limits::default()).await.map_err(|error| explain(error, text))?;
    Ok(Answer { schema: stream.schema(), pieces: pieces(stream, text.to_owned()).boxed() })
}

/// The columns of a statement. It is stopped as soon as they are known.
pub(crate) async fn sql_schema(doors: &Arc<Doors>, text: &str) -> Result<SchemaRef, Fault> {
    let _permit = doors.query_permit()?;
    let stream = doors.engine.sql(text, Limits::default()).await.map_err(|error| explain(error, text))?;
    Ok(stream.schema())
}

fn pieces(stream: SqlStream, text: String) -> impl Stream<Item = Piece> + Send {
    futures::stream::unfold(Some((stream, text)), |state| async move {
        let (mut stream, text) = state?;
        match stream.next().await {
            Some(Ok(records)) => Some((Piece::Rows(records), Some((stream, text)))),
            Some(Err(error)) => Some((failed(explain(error, &text)), None)),
            None => {
                let ending = Ending { cut: stream.cut().map(CutDto::from), ..Ending::default() };
                Some((Piece::End(ending), None))
            }
        }
    })
}

fn explain(error: QueryError, text: &str) -> Fault {
    let place = match &error {
        QueryError::Sql { place, .. } => place.and_then(|(line, column)| offset(text, line, column)),
        _ => None,
    };
    let fault = Fault { parameter: Some("query"), ..Fault::from(error) };
    match place {
        Some(start) => {
            let word = text.get(start..).unwrap_or("").split(|c: char| !c.is_alphanumeric() && c != '_').next();
            Fault { span: Some((start, start + word.map_or(1, str::len).max(1))), ..fault }
        }
        None => fault,
    }
}

/// Where a line and a column, both from 1, lie in a text, in bytes.
fn offset(text: &str, line: u64, column: u64) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let within = text.get(start..)?.char_indices().nth(column).map(|(at, _)| at)?;
    Some(start + within)
}

#[cfg(test)]
mod tests {
    //! Places in a text.

    use super::offset;

    #[test]
    fn lines_and_columns_become_bytes() {
        assert_eq!(offset("SELECT x", 1, 8), Some(7));
        assert_eq!(offset("ä\nbö c", 2, 4), Some(7));
        assert_eq!(offset("a", 3, 1), None);
        assert_eq!(offset("a", 0, 0), None);
    }
}
