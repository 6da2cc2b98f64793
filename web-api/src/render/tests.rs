//! The forms of an answer, byte for byte where they are text.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, ListArray, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{Int32Type, UInt64Type};
use bytes::Bytes;

use super::{CutDto, Ending, Format, Renderer, Style};
use crate::fault::Fault;

fn records() -> RecordBatch {
    let labels: DictionaryArray<Int32Type> = vec![Some("k8s:app=web,k8s:tier=f\\,e"), None].into_iter().collect();
    let counts = ListArray::from_iter_primitive::<UInt64Type, _, _>([Some(vec![Some(1), None]), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampNanosecondArray::from(vec![1, 2]).with_timezone("UTC"))),
        ("src_labels", Arc::new(labels)),
        ("bytes_sent", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        ("is_reply", Arc::new(BooleanArray::from(vec![Some(false), None]))),
        ("summary", Arc::new(StringArray::from(vec![Some("a \"b\",\n"), Some("")]))),
        ("rest", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xff\x00"), None]))),
        ("ratio", Arc::new(Float64Array::from(vec![f64::NAN, 0.5]))),
        ("counts", Arc::new(counts)),
        ("nothing", Arc::new(StringArray::from(vec![None::<&str>, None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("a batch")
}

fn render(format: Format, style: Style, ending: &Ending) -> Vec<u8> {
    let records = records();
    let mut out = Vec::new();
    let mut renderer = Renderer::new(format, &records.schema(), style, &mut out).expect("a renderer");
    renderer.write(&records.slice(0, 1), &mut out).expect("a row");
    renderer.write(&records.slice(1, 1), &mut out).expect("a row");
    assert!(renderer.end(ending, &mut out).expect("an end"));
    out
}

fn text(format: Format, style: Style, ending: &Ending) -> String {
    String::from_utf8(render(format, style, ending)).expect("text")
}

fn cut() -> Ending {
    let cut = CutDto { reason: "rows".to_owned(), detail: "the first 2 rows".to_owned() };
    Ending { cut: Some(cut), next_cursor: Some("abc".to_owned()), fault: None }
}

const FIRST: &str = r#"{"time":"1970-01-01T00:00:00.000000001Z","src_labels":["k8s:app=web","k8s:tier=f,e"],"bytes_sent":18446744073709551615,"is_reply":false,"summary":"a \"b\",\n","rest":"/wA=","ratio":null,"counts":[1,null]}"#;
const SECOND: &str = r#"{"time":"1970-01-01T00:00:00.000000002Z","summary":"","ratio":0.5}"#;

#[test]
fn rows_leave_out_what_is_absent() {
    let expected = format!("{{\"rows\":[\n{FIRST},\n{SECOND}\n],\"next_cursor\":null,\"cut\":null}}\n");
    assert_eq!(text(Format::Json, Style::EVENTS, &Ending::default()), expected);
    let ndjson = text(Format::Ndjson, Style::EVENTS, &cut());
    let last = r#"{"_end":{"next_cursor":"abc","cut":{"reason":"rows","detail":"the first 2 rows"}}}"#;
    assert_eq!(ndjson, format!("{FIRST}\n{SECOND}\n{last}\n"));
}

#[test]
fn a_broken_answer_says_so() {
    let ending = Ending { fault: Some(Fault::busy("too much")), ..Ending::default() };
    let json: serde_json::Value = serde_json::from_str(&text(Format::Json, Style::SQL, &ending)).expect("json");
    assert_eq!(json["problem"]["status"], 429);
    assert_eq!(json["rows"][1]["src_labels"], serde_json::Value::Null);
    let records = records();
    let mut out = Vec::new();
    let renderer = Renderer::new(Format::Arrow, &records.schema(), Style::SQL, &mut out).expect("a renderer");
    assert!(!renderer.end(&ending, &mut out).expect("no end"));
}

#[test]
fn columns_come_in_chunks() {
    let json: serde_json::Value =
        serde_json::from_str(&text(Format::Columns, Style::SQL, &Ending::default())).expect("json");
    assert_eq!(json["columns"][2], serde_json::json!({"name": "bytes_sent", "type": "UInt64"}));
    assert_eq!(json["chunks"][0][2], serde_json::json!([u64::MAX]));
    assert_eq!(json["chunks"][1][1], serde_json::json!([null]));
}

#[test]
fn csv_quotes_what_needs_it() {
    let expected = "time,src_labels,bytes_sent,is_reply,summary,rest,ratio,counts,nothing\r\n\
        1970-01-01T00:00:00.000000001Z,\"k8s:app=web,k8s:tier=f\\,e\",18446744073709551615,false,\"a \"\"b\"\",\n\",/wA=,NaN,\"[1,null]\",\r\n\
        1970-01-01T00:00:00.000000002Z,,,,\"\",,0.5,,\r\n";
    assert_eq!(text(Format::Csv, Style::SQL, &Ending::default()), expected);
}

#[test]
fn arrow_and_parquet_read_back_equal() {
    let records = records();
    let arrow = render(Format::Arrow, Style::SQL, &cut());
    let reader = arrow::ipc::reader::StreamReader::try_new(arrow.as_slice(), None).expect("a stream");
    let batches = reader.collect::<Result<Vec<_>, _>>().expect("batches");
    assert_eq!(arrow::compute::concat_batches(&records.schema(), &batches).expect("one batch"), records);

    let parquet = Bytes::from(render(Format::Parquet, Style::SQL, &cut()));
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(parquet).expect("a file");
    let said = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    assert!(said.iter().any(|pair| pair.key == "hindcast.next_cursor" && pair.value.as_deref() == Some("abc")));
    let batches = builder.build().expect("a reader").collect::<Result<Vec<_>, _>>().expect("batches");
    assert_eq!(arrow::compute::concat_batches(&records.schema(), &batches).expect("one batch"), records);
}
