//! Tests of printed rows.

use std::sync::Arc;

use arrow::array::{BinaryArray, Int64Array, StringArray};
use arrow::datatypes::Field;

use super::*;

fn sample() -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("n", DataType::Int64, true),
        Field::new("raw", DataType::Binary, true),
    ]);
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(StringArray::from(vec![Some("a,b"), None])),
            Arc::new(Int64Array::from(vec![Some(10), Some(2)])),
            Arc::new(BinaryArray::from_opt_vec(vec![Some(&[1_u8, 255][..]), None])),
        ],
    )
    .unwrap()
}

fn print(format: SqlFormat, batches: &[RecordBatch]) -> String {
    let schema = sample().schema();
    let mut out = Vec::new();
    let mut printer = Printer::new(format, &schema, Palette::PLAIN, &mut out);
    for records in batches {
        printer.write(records).unwrap();
    }
    printer.end(&schema).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn each_form_holds_every_row() {
    let rows = [sample()];
    assert_eq!(print(SqlFormat::Table, &rows), "name   n  raw\na,b   10  01ff\nNULL   2  NULL\n");
    assert_eq!(print(SqlFormat::Csv, &rows), "name,n,raw\n\"a,b\",10,01ff\n,2,\n");
    assert_eq!(
        print(SqlFormat::Ndjson, &rows),
        "{\"name\":\"a,b\",\"n\":10,\"raw\":\"01ff\"}\n{\"name\":null,\"n\":2,\"raw\":null}\n"
    );
    assert!(print(SqlFormat::Json, &rows).starts_with("[{\"name\":\"a,b\""));
}

#[test]
fn an_answer_without_rows_is_still_an_answer() {
    assert_eq!(print(SqlFormat::Table, &[]), "name  n  raw\n");
    assert_eq!(print(SqlFormat::Csv, &[]), "name,n,raw\n");
    assert_eq!(print(SqlFormat::Json, &[]), "[]\n");
    assert_eq!(print(SqlFormat::Ndjson, &[]), "");
}
