//! Makes pushed batches fit their table, or says which column does not.
//!
//! A column that the table has and the batch lacks becomes null, unless every row must have it. Text may come in any
//! of Arrow's forms and times in any unit; everything else has exactly the table's type. `recorded_at` is ours.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::compute::{cast, filter_record_batch, is_not_null};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use hindcast_model::{Batch, ColumnDef, ColumnKind, Kind, SchemaError, SourceKind, TableId, Timestamp};

/// Why a pushed batch is refused.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The table is written by the recorder itself.
    #[error("table {table} cannot be pushed to")]
    NotPushable {
        /// The table.
        table: TableId,
    },
    /// A column does not fit.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A column cannot be brought into the table's type.
    #[error("column {column} of {table} cannot be read as {wanted}")]
    Unreadable {
        /// The table.
        table: TableId,
        /// The column.
        column: &'static str,
        /// The table's type.
        wanted: String,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// A batch could not be put together.
    #[error("a batch of table {table} cannot be put together")]
    Assemble {
        /// The table.
        table: TableId,
        /// Why.
        #[source]
        source: ArrowError,
    },
}

impl PushError {
    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// A batch that fits, and how many rows it lost for want of a time (EV-1).
#[derive(Debug)]
pub(crate) struct Conformed {
    pub(crate) batch: Batch,
    pub(crate) n_without_time: u64,
}

/// The time column that a row of `table` cannot do without.
const fn time_column(table: TableId) -> &'static str {
    match table {
        TableId::Workloads | TableId::Policies => "valid_from",
        TableId::Flows
        | TableId::RuntimeEvents
        | TableId::AgentEvents
        | TableId::Edges1m
        | TableId::Edges1h
        | TableId::Losses
        | TableId::Ingested => "time",
    }
}

/// Brings `records` into the schema of `table`.
pub(crate) fn conform(table: TableId, records: &RecordBatch, recorded_at: Timestamp) -> Result<Conformed, PushError> {
    match table {
        TableId::Edges1m | TableId::Edges1h | TableId::Ingested => return Err(PushError::NotPushable { table }),
        TableId::Flows
        | TableId::RuntimeEvents
        | TableId::AgentEvents
        | TableId::Workloads
        | TableId::Policies
        | TableId::Losses => {}
    }
    let columns = table.columns();
    for field in records.schema_ref().fields() {
        if !columns.iter().any(|column| column.name == field.name()) {
            return Err(SchemaError::UnknownColumn { table: table.name(), column: field.name().clone() }.into());
        }
    }
    let time_column = time_column(table);
    let (records, n_without_time) = with_time(table, records, time_column)?;
    let mut arrays = Vec::with_capacity(columns.len());
    for column in columns {
        arrays.push(conform_column(table, column, &records, recorded_at)?);
    }
    let records =
        RecordBatch::try_new(table.schema(), arrays).map_err(|source| PushError::Assemble { table, source })?;
    Ok(Conformed { batch: Batch { table, records }, n_without_time })
}

/// The rows that have a time.
fn with_time(table: TableId, records: &RecordBatch, column: &'static str) -> Result<(RecordBatch, u64), PushError> {
    let missing = || SchemaError::MissingRequired { table: table.name(), column };
    let times = records.column_by_name(column).ok_or_else(missing)?;
    let n_without = times.null_count();
    if n_without == 0 {
        return Ok((records.clone(), 0));
    }
    let assemble = |source| PushError::Assemble { table, source };
    let has_time: BooleanArray = is_not_null(times).map_err(assemble)?;
    let kept = filter_record_batch(records, &has_time).map_err(assemble)?;
    Ok((kept, n_without as u64))
}

fn conform_column(
    table: TableId,
    column: &'static ColumnDef,
    records: &RecordBatch,
    recorded_at: Timestamp,
) -> Result<ArrayRef, PushError> {
    let n_rows = records.num_rows();
    let wanted = column.kind.data_type();
    if matches!(column.name, "recorded_at" | "learned_at") {
        let times = TimestampNanosecondArray::from(vec![recorded_at.as_nanos(); n_rows]);
        return Ok(Arc::new(times.with_data_type(wanted)));
    }
    let missing = || SchemaError::MissingRequired { table: table.name(), column: column.name };
    let Some(array) = records.column_by_name(column.name) else {
        return match column.name {
            // A pushed row without a word on it is one flow, and came by Flight: both are facts, not guesses.
            "flow_count" => Ok(Arc::new(UInt64Array::from(vec![1; n_rows]))),
            "source_kind" => {
                let kinds = StringArray::from(vec![SourceKind::Flight.as_str(); n_rows]);
                let read = |source| unreadable(table, column, &wanted, source);
                cast(&kinds, &wanted).map_err(read)
            }
            _ if column.required => Err(missing().into()),
            _ => Ok(arrow::array::new_null_array(&wanted, n_rows)),
        };
    };
    if column.required && array.null_count() > 0 {
        return Err(missing().into());
    }
    if *array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    if !may_cast(column.kind, array.data_type()) {
        return Err(SchemaError::WrongType {
            table: table.name(),
            column: column.name,
            found: array.data_type().to_string(),
        }
        .into());
    }
    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
    arrow::compute::cast_with_options(array, &wanted, &options)
        .map_err(|source| unreadable(table, column, &wanted, source))
}

fn unreadable(table: TableId, column: &ColumnDef, wanted: &DataType, source: ArrowError) -> PushError {
    let name = table.columns().iter().find(|other| other.name == column.name).map_or("", |found| found.name);
    PushError::Unreadable { table, column: name, wanted: wanted.to_string(), source }
}

/// Whether values of `found` mean the same in a column of `kind`.
fn may_cast(kind: ColumnKind, found: &DataType) -> bool {
    let value_type = match found {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    match kind {
        ColumnKind::Dict | ColumnKind::Text => {
            matches!(value_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
        }
        ColumnKind::Bytes | ColumnKind::DictBytes => {
            matches!(value_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null)
        }
        ColumnKind::Time => matches!(
            found,
            DataType::Timestamp(
                TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
                _
            )
        ),
        ColumnKind::Bool
        | ColumnKind::U8
        | ColumnKind::U16
        | ColumnKind::U32
        | ColumnKind::U64
        | ColumnKind::I32
        | ColumnKind::I64 => matches!(found, DataType::Null),
    }
}

#[cfg(test)]
mod tests;
