//! A row that was set comes back; a row that was not is null; a bad row is gone.
use super::{flows, losses};
use crate::SchemaError;

fn flow(builder: &mut flows::Builder, time: i64, pod: Option<&str>) {
    let row = builder.row();
    builder.time.set(row, time);
    builder.recorded_at.set(row, time);
    builder.source_kind.set(row, "hubble");
    builder.flow_count.set(row, 1);
    if let Some(pod) = pod {
        builder.src_pod.set(row, pod);
    }
}

#[test]
fn rows_come_back_and_what_was_not_said_is_null() {
    let mut builder = flows::Builder::default();
    flow(&mut builder, 1, None);
    builder.commit();
    flow(&mut builder, 2, Some("web-1"));
    builder.dst_port.set(1, 80);
    builder.dst_port.set(1, 443);
    builder.commit();
    flow(&mut builder, 3, Some("web-1"));
    builder.rollback();
    let records = builder.finish().expect("whole rows");
    let view = flows::View::new(&records).expect("own schema");
    assert_eq!(view.n_rows(), 2);
    assert_eq!((view.src_pod.get(0), view.src_pod.get(1)), (None, Some("web-1")));
    assert_eq!((view.dst_port.get(0), view.dst_port.get(1)), (None, Some(443)));
    assert_eq!(view.verdict.get(1), None);
    assert_eq!(builder.row(), 0);
}

#[test]
fn a_row_without_a_required_value_is_refused_by_name() {
    let mut builder = losses::Builder::default();
    builder.time.set(0, 1);
    builder.commit();
    let error = builder.finish().expect_err("recorded_at is missing");
    assert_eq!(error, SchemaError::MissingRequired { table: "losses", column: "recorded_at" });
}

#[test]
fn an_empty_batch_has_the_schema() {
    let records = flows::Builder::default().finish().expect("no rows");
    assert_eq!(records.schema(), flows::schema());
    assert_eq!(records.num_rows(), 0);
}
