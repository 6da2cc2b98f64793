//! Only questions pass.

use std::collections::VecDeque;

use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast;

use super::fault;
use crate::QueryError;

/// The one statement of a text, if it is of a kind that only reads.
pub(super) fn single_question(text: &str) -> Result<Statement, QueryError> {
    let mut statements: VecDeque<Statement> = DFParser::parse_sql(text).map_err(|error| fault::explain(error, text))?;
    let Some(statement) = statements.pop_front() else {
        return Err(QueryError::Invalid("an empty statement".to_owned()));
    };
    if !statements.is_empty() {
        return Err(QueryError::NotAQuestion { what: "more than one statement".to_owned() });
    }
    check(&statement)?;
    Ok(statement)
}

fn check(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Explain(explain) => check(&explain.statement),
        Statement::Statement(inner) => match inner.as_ref() {
            ast::Statement::Query(_)
            | ast::Statement::ShowTables { .. }
            | ast::Statement::ShowColumns { .. }
            | ast::Statement::ExplainTable { .. } => Ok(()),
            ast::Statement::Explain { statement, .. } => check(&Statement::Statement(statement.clone())),
            other => Err(refused(&other.to_string())),
        },
        other => Err(refused(&other.to_string())),
    }
}

fn refused(text: &str) -> QueryError {
    let words = text.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    QueryError::NotAQuestion { what: words }
}

/// Refuses a plan with a part that does more than read.
pub(super) fn reads_only(plan: &LogicalPlan) -> Result<(), QueryError> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(plan).map_err(|error| QueryError::NotAQuestion { what: error.strip_backtrace() })
}
