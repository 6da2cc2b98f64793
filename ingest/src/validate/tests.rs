//! A pushed batch fits, is made to fit without inventing anything, or is refused by the name of its column.
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use hindcast_model::tables::flows;
use hindcast_model::{TableId, Timestamp};

use super::conform;

const NOW: Timestamp = Timestamp::from_nanos(5);

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("columns of one length")
}

fn times() -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(vec![Some(1), None, Some(3)]))
}

#[test]
fn what_is_missing_is_null_and_recorded_at_is_ours() {
    let pods: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None]));
    let recorded: ArrayRef = Arc::new(Int64Array::from(vec![9, 9, 9]));
    let pushed = batch(vec![("time", times()), ("src_pod", pods), ("recorded_at", recorded)]);
    let conformed = conform(TableId::Flows, &pushed, NOW).expect("fits");
    assert_eq!(conformed.n_without_time, 1);
    assert_eq!(conformed.batch.records.schema(), flows::schema());
    let view = flows::View::new(&conformed.batch.records).expect("own schema");
    assert_eq!((view.time.get(0), view.time.get(1)), (Some(1_000_000), Some(3_000_000)));
    assert_eq!((view.src_pod.get(0), view.src_pod.get(1)), (Some("a"), None));
    assert_eq!((view.recorded_at.get(0), view.flow_count.get(0)), (Some(5), Some(1)));
    assert_eq!((view.verdict.get(0), view.dst_port.get(0)), (None, None), "nothing is invented");
    assert_eq!(view.source_kind.get(0), Some("flight"));
    assert_eq!(view.verdict.get(0), None);
    assert!(conformed.batch.records.column_by_name("time").is_some_and(|it| it.null_count() == 0));
}

#[test]
fn what_does_not_fit_is_named() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let check = |table, columns, expected: &str| {
        let error = conform(table, &batch(columns), NOW).expect_err("refused").to_string();
        assert_eq!(error, expected);
    };
    check(TableId::Flows, vec![("time", times()), ("colour", Arc::clone(&texts))], "flows has no column colour");
    check(
        TableId::Flows,
        vec![("time", times()), ("src_pod", Arc::clone(&numbers))],
        "column src_pod of flows has type Int64",
    );
    check(
        TableId::Flows,
        vec![("src_pod", Arc::clone(&texts))],
        "column time of flows is required and absent or null in some row",
    );
    check(
        TableId::RuntimeEvents,
        vec![("time", times())],
        "column kind of runtime_events is required and absent or null in some row",
    );
    check(TableId::Ingested, vec![("time", times())], "table ingested cannot be pushed to");
    check(TableId::Edges1m, vec![("time", times())], "table edges_1m cannot be pushed to");
}
