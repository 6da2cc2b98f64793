//! What supervisors and newcomers ask for: health, readiness, metrics, the OpenAPI document, a page of links.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use hindcast_model::Kind;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::state::NoParams;
use crate::doors::Doors;
use crate::openapi;
use crate::params::Params;
use crate::problem::Problem;

/// The media type of OpenMetrics text.
const METRICS_TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "state", responses((status = 200, body = String, content_type = "text/plain"), crate::openapi::Problems))]
pub(crate) async fn health(Params(NoParams {}): Params<NoParams>) -> Result<&'static str, Problem> {
    Ok("ok\n")
}

/// Whether new work is welcome.
#[utoipa::path(get, path = "/readyz", tag = "state", responses((status = 200, body = String, content_type = "text/plain"), crate::openapi::Problems))]
pub(crate) async fn ready(
    State(doors): State<Arc<Doors>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<&'static str, Problem> {
    if doors.is_ready() { Ok("ready\n") } else { Err(Problem::new(Kind::Unavailable, "the server is stopping")) }
}

/// All metrics in the OpenMetrics text form, which Prometheus reads.
#[utoipa::path(get, path = "/metrics", tag = "state", responses((status = 200, body = String, content_type = "application/openmetrics-text"), crate::openapi::Problems))]
pub(crate) async fn metrics(
    State(doors): State<Arc<Doors>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Problem> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &doors.registry)
        .map_err(|_no_memory| Problem::new(Kind::Internal, "the metrics cannot be written"))?;
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TEXT));
    Ok(response)
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "state", responses((status = 200, body = Object, content_type = "application/json"), crate::openapi::Problems))]
pub(crate) async fn openapi(Params(NoParams {}): Params<NoParams>) -> Result<Response, Problem> {
    let mut response = openapi::text().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The page of links.
pub(crate) async fn index(Params(NoParams {}): Params<NoParams>) -> Result<Html<&'static str>, Problem> {
    Ok(Html(include_str!("index.html")))
}
