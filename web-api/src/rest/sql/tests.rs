//! Statements over a real store.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::testing::{self, flow_batch};

#[tokio::test(flavor = "multi_thread")]
async fn sql_is_asked_in_three_ways() {
    let house = testing::empty().await;
    house.append(vec![flow_batch(0..12)]).await;
    let expected = serde_json::json!([{"n": 12}]);
    let query = "SELECT count(*) AS n FROM flows";
    let (status, page) = house.json(&format!("/api/v1/sql?query={}", query.replace(' ', "%20"))).await;
    assert_eq!((status, &page["rows"]), (200, &expected), "{page}");
    let json = serde_json::json!({ "query": query }).to_string();
    for (media, body) in [("application/json", json.as_str()), ("text/plain; charset=utf-8", query)] {
        let request = Request::post("/api/v1/sql").header("content-type", media);
        let response = house.send(request.body(Body::from(body.to_owned())).expect("a request")).await;
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let page: Value = serde_json::from_slice(&body).expect("json");
        assert_eq!(page["rows"], expected, "{page}");
    }
    for (query, status) in [("DROP%20TABLE%20flows", 400), ("SELECT", 400), ("", 400)] {
        let (found, problem) = house.json(&format!("/api/v1/sql?query={query}")).await;
        assert_eq!(found, status, "{problem}");
    }
    let request = Request::post("/api/v1/sql").header("content-type", "image/png").body(Body::empty());
    assert_eq!(house.send(request.expect("a request")).await.status().as_u16(), 415);
    let long = Request::post("/api/v1/sql").body(Body::from(vec![b' '; 2 * 1024 * 1024]));
    assert_eq!(house.send(long.expect("a request")).await.status().as_u16(), 413);
}
