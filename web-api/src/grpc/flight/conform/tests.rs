//! What may be pushed and what it becomes.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::UInt16Type;
use hindcast_model::tables::flows;
use hindcast_model::{TableId, Timestamp};

use super::{ConformError, Known, conform};

const KNOWN: Known<'static> = Known { source: "probe", recorded_at: Timestamp::from_nanos(9) };

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("a batch")
}

fn time() -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![1, 2]))
}

#[test]
fn absent_columns_are_null_and_known_ones_filled() {
    let ports: ArrayRef = Arc::new(Int64Array::from(vec![Some(443), None]));
    let verdict: ArrayRef = Arc::new(StringArray::from(vec!["DROPPED", "FORWARDED"]));
    let given = batch(vec![("dst_port", ports), ("time", time()), ("verdict", verdict)]);
    let conformed = conform(TableId::Flows, &given, KNOWN).expect("rows");
    assert_eq!(conformed.records.schema(), TableId::Flows.schema());
    let view = flows::View::new(&conformed.records).expect("flows");
    assert_eq!((view.time.get(1), view.recorded_at.get(1)), (Some(2_000), Some(9)));
    assert_eq!((view.source_kind.get(0), view.source.get(0)), (Some("flight"), Some("probe")));
    assert_eq!((view.verdict.get(0), view.flow_count.get(0), view.src_ip.get(0)), (Some("DROPPED"), Some(1), None));
    let ports = conformed.records.column_by_name("dst_port").expect("a column").as_primitive::<UInt16Type>();
    assert_eq!((ports.value(0), ports.is_null(1)), (443, true));
}

#[test]
fn what_does_not_fit_is_named() {
    let number: ArrayRef = Arc::new(Int64Array::from(vec![70_000, 1]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1", "2"]));
    let cases = [
        (vec![("verdict", Arc::clone(&text))], "column time is required and absent or null in some row"),
        (vec![("time", time()), ("colour", Arc::clone(&text))], "flows has no column colour"),
        (vec![("time", time()), ("dst_port", number)], "column dst_port holds a value that does not fit"),
        (
            vec![("time", time()), ("dst_port", Arc::clone(&text))],
            "column dst_port has type Utf8, which cannot be turned into UInt16",
        ),
        (vec![("time", time()), ("time", time())], "the batch has column time twice"),
    ];
    for (columns, text) in cases {
        let error = conform(TableId::Flows, &batch(columns), KNOWN).expect_err(text);
        assert_eq!(error.to_string(), text);
    }
    let error = conform(TableId::Ingested, &batch(vec![("time", time())]), KNOWN);
    assert!(matches!(error, Err(ConformError::NotPushable(TableId::Ingested))));
}
