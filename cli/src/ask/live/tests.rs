//! Tests of rows that arrive as JSON.

use hindcast_model::tables::flows::View;
use serde_json::json;

use super::*;

#[test]
fn a_json_row_is_the_row_it_was() {
    let row = json!({
        "time": "2025-08-22T10:00:00.000000001Z", "verdict": "DROPPED", "is_reply": false, "dst_port": 443,
        "src_labels": ["k8s:app=a,b", "k8s:x=y"], "rest": "AQI=", "flow_count": 1, "bytes_sent": 18_446_744_073_709_551_615_u64,
    });
    let Value::Object(row) = row else { panic!("an object") };
    let records = records(TableId::Flows, &[row]).unwrap();
    let view = View::new(&records).unwrap();
    assert_eq!(view.time.get(0), Some(1_755_856_800_000_000_001));
    assert_eq!(
        (view.verdict.get(0), view.is_reply.get(0), view.dst_port.get(0)),
        (Some("DROPPED"), Some(false), Some(443))
    );
    assert_eq!(view.src_labels.get(0), Some("k8s:app=a\\,b,k8s:x=y"));
    assert_eq!((view.rest.get(0), view.bytes_sent.get(0)), (Some([1_u8, 2].as_slice()), Some(u64::MAX)));
    assert_eq!(view.src_pod.get(0), None, "absent stays absent");
}
