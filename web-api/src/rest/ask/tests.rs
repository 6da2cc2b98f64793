//! Counts over a real store.

use serde_json::json;

use crate::testing::{self, House, flow_batch};

async fn house() -> House {
    let house = testing::empty().await;
    house.append(vec![flow_batch(0..12)]).await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_histogram_counts_by_time_and_value() {
    let house = house().await;
    let (status, found) = house.json("/api/v1/histogram?width=5s&by=verdict").await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(
        (&found["start"], &found["width_ns"]),
        (&json!("2023-11-14T22:13:20.000000000Z"), &json!(5_000_000_000_u64))
    );
    let series = json!([{"value": "FORWARDED", "counts": [3, 3, 2]}, {"value": "DROPPED", "counts": [2, 2, 0]}]);
    assert_eq!(found["series"], series);
}

#[tokio::test(flavor = "multi_thread")]
async fn top_and_suggest_give_the_commonest_values() {
    let house = house().await;
    let (_, found) = house.json("/api/v1/top?field=verdict&limit=1").await;
    let values = json!([{"value": "FORWARDED", "count": 8}]);
    assert_eq!(found, json!({"values": values, "total": 12, "distinct": 2, "cut": null}));
    let (_, found) = house.json("/api/v1/suggest?field=src_pod&prefix=web-1").await;
    let values: Vec<_> = found["values"].as_array().expect("values").iter().map(|value| &value["value"]).collect();
    assert_eq!(values, ["web-1", "web-10", "web-11"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named() {
    let house = house().await;
    let cases = [
        ("/api/v1/histogram?buckets=0", "buckets"),
        ("/api/v1/histogram?width=0s", "width"),
        ("/api/v1/histogram?width=5s&buckets=5", "width"),
        ("/api/v1/histogram?by=rest", "by"),
        ("/api/v1/top?field=colour", "field"),
        ("/api/v1/top?field=verdict&limit=100000", "limit"),
        ("/api/v1/suggest", "field"),
    ];
    for (path, parameter) in cases {
        let (status, problem) = house.json(path).await;
        assert_eq!((status, problem["parameter"].as_str()), (400, Some(parameter)), "{path}: {problem}");
    }
}
