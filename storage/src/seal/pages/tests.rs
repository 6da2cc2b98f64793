//! What is written here reads back through the parquet reader.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int32Type;
use hindcast_model::{TableId, tables::flows};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::PageIndexPolicy;

use super::*;
use crate::fixtures::T0;
use crate::seal::merge::Merged;
use crate::seal::order::{Keys, row_groups};
use crate::seal::write::{WriteOptions, write};

/// Texts of a column by row.
type Texts = Vec<Option<String>>;

fn batch(pods: &Texts) -> RecordBatch {
    let mut builder = flows::Builder::default();
    for (i, pod) in pods.iter().enumerate() {
        let row = builder.row();
        builder.time.set(row, T0 + i64::try_from(i).unwrap());
        builder.recorded_at.set(row, T0);
        builder.source_kind.set(row, "test");
        builder.flow_count.set(row, 1);
        if let Some(pod) = pod {
            builder.src_pod.set(row, pod);
            builder.node.set(row, &format!("node of {pod}"));
        }
        builder.commit();
    }
    builder.finish().unwrap()
}

fn check(pods: &Texts, row_group_rows: usize) {
    let merged = Merged::new(TableId::Flows, &[batch(pods)]).unwrap();
    let keys = Keys::of(&merged).unwrap();
    let field_ids: Vec<i64> = (0..).take(TableId::Flows.columns().len()).collect();
    let groups = row_groups(&merged, &keys, row_group_rows);
    let written = write(&merged, &groups, WriteOptions { zstd_level: 1, field_ids: &field_ids }).unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let bytes = Bytes::from(written.bytes);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options).unwrap();
    for (group, metadata) in reader.metadata().row_groups().iter().enumerate() {
        for column in 0..metadata.num_columns() {
            let filter = reader.get_row_group_column_bloom_filter(group, column).unwrap();
            let name = metadata.column(column).column_descr().name().to_owned();
            if let Some(filter) = filter.filter(|_| name == "src_pod") {
                let rows = groups.get(group).unwrap().values();
                for row in rows.iter().filter_map(|row| pods.get(usize::try_from(*row).unwrap())?.as_ref()) {
                    assert!(filter.check(row.as_str()), "{row} is not in the filter");
                }
            }
        }
    }
    let mut found: Texts = Vec::new();
    for records in reader.build().unwrap() {
        let records = records.unwrap();
        match records.column_by_name("src_pod") {
            None => found.extend(vec![None; records.num_rows()]),
            Some(array) => {
                let array = array.as_dictionary::<Int32Type>();
                let texts = array.downcast_dict::<arrow::array::StringArray>().unwrap();
                found.extend(texts.into_iter().map(|text| text.map(str::to_owned)));
            }
        }
    }
    let in_order = groups.iter().flat_map(|group| group.values().iter());
    let expected: Texts = in_order.map(|row| pods.get(usize::try_from(*row).unwrap()).unwrap().clone()).collect();
    assert_eq!(found, expected);
}

#[test]
fn columns_read_back_as_they_were() {
    let text = |number: usize| Some(format!("pod-{number}"));
    let cases: [(Texts, usize); 8] = [
        (vec![text(1)], 1024),
        (vec![None, text(1), None], 1024),
        ((0..100).map(text).collect(), 1024),
        ((0..50_000).map(|i| text(i / 1000 % 7)).collect(), 1 << 18),
        ((0..50_000).map(|i| (i % 3 != 0).then(|| text(i * i % 4099)).flatten()).collect(), 1 << 18),
        ((0..40_000).map(|i| (i > 35_000).then(|| text(i % 300)).flatten()).collect(), 1 << 14),
        ((0..3000).map(|i| text(i % 2)).collect(), 1000),
        ((0..3000).map(|i| (i % 500 < 3).then(|| format!("{i:0>90}"))).collect(), 1000),
    ];
    for (pods, row_group_rows) in cases {
        check(&pods, row_group_rows);
    }
}
