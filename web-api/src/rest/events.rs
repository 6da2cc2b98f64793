//! `GET /api/v1/flows` and `GET /api/v1/runtime`: events, page by page.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_query::filter::Filter;
use hindcast_query::{Limits, Order};
use http::HeaderMap;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::ask::{self, Pick, Question};
use crate::columns;
use crate::doors::Doors;
use crate::fault::Fault;
use crate::params::Params;
use crate::problem::Problem;
use crate::render::{Format, Style};
use crate::when;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventParams {
    /// Which events, in the filter language: `ns:payments verdict:dropped port:5432`.
    filter: Option<String>,
    /// From when on: RFC 3339, a date, seconds, milliseconds or nanoseconds since 1970, `now`, or a span before now (`15m`).
    from: Option<String>,
    /// Up to when, not included; forms as with `from`.
    to: Option<String>,
    /// How many events; 100 unless the server is configured otherwise.
    #[param(minimum = 1, maximum = 1_000_000)]
    limit: Option<u64>,
    /// `desc`: the newest, newest first (the usual). `asc`: the oldest, oldest first.
    #[param(inline)]
    order: Option<OrderParam>,
    /// Where the page goes on: `next_cursor` of the page before. All other parameters must be as with that page.
    cursor: Option<String>,
    /// Which columns, separated by commas; all but raw bytes if absent.
    columns: Option<String>,
    /// The form of the answer, instead of `Accept`: json, ndjson, columns, csv, arrow or parquet.
    #[param(inline)]
    format: Option<FormatParam>,
}

/// A direction of time.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OrderParam {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

/// A form of an answer.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatParam {
    /// One JSON object.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// One JSON object with arrays per column.
    Columns,
    /// Comma-separated values.
    Csv,
    /// Arrow IPC stream.
    Arrow,
    /// Parquet file.
    Parquet,
}

impl From<FormatParam> for Format {
    fn from(param: FormatParam) -> Self {
        match param {
            FormatParam::Json => Self::Json,
            FormatParam::Ndjson => Self::Ndjson,
            FormatParam::Columns => Self::Columns,
            FormatParam::Csv => Self::Csv,
            FormatParam::Arrow => Self::Arrow,
            FormatParam::Parquet => Self::Parquet,
        }
    }
}

/// Recorded flows.
#[utoipa::path(get, path = "/api/v1/flows", tag = "events", params(EventParams), responses(
    (status = 200, description = "The flows; the form is chosen by `Accept` or `format`.", content(
        (crate::openapi::FlowPage = "application/json"),
        (String = "application/x-ndjson"),
        (crate::openapi::ColumnPage = "application/vnd.hindcast.columns+json"),
        (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
        (Vec<u8> = "application/vnd.apache.parquet"),
    )),
    crate::openapi::Problems,
))]
pub(crate) async fn flows(
    State(doors): State<Arc<Doors>>,
    headers: HeaderMap,
    Params(params): Params<EventParams>,
) -> Result<Response, Problem> {
    events(doors, TableId::Flows, &headers, params).await
}

/// Recorded runtime events.
#[utoipa::path(get, path = "/api/v1/runtime", tag = "events", params(EventParams), responses(
    (status = 200, description = "The events; the form is chosen by `Accept` or `format`.", content(
        (crate::openapi::RuntimePage = "application/json"),
        (String = "application/x-ndjson"),
        (crate::openapi::ColumnPage = "application/vnd.hindcast.columns+json"),
        (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
        (Vec<u8> = "application/vnd.apache.parquet"),
    )),
    crate::openapi::Problems,
))]
pub(crate) async fn runtime(
    State(doors): State<Arc<Doors>>,
    headers: HeaderMap,
    Params(params): Params<EventParams>,
) -> Result<Response, Problem> {
    events(doors, TableId::RuntimeEvents, &headers, params).await
}

/// Recorded losses.
#[utoipa::path(get, path = "/api/v1/losses", tag = "state", params(EventParams), responses(
    (status = 200, description = "What could not be kept; the form is chosen by `Accept` or `format`.", content(
        (crate::openapi::LossPage = "application/json"),
        (String = "application/x-ndjson"),
        (crate::openapi::ColumnPage = "application/vnd.hindcast.columns+json"),
        (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
        (Vec<u8> = "application/vnd.apache.parquet"),
    )),
    crate::openapi::Problems,
))]
pub(crate) async fn losses(
    State(doors): State<Arc<Doors>>,
    headers: HeaderMap,
    Params(params): Params<EventParams>,
) -> Result<Response, Problem> {
    events(doors, TableId::Losses, &headers, params).await
}

async fn events(
    doors: Arc<Doors>,
    table: TableId,
    headers: &HeaderMap,
    params: EventParams,
) -> Result<Response, Problem> {
    let format = choose_format(params.format, headers)?;
    let question = question(&doors, table, params)?;
    let permit = doors.query_permit()?;
    let answer = ask::events(&doors, question).await?;
    answer.respond(format, Style::EVENTS, doors, permit).await
}

/// The form of the answer.
pub(super) fn choose_format(param: Option<FormatParam>, headers: &HeaderMap) -> Result<Format, Problem> {
    param.map_or_else(|| Format::choose(headers), |param| Ok(param.into()))
}

fn question(doors: &Doors, table: TableId, params: EventParams) -> Result<Question, Problem> {
    let filter = parse_filter(table, params.filter.as_deref())?;
    let range = parse_range(doors, params.from.as_deref(), params.to.as_deref())?;
    let limits = &doors.limits;
    let n_rows = params.limit.unwrap_or(limits.default_rows);
    if n_rows == 0 || n_rows > limits.max_rows {
        return Err(Problem::parameter("limit", format!("limit must be 1 to {}", limits.max_rows)));
    }
    let after = params.cursor.as_deref().map(str::parse).transpose();
    let after = after.map_err(|error: hindcast_query::CursorError| Problem::parameter("cursor", error.to_string()))?;
    let (pick, order) = match params.order.unwrap_or(OrderParam::Desc) {
        OrderParam::Asc => (Pick::Oldest(n_rows), Order::Ascending),
        OrderParam::Desc => (Pick::Newest(n_rows), Order::Descending),
    };
    let columns = Some(parse_columns(table, params.columns.as_deref())?);
    Ok(Question { table, filter, range, pick, order, after, columns, limits: Limits::default() })
}

/// The filter that a parameter means.
pub(super) fn parse_filter(table: TableId, text: Option<&str>) -> Result<Filter, Problem> {
    let text = text.unwrap_or("");
    Ok(hindcast_query::filter::text::parse_for(table, text).map_err(Fault::from)?)
}

/// The range that `from` and `to` mean.
pub(super) fn parse_range(doors: &Doors, from: Option<&str>, to: Option<&str>) -> Result<TimeRange, Problem> {
    let now = doors.clock.now();
    let instant = |name: &str, text: Option<&str>| {
        text.map(|text| {
            when::parse(text, now)
                .ok_or_else(|| Problem::parameter(name, format!("{text:?} is no instant: use {}", when::FORMS)))
        })
        .transpose()
    };
    let start = instant("from", from)?.unwrap_or(Timestamp::MIN);
    let end = instant("to", to)?.unwrap_or(Timestamp::MAX);
    TimeRange::new(start, end).map_err(|_backwards| Problem::parameter("to", "to is before from"))
}

/// The columns that a parameter names.
pub(super) fn parse_columns(table: TableId, text: Option<&str>) -> Result<Vec<&'static str>, Problem> {
    let Some(text) = text else { return Ok(columns::usual(table).collect()) };
    let mut picked = Vec::new();
    for name in text.split(',').map(str::trim) {
        let column = table.columns().iter().find(|column| column.name == name);
        let column = column.ok_or_else(|| {
            let detail = format!("{table} has no column {name:?}: /api/v1/tables lists them");
            Problem::parameter("columns", detail)
        })?;
        if !picked.contains(&column.name) {
            picked.push(column.name);
        }
    }
    Ok(picked)
}
