//! Every field is found by every name it has, and by its number.

use super::{POOL, message, schema};

#[test]
fn every_field_is_found_by_name_camel_case_name_and_number() {
    for descriptor in POOL.all_messages() {
        let table = message(descriptor.full_name()).unwrap();
        assert_eq!(table.full_name, descriptor.full_name());
        for field in descriptor.fields() {
            assert_eq!(table.by_name(field.name()).unwrap().number, field.number());
            assert_eq!(table.by_name(field.json_name()).unwrap().number, field.number());
            assert_eq!(table.by_number(field.number()).unwrap().name, field.name());
        }
        assert!(table.by_name("no_such_field").is_none());
        assert!(table.by_name("").is_none());
        assert!(table.by_number(536_000_000).is_none());
    }
}

#[test]
fn every_enum_value_is_found_both_ways() {
    for (descriptor, table) in POOL.all_enums().zip(&schema().enums) {
        for value in descriptor.values() {
            assert_eq!(table.number(value.name()), Some(value.number()));
            assert_eq!(table.name(value.number()), Some(value.name()));
        }
        assert_eq!(table.name(-7), None);
    }
}

#[test]
fn fields_stand_in_the_order_of_their_file() {
    let names: Vec<&str> = message("flow.Flow").unwrap().fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names.get(..5).unwrap(), ["time", "uuid", "emitter", "verdict", "drop_reason"]);
}
