//! Ids depend on what was observed, not on how it is held or on the sender's uuid.
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};

use super::{event_ids, made_uuid};
use crate::TableId;
use crate::tables::flows;

fn two_flows(uuid: &str, pod: &str) -> RecordBatch {
    let mut builder = flows::Builder::default();
    for row in 0..2_u16 {
        let index = usize::from(row);
        builder.time.set(index, 5);
        builder.recorded_at.set(index, 9);
        builder.source_kind.set(index, "hubble");
        builder.flow_count.set(index, 1);
        builder.uuid.set(index, uuid);
        builder.src_pod.set(index, pod);
        builder.dst_port.set(index, 80 + row);
        builder.commit();
    }
    builder.finish().expect("whole rows")
}

#[test]
fn the_uuid_takes_no_part_and_the_pod_does() {
    let ids = event_ids(TableId::Flows, &two_flows("a", "web"));
    assert_eq!(ids, event_ids(TableId::Flows, &two_flows("b", "web")));
    assert_ne!(ids, event_ids(TableId::Flows, &two_flows("a", "db")));
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_plain_text_column_gives_the_id_of_a_dictionary() {
    let records = two_flows("a", "web");
    let plain: Vec<ArrayRef> = records
        .columns()
        .iter()
        .map(|array| match array.data_type() {
            DataType::Dictionary(_, values) => cast(array, values).expect("a dictionary unfolds"),
            _ => Arc::clone(array),
        })
        .collect();
    let fields: Vec<Field> = plain
        .iter()
        .zip(records.schema().fields())
        .map(|(array, field)| Field::new(field.name(), array.data_type().clone(), true))
        .collect();
    let unfolded = RecordBatch::try_new(Arc::new(Schema::new(fields)), plain).expect("same rows");
    assert_eq!(event_ids(TableId::Flows, &records), event_ids(TableId::Flows, &unfolded));
}

#[test]
fn a_made_uuid_has_its_form_and_is_the_same_again() {
    let made = made_uuid("1 2 3");
    assert_eq!(made, made_uuid("1 2 3"));
    assert_ne!(made, made_uuid("1 2 4"));
    let groups: Vec<&str> = made.split('-').collect();
    assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{made}");
    assert!(groups[2].starts_with('8') && groups[3].starts_with(['8', '9', 'a', 'b']), "{made}");
}
