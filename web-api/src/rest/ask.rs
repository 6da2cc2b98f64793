//! `GET /api/v1/histogram`, `/top` and `/suggest`: counts over events.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use hindcast_model::{TableId, Timestamp};
use hindcast_query::{Bucketed, Counts, HistogramQuery, Limits, TopQuery, Weight};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::events::{parse_filter, parse_range};
use super::live::LiveTable;
use crate::columns::is_bytes;
use crate::doors::Doors;
use crate::fault::Fault;
use crate::params::Params;
use crate::problem::Problem;
use crate::render::CutDto;
use crate::when;

/// Buckets of a histogram when the request does not say.
const DEFAULT_BUCKETS: u32 = 60;
/// Buckets that a request can ask for.
const MAX_BUCKETS: u32 = 5_000;
/// Values of an answer when the request does not say.
const DEFAULT_VALUES: u32 = 10;
/// Values that a request can ask for.
const MAX_VALUES: u32 = 1_000;
/// How far back values are looked for when the request does not say, from the newest event on.
const SUGGEST_SPAN: Duration = Duration::from_secs(24 * 3600);

/// What is counted over time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistogramParams {
    /// Which table; flows if absent.
    #[param(inline)]
    table: Option<LiveTable>,
    /// Which events, in the filter language.
    filter: Option<String>,
    /// From when on; the first event held if absent. Forms as with `/flows`.
    from: Option<String>,
    /// Up to when, not included; past the last event held if absent.
    to: Option<String>,
    /// About how many buckets; their width is rounded to a usual one. 60 if absent.
    #[param(minimum = 1, maximum = 5_000)]
    buckets: Option<u32>,
    /// Width of a bucket, as `30s`, `5m` or `1h`, instead of `buckets`.
    width: Option<String>,
    /// A series per value of this column.
    by: Option<String>,
}

/// Counts over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistogramDto {
    /// Start of the first bucket.
    #[schema(format = DateTime)]
    start: String,
    /// Width of every bucket, nanoseconds.
    width_ns: u64,
    /// The greatest series first.
    series: Vec<SeriesDto>,
    /// Set where a limit left something out.
    cut: Option<CutDto>,
}

/// The counts of one value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SeriesDto {
    /// The value; null where there is none, or where no column was asked for.
    value: Option<String>,
    /// One count per bucket.
    counts: Vec<u64>,
}

/// What is counted by value.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TopParams {
    /// Which table; flows if absent.
    #[param(inline)]
    table: Option<LiveTable>,
    /// The column whose values are counted.
    field: String,
    /// Which events, in the filter language.
    filter: Option<String>,
    /// From when on; forms as with `/flows`.
    from: Option<String>,
    /// Up to when, not included.
    to: Option<String>,
    /// How many values; 10 if absent.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// What is being typed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SuggestParams {
    /// Which table; flows if absent.
    #[param(inline)]
    table: Option<LiveTable>,
    /// The column whose values are looked for.
    field: String,
    /// What the values begin with.
    prefix: Option<String>,
    /// From when on; a day before the newest event if absent. Forms as with `/flows`.
    from: Option<String>,
    /// Up to when, not included.
    to: Option<String>,
    /// How many values; 10 if absent.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Values and how often they occur.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountsDto {
    /// The commonest first; equal ones in order of their text.
    values: Vec<CountedDto>,
    /// How many events there are in all; an aggregated flow counts as many as it stands for.
    total: u64,
    /// How many different values there are in all.
    distinct: usize,
    /// Set where a limit left something out.
    cut: Option<CutDto>,
}

/// A value and how often it occurs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountedDto {
    /// The value; null for events without one.
    value: Option<String>,
    /// How often.
    count: u64,
}

impl From<Counts> for CountsDto {
    fn from(counts: Counts) -> Self {
        let values = counts.values.into_iter().map(|counted| CountedDto { value: counted.value, count: counted.count });
        Self {
            values: values.collect(),
            total: counts.total,
            distinct: counts.n_values,
            cut: counts.cut.map(CutDto::from),
        }
    }
}

/// Events over time.
#[utoipa::path(get, path = "/api/v1/histogram", tag = "questions", params(HistogramParams), responses(
    (status = 200, body = HistogramDto),
    crate::openapi::Problems,
))]
pub(crate) async fn histogram(
    State(doors): State<Arc<Doors>>,
    Params(params): Params<HistogramParams>,
) -> Result<Json<HistogramDto>, Problem> {
    let table = params.table.map_or(TableId::Flows, TableId::from);
    let query = HistogramQuery {
        table,
        filter: parse_filter(table, params.filter.as_deref())?,
        range: parse_range(&doors, params.from.as_deref(), params.to.as_deref())?,
        buckets: parse_buckets(params.buckets, params.width.as_deref())?,
        by: params.by.as_deref().map(|name| parse_column(table, "by", name)).transpose()?,
        weight: Weight::Flows,
        limits: Limits::default(),
    };
    let _permit = doors.query_permit()?;
    let found = doors.engine.histogram(query).await.map_err(Fault::from)?;
    let series = found.series.into_iter().map(|series| SeriesDto { value: series.value, counts: series.counts });
    Ok(Json(HistogramDto {
        start: when::format(found.start),
        width_ns: u64::try_from(found.width.as_nanos()).unwrap_or(u64::MAX),
        series: series.collect(),
        cut: found.cut.map(CutDto::from),
    }))
}

/// The commonest values of a column.
#[utoipa::path(get, path = "/api/v1/top", tag = "questions", params(TopParams), responses(
    (status = 200, body = CountsDto),
    crate::openapi::Problems,
))]
pub(crate) async fn top(
    State(doors): State<Arc<Doors>>,
    Params(params): Params<TopParams>,
) -> Result<Json<CountsDto>, Problem> {
    let table = params.table.map_or(TableId::Flows, TableId::from);
    let query = TopQuery {
        table,
        column: parse_column(table, "field", &params.field)?,
        filter: parse_filter(table, params.filter.as_deref())?,
        range: parse_range(&doors, params.from.as_deref(), params.to.as_deref())?,
        count: parse_count(params.limit)?,
        weight: Weight::Flows,
        limits: Limits::default(),
    };
    let _permit = doors.query_permit()?;
    Ok(Json(doors.engine.top(query).await.map_err(Fault::from)?.into()))
}

/// Values to complete a filter with.
#[utoipa::path(get, path = "/api/v1/suggest", tag = "questions", params(SuggestParams), responses(
    (status = 200, body = CountsDto),
    crate::openapi::Problems,
))]
pub(crate) async fn suggest(
    State(doors): State<Arc<Doors>>,
    Params(params): Params<SuggestParams>,
) -> Result<Json<CountsDto>, Problem> {
    let table = params.table.map_or(TableId::Flows, TableId::from);
    let column = parse_column(table, "field", &params.field)?;
    let count = parse_count(params.limit)?;
    let mut range = parse_range(&doors, params.from.as_deref(), params.to.as_deref())?;
    if params.from.is_none() {
        let end = doors.engine.held_range(table).map_or(range.end(), |(_, last)| range.end().min(last));
        let start = end.saturating_sub(SUGGEST_SPAN);
        range = hindcast_model::TimeRange::new(start.max(Timestamp::MIN), range.end()).unwrap_or(range);
    }
    let _permit = doors.query_permit()?;
    let prefix = params.prefix.as_deref().unwrap_or("");
    let found = doors.engine.suggest(table, column, prefix, count, range, Limits::default()).await;
    Ok(Json(found.map_err(Fault::from)?.into()))
}

fn parse_buckets(buckets: Option<u32>, width: Option<&str>) -> Result<Bucketed, Problem> {
    match (buckets, width) {
        (Some(_), Some(_)) => Err(Problem::parameter("width", "give either buckets or width")),
        (None, Some(width)) => match when::parse_span(width) {
            Ok(width) if !width.is_zero() => Ok(Bucketed::Width(width)),
            _ => Err(Problem::parameter("width", format!("{width:?} is no width: use 30s, 5m or 1h"))),
        },
        (buckets, None) => {
            let n_buckets = in_bounds("buckets", buckets.unwrap_or(DEFAULT_BUCKETS), MAX_BUCKETS)?;
            Ok(Bucketed::About(n_buckets))
        }
    }
}

fn parse_count(limit: Option<u32>) -> Result<usize, Problem> {
    in_bounds("limit", limit.unwrap_or(DEFAULT_VALUES), MAX_VALUES)
}

fn in_bounds(parameter: &str, number: u32, most: u32) -> Result<usize, Problem> {
    let number = usize::try_from(number).ok().filter(|_| number > 0 && number <= most);
    number.ok_or_else(|| Problem::parameter(parameter, format!("{parameter} must be 1 to {most}")))
}

/// A column whose values can be counted.
fn parse_column(table: TableId, parameter: &str, name: &str) -> Result<&'static str, Problem> {
    let column = table.columns().iter().find(|column| column.name == name && !is_bytes(column.kind));
    column.map(|column| column.name).ok_or_else(|| {
        let detail = format!("{table} has no column {name:?} with values to count: /api/v1/tables lists them");
        Problem::parameter(parameter, detail)
    })
}

#[cfg(test)]
mod tests;
