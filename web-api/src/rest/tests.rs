//! The HTTP door over a real store.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::config::{AuthConfig, LimitsConfig};
use crate::secret::Secret;
use crate::testing::{self, House, flow_batch, runtime_batch};

async fn house() -> House {
    let house = testing::empty().await;
    house.append(vec![flow_batch(0..6), runtime_batch(2)]).await;
    house.append(vec![flow_batch(6..12)]).await;
    house
}

fn pods(page: &Value) -> Vec<String> {
    let rows = page["rows"].as_array().expect("rows");
    rows.iter().map(|row| row["src_pod"].as_str().expect("a pod").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_come_newest_first_with_absent_values_left_out() {
    let house = house().await;
    let (status, page) = house.json("/api/v1/flows?limit=2&filter=verdict:dropped").await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(pods(&page), ["web-9", "web-6"]);
    let row = &page["rows"][0];
    assert_eq!(row["time"], "2023-11-14T22:13:29.000000000Z");
    assert_eq!(row["src_labels"], serde_json::json!(["k8s:app=web", "k8s:tier=fe"]));
    assert_eq!((row.get("http_url"), row.get("rest")), (None, None));
    assert!(page["next_cursor"].is_string(), "{page}");
    let (_, page) = house.json("/api/v1/flows?order=asc&limit=1&columns=dst_port,time").await;
    assert_eq!(page["rows"], serde_json::json!([{"dst_port": 5432, "time": "2023-11-14T22:13:20.000000000Z"}]));
    let (_, page) = house.json("/api/v1/flows?from=1700000003&to=2023-11-14T22:13:25Z").await;
    assert_eq!(pods(&page), ["web-4", "web-3"]);
    let (_, page) = house.json("/api/v1/runtime?limit=1").await;
    assert_eq!(page["rows"][0]["kind"], "process_connect");
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_to_the_end_equals_one_shot() {
    let house = house().await;
    for order in ["asc", "desc"] {
        let (_, all) = house.json(&format!("/api/v1/flows?limit=1000&order={order}")).await;
        assert_eq!((pods(&all).len(), &all["next_cursor"]), (12, &Value::Null));
        let mut paged = Vec::new();
        let mut cursor = String::new();
        loop {
            let (status, page) = house.json(&format!("/api/v1/flows?limit=5&order={order}{cursor}")).await;
            assert_eq!(status, 200, "{page}");
            paged.extend(page["rows"].as_array().expect("rows").clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(Value::Array(paged), all["rows"], "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_holds_the_same_rows() {
    let house = house().await;
    let path = "/api/v1/flows?order=asc&limit=12";
    let (_, headers, body, trailers) = house.get(path, Some("application/x-ndjson")).await;
    assert_eq!(headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> =
        body.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(lines.len(), 13);
    assert_eq!(lines[12]["_end"]["next_cursor"].as_str(), trailers["x-hindcast-next-cursor"].to_str().ok());

    let (_, _, body, _) = house.get(path, Some("text/csv")).await;
    assert_eq!(String::from_utf8(body).expect("text").lines().count(), 13);

    let (_, _, body, _) = house.get(path, Some("application/vnd.apache.arrow.stream")).await;
    let reader = arrow::ipc::reader::StreamReader::try_new(body.as_slice(), None).expect("a stream");
    assert_eq!(reader.map(|batch| batch.expect("a batch").num_rows()).sum::<usize>(), 12);

    let (_, _, body, _) = house.get(&format!("{path}&format=parquet"), None).await;
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(body));
    assert_eq!(reader.expect("a file").metadata().file_metadata().num_rows(), 12);

    let (status, columns) = house.json(&format!("{path}&format=columns")).await;
    assert_eq!((status, columns["chunks"][0][0].as_array().map(Vec::len)), (200, Some(12)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_named() {
    let house = house().await;
    let cases = [
        ("/api/v1/flows?filter=verdict%3A", 400, "filter"),
        ("/api/v1/flows?from=yesterday", 400, "from"),
        ("/api/v1/flows?from=now&to=1h", 400, "to"),
        ("/api/v1/flows?limit=0", 400, "limit"),
        ("/api/v1/flows?limit=x", 400, "limit"),
        ("/api/v1/flows?cursor=x", 400, "cursor"),
        ("/api/v1/flows?columns=colour", 400, "columns"),
        ("/api/v1/flows?format=xml", 400, "format"),
        ("/api/v1/flows?colour=red", 400, "colour"),
        ("/api/v1/status?x=1", 400, "x"),
    ];
    for (path, status, parameter) in cases {
        let (found, headers, body, _) = house.get(path, None).await;
        let problem: Value = serde_json::from_slice(&body).expect("json");
        assert_eq!((found, problem["parameter"].as_str()), (status, Some(parameter)), "{path}: {problem}");
        assert_eq!(headers["content-type"], "application/problem+json");
    }
    assert_eq!(house.get("/api/v1/flows", Some("image/png")).await.0, 406);
    assert_eq!(house.get("/nowhere", None).await.0, 404);
    let post = Request::post("/api/v1/flows").body(Body::empty()).expect("a request");
    let response = house.send(post).await;
    assert_eq!((response.status().as_u16(), response.headers()["allow"].to_str().ok()), (405, Some("GET,HEAD")));
}

#[tokio::test(flavor = "multi_thread")]
async fn live_events_carry_ids_to_come_back_with() {
    let house = testing::empty().await;
    house.append(vec![flow_batch(0..1)]).await;
    let request = Request::get("/api/v1/live?columns=src_pod&filter=verdict:forwarded").body(Body::empty());
    let mut body = house.send(request.expect("a request")).await.into_body();
    house.append(vec![flow_batch(1..4)]).await;
    let mut text = String::new();
    while text.matches("\n\n").count() < 2 {
        let frame = body.frame().await.expect("more").expect("a frame").into_data().expect("data");
        text.push_str(std::str::from_utf8(&frame).expect("text"));
    }
    let event = |pod: &str| format!("id: 1\nevent: flows\ndata: {{\"src_pod\":\"{pod}\"}}\n\n");
    assert_eq!(text, event("web-1") + &event("web-2"));

    let again = Request::get("/api/v1/live?columns=src_pod").header("last-event-id", "1").body(Body::empty());
    let mut body = house.send(again.expect("a request")).await.into_body();
    let frame = body.frame().await.expect("more").expect("a frame").into_data().expect("data");
    assert!(String::from_utf8_lossy(&frame).contains("web-1"), "{frame:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_the_house_is_told() {
    let house = house().await;
    let (status, page) = house.json("/api/v1/status").await;
    assert_eq!((status, &page["lsn"], &page["tables"][0]["rows"]), (200, &Value::from(2), &Value::from(12)), "{page}");
    let (_, sources) = house.json("/api/v1/sources").await;
    assert_eq!(sources["sources"][0]["state"], "waiting");
    assert_eq!(sources["sources"][0]["rejected"], serde_json::json!([{"name": "missing_time", "count": 1}]));
    let (_, tables) = house.json("/api/v1/tables").await;
    assert_eq!(tables["tables"][0]["columns"][0]["doc"], "When it was observed.");
    let (_, losses) = house.json("/api/v1/losses").await;
    assert_eq!(losses["rows"], serde_json::json!([]));
    assert_eq!(house.json("/api/v1/openapi.json").await.1["openapi"], "3.1.0");
    for path in ["/", "/healthz", "/readyz", "/metrics"] {
        let (status, headers, body, _) = house.get(path, None).await;
        assert_eq!((status, headers["x-content-type-options"].to_str().ok()), (200, Some("nosniff")), "{path}");
        assert!(!body.is_empty(), "{path}");
    }
    house.doors.set_unready();
    assert_eq!(house.get("/readyz", None).await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_and_the_right_host_are_asked_for() {
    let auth = AuthConfig { token: Some(Secret::new("t0ken")), ..AuthConfig::default() };
    let house = testing::with_limits(LimitsConfig::default(), &auth).await;
    let (status, headers, _, _) = house.get("/api/v1/status", None).await;
    assert_eq!((status, headers["www-authenticate"].to_str().ok()), (401, Some("Bearer realm=\"hindcast\"")));
    assert_eq!(house.get("/healthz", None).await.0, 200);
    let request = |host: &str| {
        let request = Request::get("/api/v1/status").header("authorization", "Bearer t0ken").header("host", host);
        request.body(Body::empty()).expect("a request")
    };
    assert_eq!(house.send(request("localhost:7171")).await.status().as_u16(), 200);
    assert_eq!(house.send(request("rebound.example")).await.status().as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_beyond_the_limit_are_told_to_come_later() {
    let limits = LimitsConfig { concurrent_queries: 1, ..LimitsConfig::default() };
    let house = testing::with_limits(limits, &AuthConfig::default()).await;
    house.append(vec![flow_batch(0..3)]).await;
    let request = Request::get("/api/v1/flows").body(Body::empty()).expect("a request");
    let unread = house.send(request).await;
    let (status, headers, _, _) = house.get("/api/v1/flows", None).await;
    assert_eq!((status, headers["retry-after"].to_str().ok()), (429, Some("1")));
    drop(unread);
    assert_eq!(house.get("/api/v1/flows", None).await.0, 200);
}
