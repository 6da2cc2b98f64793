//! Rows of a segment as an Arrow stream that ClickHouse takes as one block.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::Bytes;
use hindcast_model::TableId;

use crate::ids::SegmentId;
use crate::memory::shrink_dictionary;

/// Bytes that are handed to the connection at a time.
const PART_BYTES: usize = 1 << 20;

/// One block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) columns: Vec<String>,
    pub(super) stream: Vec<Bytes>,
}

/// The rows from `start` on, `n_rows` of them, of a segment's batches. The same rows give the same bytes.
pub(super) fn encode(
    table: TableId,
    batches: &[RecordBatch],
    (start, n_rows): (usize, usize),
    store: &str,
    segment: SegmentId,
) -> Result<Block, ArrowError> {
    let mut taken = Vec::new();
    let mut passed = 0;
    for batch in batches {
        let (from, to) = (start.max(passed), (start + n_rows).min(passed + batch.num_rows()));
        if from < to {
            taken.push(batch.slice(from - passed, to - from));
        }
        passed += batch.num_rows();
    }
    let rows = concat_batches(&table.schema(), &taken)?;
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
        // A column that is null in every row is the server's default, and costs nothing.
        if array.null_count() == array.len() {
            continue;
        }
        let array = match array.data_type() {
            DataType::Dictionary(_, values) if values.as_ref() == &DataType::Binary => cast(array, &DataType::Binary)?,
            _ => shrink_dictionary(array),
        };
        fields.push(Field::new(field.name(), array.data_type().clone(), field.is_nullable()));
        columns.push(array);
    }
    let n_rows = rows.num_rows();
    let keys = Int32Array::from(vec![0; n_rows]);
    let name = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from(vec![store])))?;
    fields.push(Field::new("segment_store", name.data_type().clone(), false));
    columns.push(Arc::new(name));
    fields.push(Field::new("segment", DataType::UInt64, false));
    columns.push(Arc::new(UInt64Array::from(vec![segment.get(); n_rows])));
    let names = fields.iter().map(|field| field.name().clone()).collect();
    let records = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &records.schema(), options)?;
    writer.write(&records)?;
    writer.finish()?;
    let whole = Bytes::from(writer.into_inner()?);
    let parts = (0..whole.len()).step_by(PART_BYTES);
    let stream = parts.map(|at| whole.slice(at..whole.len().min(at + PART_BYTES))).collect();
    Ok(Block { columns: names, stream })
}
