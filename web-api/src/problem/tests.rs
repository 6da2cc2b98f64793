//! Kinds to codes.

use axum::response::IntoResponse as _;
use hindcast_model::Kind;

use super::{Problem, status};

#[test]
fn each_kind_has_its_codes() {
    let table = [
        (Kind::Invalid, 400, tonic::Code::InvalidArgument),
        (Kind::NotFound, 404, tonic::Code::NotFound),
        (Kind::Busy, 429, tonic::Code::ResourceExhausted),
        (Kind::Corrupt, 500, tonic::Code::DataLoss),
        (Kind::Unavailable, 503, tonic::Code::Unavailable),
        (Kind::Internal, 500, tonic::Code::Internal),
    ];
    for (kind, http, grpc) in table {
        assert_eq!(Problem::new(kind, "x").into_response().status().as_u16(), http);
        assert_eq!(status(kind, "x").code(), grpc);
    }
}

#[test]
fn a_filter_error_carries_its_span() {
    let problem = Problem::parameter("filter", "no field of that name").at(3, 7);
    let json: serde_json::Value = serde_json::from_slice(&problem.json()).expect("json");
    assert_eq!(
        json,
        serde_json::json!({
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "kind": "invalid",
            "detail": "no field of that name",
            "parameter": "filter",
            "span": {"start": 3, "end": 7},
        })
    );
}
