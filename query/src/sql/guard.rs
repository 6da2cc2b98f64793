//! Only questions pass.

use std::collections::VecDeque;

use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::fault;
use crate::QueryError;

/// The one statement of a text, if it is of a kind that only reads.
pub(super) fn single_question(text: &str) -> Result<Statement, QueryError> {
    let mut statements = parse(text).map_err(|error| fault::explain(error, text))?;
    let Some(statement) = statements.pop_front() else {
        return Err(QueryError::Invalid("an empty statement".to_owned()));
    };
    if !statements.is_empty() {
        return Err(QueryError::NotAQuestion { what: "more than one statement".to_owned() });
    }
    check(&statement)?;
    Ok(statement)
}

/// The statements of a text. `cluster` is a column here, and begins no clause: in `SELECT time, cluster` it would end
/// the list.
fn parse(text: &str) -> Result<VecDeque<Statement>, DataFusionError> {
    let tokens = Tokenizer::new(&GenericDialect, text).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| DataFusionError::SQL(Box::new(error.into()), None))?;
    for token in &mut tokens {
        if let Token::Word(word) = &mut token.token
            && word.keyword == Keyword::CLUSTER
        {
            word.keyword = Keyword::NoKeyword;
        }
    }
    DFParserBuilder::new(tokens).build()?.parse_statements()
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
