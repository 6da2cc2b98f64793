//! The one table from error kinds to status codes, and the body of an error answer (RFC 9457 `problem+json`).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hindcast_model::Kind;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of an error.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, for a program (`kind`, `status`, `parameter`, `span`) and for a person (`title`, `detail`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: `kind` tells problems apart.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    pub(crate) type_uri: &'static str,
    /// The text of the status code.
    pub(crate) title: &'static str,
    /// The status code.
    #[schema(minimum = 400, maximum = 599)]
    pub(crate) status: u16,
    /// Which kind of problem: `invalid`, `not_found`, `busy`, `corrupt`, `unavailable`, `internal`, `unauthorized`,
    /// `forbidden`, `too_large`, `unsupported`, `not_acceptable`, `method_not_allowed` or `timeout`.
    pub(crate) kind: &'static str,
    /// What exactly, with what to do about it where something can be done.
    pub(crate) detail: String,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// Where in the parameter's text the fault lies, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span: Option<Span>,
    /// What else goes into the headers of the answer.
    #[serde(skip)]
    pub(crate) header: Option<Box<(&'static str, String)>>,
}

/// A part of a text, in bytes; `end` does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Span {
    /// Where it begins.
    pub(crate) start: usize,
    /// Where it has ended.
    pub(crate) end: usize,
}

/// The status and the name of each kind of error.
const fn row(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Kind::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
        Kind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

impl Problem {
    fn of(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            type_uri: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            kind,
            detail: detail.into(),
            parameter: None,
            span: None,
            header: None,
        }
    }

    /// A problem of that kind.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (status, name) = row(kind);
        Self::of(status, name, detail)
    }

    /// A request that is wrong.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    /// A parameter that is wrong.
    pub(crate) fn parameter(parameter: &str, detail: impl Into<String>) -> Self {
        Self { parameter: Some(parameter.to_owned()), ..Self::invalid(detail) }
    }

    /// The same problem with the place of the fault.
    pub(crate) fn at(self, start: usize, end: usize) -> Self {
        Self { span: Some(Span { start, end }), ..self }
    }

    /// No credential, or a wrong one.
    pub(crate) fn unauthorized(challenge: &'static str) -> Self {
        let detail = "this server asks for a credential: send `authorization: Bearer …` or basic auth";
        let header = Some(Box::new((WWW_AUTHENTICATE.as_str(), challenge.to_owned())));
        Self { header, ..Self::of(StatusCode::UNAUTHORIZED, "unauthorized", detail) }
    }

    /// A request that did not mean this server.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::of(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// A body beyond the limit.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::of(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is longer than {limit} bytes"))
    }

    /// A body of a type that is not read here.
    pub(crate) fn unsupported(detail: impl Into<String>) -> Self {
        Self::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", detail)
    }

    /// No form of the answer that the client would take.
    pub(crate) fn not_acceptable(offered: &str) -> Self {
        let detail = format!("the answer can be had as {offered}");
        Self::of(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
    }

    /// A method that the path does not know; the router adds which ones it does.
    pub(crate) fn method_not_allowed(method: &http::Method) -> Self {
        let detail = format!("{method} is not allowed here");
        Self::of(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// An answer that could not be begun in time.
    pub(crate) fn timeout() -> Self {
        let detail = "the answer could not be begun in time: ask for a shorter range or a narrower filter";
        Self::of(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail)
    }

    /// The body.
    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status >= 500 {
            tracing::warn!(kind = self.kind, error = %self.detail, "request failed");
        }
        let mut response = Response::new(Body::from(self.json()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind == row(Kind::Busy).1 {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some((name, value)) = self.header.map(|header| *header)
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(name, value);
        }
        response
    }
}

/// The gRPC status of each kind of error. `Canceled` is never among them: the `hubble` CLI would end quietly.
pub(crate) fn status(kind: Kind, text: impl Into<String>) -> tonic::Status {
    let code = match kind {
        Kind::Invalid => tonic::Code::InvalidArgument,
        Kind::NotFound => tonic::Code::NotFound,
        Kind::Busy => tonic::Code::ResourceExhausted,
        Kind::Corrupt => tonic::Code::DataLoss,
        Kind::Unavailable => tonic::Code::Unavailable,
        Kind::Internal => tonic::Code::Internal,
    };
    tonic::Status::new(code, text)
}

#[cfg(test)]
mod tests;
