//! What every HTTP request passes before its handler: credential, host, time, and what every answer carries.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hindcast_model::Kind;
use http::header::{HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderName, HeaderValue, Method, Uri};

use crate::doors::Doors;
use crate::problem::Problem;

/// Paths that tell nothing of what was recorded and that a supervisor asks for without a credential.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// Headers on every answer: nothing of it may be framed, guessed at, or run from elsewhere.
const HEADERS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("content-security-policy"),
        "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

/// What the guard has to know.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) doors: Arc<Doors>,
    /// Where the door listens; on loopback the host a request names must be this machine.
    pub(super) address: SocketAddr,
}

/// Lets a request through, or answers it.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let begun = tokio::time::Instant::now();
    let mut response = match guard.refusal(&request) {
        Some(problem) => {
            guard.doors.metrics.refused.inc();
            problem.into_response()
        }
        None => match tokio::time::timeout(guard.doors.limits.request_timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => Problem::timeout().into_response(),
        },
    };
    guard.doors.metrics.answered("http", response.status().as_u16(), begun.elapsed());
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Guard {
    fn refusal(&self, request: &Request) -> Option<Problem> {
        if self.address.ip().is_loopback() {
            // A page of another site that rebinds its name to 127.0.0.1 still names itself here.
            if !names_this_machine(request) {
                let detail = "this server answers to localhost only: use http://127.0.0.1 or http://localhost";
                return Some(Problem::forbidden(detail));
            }
            if is_foreign_origin(request) {
                return Some(Problem::forbidden("requests of other sites are not answered"));
            }
        }
        let is_open = OPEN_PATHS.contains(&request.uri().path());
        (!is_open && !self.doors.auth.admits(request.headers()))
            .then(|| Problem::unauthorized(self.doors.auth.challenge()))
    }
}

/// Whether the host that a request names, in its target or its `host`, is this machine; absent counts as this machine.
fn names_this_machine(request: &Request) -> bool {
    let host = request.headers().get(HOST).map(|value| value.to_str().unwrap_or("?"));
    let in_target = request.uri().authority().map(|authority| authority.as_str());
    host.into_iter().chain(in_target).all(is_local)
}

/// Whether a request that changes something, or may, comes from a page of another site.
fn is_foreign_origin(request: &Request) -> bool {
    let origin = request.headers().get(ORIGIN).map(|value| value.to_str().unwrap_or("?"));
    let host = origin.map(|origin| origin.split_once("://").map_or("?", |(_, host)| host));
    !matches!(*request.method(), Method::GET | Method::HEAD) && host.is_some_and(|host| !is_local(host))
}

/// Whether `host` or `host:port` is a name of this machine.
fn is_local(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or(""),
        None => authority.rsplit_once(':').map_or(authority, |(host, _port)| host),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// No such path.
pub(super) async fn not_found(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}: /api/v1/openapi.json lists what there is", uri.path());
    Problem::new(Kind::NotFound, detail)
}

/// The path knows other methods only.
pub(super) async fn method_not_allowed(method: Method) -> Problem {
    Problem::method_not_allowed(&method)
}

/// A handler panicked: the request fails, the server stays.
pub(super) fn panicked(_cause: Box<dyn std::any::Any + Send>) -> http::Response<Body> {
    tracing::error!("a request handler panicked");
    Problem::new(Kind::Internal, "the server failed on this request; it is a defect").into_response()
}

#[cfg(test)]
mod tests {
    //! Which hosts are this machine.

    use super::is_local;

    #[test]
    fn only_loopback_names_are_local() {
        for host in ["localhost", "LOCALHOST:7171", "127.0.0.1:80", "127.9.9.9", "[::1]:7171", "app.localhost:1"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["example.com", "127.0.0.1.example.com", "10.0.0.1:7171", "", "?", "localhost.evil.com:7171"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
