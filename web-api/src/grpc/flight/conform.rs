//! A pushed batch in the schema of its table, or what is wrong with it.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array, new_null_array,
};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use hindcast_model::{Batch, ColumnDef, Kind, SourceKind, TableId, Timestamp};

/// A batch that cannot become rows of the table.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConformError {
    /// The table is not filled by clients.
    #[error("{0} cannot be pushed to: it is kept by the server")]
    NotPushable(TableId),
    /// The table has no such column.
    #[error("{table} has no column {column}")]
    UnknownColumn {
        /// The table.
        table: TableId,
        /// The column of the batch.
        column: String,
    },
    /// The column is there twice.
    #[error("the batch has column {column} twice")]
    Twice {
        /// The column of the batch.
        column: String,
    },
    /// The column's type cannot be turned into the table's.
    #[error("column {column} has type {found}, which cannot be turned into {wanted}")]
    WrongType {
        /// The column.
        column: &'static str,
        /// Its type in the batch.
        found: String,
        /// Its type in the table.
        wanted: String,
    },
    /// A value cannot be turned into the table's type.
    #[error("column {column} holds a value that does not fit")]
    WrongValue {
        /// The column.
        column: &'static str,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// A row lacks what every row must have.
    #[error("column {column} is required and absent or null in some row")]
    Missing {
        /// The column.
        column: &'static str,
    },
}

impl ConformError {
    /// Who has to act. A column that is not known here is known to a later server: the same rows may pass then.
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::UnknownColumn { .. } => Kind::NotFound,
            _ => Kind::Invalid,
        }
    }
}

/// What the server knows of a push and fills in where the client says nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) source: &'a str,
    pub(super) recorded_at: Timestamp,
}

/// The rows in the table's schema. Columns the batch lacks are null; `recorded_at` is always the server's.
pub(super) fn conform(table: TableId, records: &RecordBatch, known: Known<'_>) -> Result<Batch, ConformError> {
    if matches!(table, TableId::Edges1m | TableId::Edges1h | TableId::Ingested) {
        return Err(ConformError::NotPushable(table));
    }
    let names: Vec<&str> = records.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    for (position, name) in names.iter().enumerate() {
        if !table.columns().iter().any(|column| column.name == *name) {
            return Err(ConformError::UnknownColumn { table, column: (*name).to_owned() });
        }
        if names.iter().skip(position + 1).any(|other| other == name) {
            return Err(ConformError::Twice { column: (*name).to_owned() });
        }
    }
    let columns = table.columns().iter().map(|column| fill(column, records, known)).collect::<Result<Vec<_>, _>>()?;
    let records = RecordBatch::try_new(table.schema(), columns)
        .map_err(|source| ConformError::WrongValue { column: "?", source })?;
    Ok(Batch { table, records })
}

fn fill(column: &ColumnDef, records: &RecordBatch, known: Known<'_>) -> Result<ArrayRef, ConformError> {
    let n_rows = records.num_rows();
    let wanted = column.kind.data_type();
    let given = records.column_by_name(column.name).filter(|array| array.null_count() < n_rows.max(1));
    let array = match (column.name, given) {
        ("recorded_at" | "learned_at", _) => instants(known.recorded_at, n_rows),
        (_, Some(array)) => convert(column.name, array, &wanted)?,
        ("source_kind", None) => repeat(SourceKind::Flight.as_str(), n_rows, &wanted, column.name)?,
        ("source", None) => repeat(known.source, n_rows, &wanted, column.name)?,
        ("flow_count", None) => Arc::new(UInt64Array::from_value(1, n_rows)),
        (_, None) => new_null_array(&wanted, n_rows),
    };
    if column.required && array.logical_null_count() > 0 {
        return Err(ConformError::Missing { column: column.name });
    }
    Ok(array)
}

fn instants(at: Timestamp, n_rows: usize) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from_value(at.as_nanos(), n_rows).with_timezone("UTC"))
}

fn repeat(text: &str, n_rows: usize, wanted: &DataType, column: &'static str) -> Result<ArrayRef, ConformError> {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, n_rows)));
    cast(&texts, wanted).map_err(|source| ConformError::WrongValue { column, source })
}

fn convert(column: &'static str, array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ConformError> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    let wrong_type =
        || ConformError::WrongType { column, found: array.data_type().to_string(), wanted: wanted.to_string() };
    if !is_same_kind(array.data_type(), wanted) || !can_cast_types(array.data_type(), wanted) {
        return Err(wrong_type());
    }
    let options = arrow::compute::CastOptions { safe: false, ..arrow::compute::CastOptions::default() };
    arrow::compute::cast_with_options(array, wanted, &options)
        .map_err(|source| ConformError::WrongValue { column, source })
}

/// Whether two types hold the same kind of thing: no text becomes a number, no number a time.
fn is_same_kind(found: &DataType, wanted: &DataType) -> bool {
    match (found, wanted) {
        (DataType::Dictionary(_, value), _) => is_same_kind(value, wanted),
        (_, DataType::Dictionary(_, value)) => is_same_kind(found, value),
        (DataType::Timestamp(_, _), DataType::Timestamp(_, _)) | (DataType::Boolean, DataType::Boolean) => true,
        _ => {
            (found.is_integer() && wanted.is_integer())
                || (found.is_string() && wanted.is_string())
                || (found.is_binary() && wanted.is_binary())
        }
    }
}

#[cfg(test)]
mod tests;
