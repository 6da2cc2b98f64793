//! `GET` and `POST /api/v1/sql`: read-only SQL over all tables.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::events::{FormatParam, choose_format};
use crate::ask;
use crate::doors::Doors;
use crate::params::Params;
use crate::problem::Problem;
use crate::render::{Format, Style};

/// A query in the address.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SqlParams {
    /// One statement that reads.
    query: String,
    /// The form of the answer, instead of `Accept`.
    #[param(inline)]
    format: Option<FormatParam>,
}

/// What may stand in the address of a posted query.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PostedSqlParams {
    /// The form of the answer, instead of `Accept`.
    #[param(inline)]
    format: Option<FormatParam>,
}

/// A query in the body.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlBody {
    /// One statement that reads.
    #[schema(example = "SELECT src_namespace, count(*) AS flows FROM flows GROUP BY 1 ORDER BY 2 DESC LIMIT 10")]
    query: String,
}

/// The rows of a statement.
#[utoipa::path(get, path = "/api/v1/sql", tag = "sql", params(SqlParams), responses(
    (status = 200, description = "The rows; every row has every column.", content(
        (crate::openapi::SqlPage = "application/json"),
        (String = "application/x-ndjson"),
        (crate::openapi::ColumnPage = "application/vnd.hindcast.columns+json"),
        (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
        (Vec<u8> = "application/vnd.apache.parquet"),
    )),
    crate::openapi::Problems,
))]
pub(crate) async fn get(
    State(doors): State<Arc<Doors>>,
    headers: HeaderMap,
    Params(params): Params<SqlParams>,
) -> Result<Response, Problem> {
    let format = choose_format(params.format, &headers)?;
    run(doors, &params.query, format).await
}

/// The rows of a posted statement.
#[utoipa::path(post, path = "/api/v1/sql", tag = "sql", params(PostedSqlParams),
    request_body(content((SqlBody = "application/json"), (String = "text/plain"), (String = "application/sql"))),
    responses(
    (status = 200, description = "The rows; every row has every column.", content(
        (crate::openapi::SqlPage = "application/json"),
        (String = "application/x-ndjson"),
        (crate::openapi::ColumnPage = "application/vnd.hindcast.columns+json"),
        (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
        (Vec<u8> = "application/vnd.apache.parquet"),
    )),
    crate::openapi::BodyProblems,
    crate::openapi::Problems,
))]
pub(crate) async fn post(
    State(doors): State<Arc<Doors>>,
    headers: HeaderMap,
    Params(params): Params<PostedSqlParams>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let format = choose_format(params.format, &headers)?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(doors.limits.body_bytes),
        _ => Problem::invalid("the body could not be read"),
    })?;
    let query = read_query(&headers, &body)?;
    run(doors, &query, format).await
}

async fn run(doors: Arc<Doors>, query: &str, format: Format) -> Result<Response, Problem> {
    let permit = doors.query_permit()?;
    let answer = ask::sql(&doors, query).await?;
    answer.respond(format, Style::SQL, doors, permit).await
}

/// The statement in a body of whichever type.
fn read_query(headers: &HeaderMap, body: &Bytes) -> Result<String, Problem> {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let media = content_type.map(|text| text.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
    match media.as_deref() {
        Some("application/json") => {
            let body: SqlBody = serde_json::from_slice(body)
                .map_err(|error| Problem::invalid(format!("the body is read as {{\"query\": text}}: {error}")))?;
            Ok(body.query)
        }
        None | Some("text/plain" | "application/sql" | "application/x-www-form-urlencoded") => {
            let text = std::str::from_utf8(body).map_err(|_bytes| Problem::invalid("the body is not UTF-8"))?;
            Ok(text.to_owned())
        }
        Some(other) => {
            let detail = format!("a query is read from application/json, application/sql or text/plain, not {other}");
            Err(Problem::unsupported(detail))
        }
    }
}

#[cfg(test)]
mod tests;
