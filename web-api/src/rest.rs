//! The HTTP door: which path leads where, and what every request passes.

pub(crate) mod ask;
pub(crate) mod events;
mod guard;
pub(crate) mod live;
pub(crate) mod ops;
pub(crate) mod sql;
pub(crate) mod state;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use crate::doors::Doors;

/// Every path of the door that listens at `address`.
pub(crate) fn router(doors: Arc<Doors>, address: SocketAddr) -> Router {
    let guard = guard::Guard { doors: Arc::clone(&doors), address };
    let api = Router::new()
        .route("/flows", get(events::flows))
        .route("/runtime", get(events::runtime))
        .route("/losses", get(events::losses))
        .route("/live", get(live::live))
        .route("/sql", get(sql::get).post(sql::post))
        .route("/histogram", get(ask::histogram))
        .route("/top", get(ask::top))
        .route("/suggest", get(ask::suggest))
        .route("/status", get(state::status))
        .route("/sources", get(state::sources))
        .route("/tables", get(state::tables))
        .route("/openapi.json", get(ops::openapi));
    Router::new()
        .route("/", get(ops::index))
        .route("/metrics", get(ops::metrics))
        .route("/healthz", get(ops::health))
        .route("/readyz", get(ops::ready))
        .nest("/api/v1", api)
        .fallback(guard::not_found)
        .method_not_allowed_fallback(guard::method_not_allowed)
        .layer(DefaultBodyLimit::max(doors.limits.body_bytes))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(from_fn_with_state(guard, guard::guard))
        .with_state(doors)
}

#[cfg(test)]
mod tests;
