//! From Arrow batches to the bytes of an answer, in any of the forms a client can ask for.
//!
//! A renderer is fed batches in order and gives bytes back as it goes; nothing of the answer is kept. What was cut,
//! and the cursor of the next page, are known only at the end: JSON and NDJSON say it in their last member or line,
//! Parquet in the metadata of its footer, every form in the HTTP trailers.

mod cell;
mod csv;
mod format;
mod ipc;
mod json;
mod parquet;

pub(crate) use format::Format;
pub(crate) use json::Objects;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fault::Fault;

/// Why an answer is shorter than the question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CutDto {
    /// Which limit ended the answer: rows, bytes, memory or time. Or away: ClickHouse did not answer.
    pub(crate) reason: String,
    /// For a person.
    pub(crate) detail: String,
}

impl CutDto {
    /// Whether rows are missing because ClickHouse does not answer.
    pub(crate) fn is_away(&self) -> bool {
        self.reason == hindcast_query::CutReason::Away.as_str()
    }
}

/// What is said after the last row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    /// Set where a limit ended the answer.
    pub(crate) cut: Option<CutDto>,
    /// Where the next page begins.
    pub(crate) next_cursor: Option<String>,
    /// Set where the answer broke off.
    pub(crate) fault: Option<Fault>,
}

/// Rows that could not be written in the form asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    /// Arrow could not write or cast the rows.
    #[error("the rows cannot be written")]
    Arrow(#[source] ArrowError),
    /// Parquet could not.
    #[error("the rows cannot be written as Parquet")]
    Parquet(#[source] ::parquet::errors::ParquetError),
    /// A column has a type that JSON and CSV are not written from here.
    #[error("column {column} has type {data_type}, which cannot be written in this form: cast it, or ask for Arrow")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
    },
}

/// How rows are written, apart from the form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Whether an absent value is written as null in a JSON row, or left out.
    pub(crate) with_nulls: bool,
    /// Whether list columns of the tables are written as arrays in JSON.
    pub(crate) with_lists: bool,
}

impl Style {
    /// Events: absent stays absent.
    pub(crate) const EVENTS: Self = Self { with_nulls: false, with_lists: true };
    /// Results of SQL: every row has every column, texts as they stand.
    pub(crate) const SQL: Self = Self { with_nulls: true, with_lists: false };
}

/// One answer being written.
pub(crate) enum Renderer {
    Json(json::Rows),
    Ndjson(json::Lines),
    Columns(json::Columns),
    Csv(csv::Csv),
    Arrow(Box<ipc::Ipc>),
    Parquet(Box<parquet::Parquet>),
}

impl Renderer {
    /// A renderer of rows with `schema`, and the bytes that come before any row.
    pub(crate) fn new(
        format: Format,
        schema: &SchemaRef,
        style: Style,
        out: &mut Vec<u8>,
    ) -> Result<Self, RenderError> {
        match format {
            Format::Json => Ok(Self::Json(json::Rows::new(style, out))),
            Format::Ndjson => Ok(Self::Ndjson(json::Lines::new(style))),
            Format::Columns => Ok(Self::Columns(json::Columns::new(schema, style, out))),
            Format::Csv => Ok(Self::Csv(csv::Csv::new(schema, out))),
            Format::Arrow => ipc::Ipc::new(schema, out).map(|writer| Self::Arrow(Box::new(writer))),
            Format::Parquet => parquet::Parquet::new(schema, out).map(|writer| Self::Parquet(Box::new(writer))),
        }
    }

    /// Appends the rows of a batch.
    pub(crate) fn write(&mut self, records: &RecordBatch, out: &mut Vec<u8>) -> Result<(), RenderError> {
        match self {
            Self::Json(rows) => rows.write(records, out),
            Self::Ndjson(lines) => lines.write(records, out),
            Self::Columns(columns) => columns.write(records, out),
            Self::Csv(csv) => csv.write(records, out),
            Self::Arrow(ipc) => ipc.write(records, out),
            Self::Parquet(parquet) => parquet.write(records, out),
        }
    }

    /// Appends what comes after the last row. A broken answer in a form that has no place for a problem is not
    /// ended, so that its reader cannot take it for whole; `false` says so.
    pub(crate) fn end(self, ending: &Ending, out: &mut Vec<u8>) -> Result<bool, RenderError> {
        let is_whole = ending.fault.is_none();
        match self {
            Self::Json(rows) => rows.end(ending, out),
            Self::Ndjson(lines) => lines.end(ending, out),
            Self::Columns(columns) => columns.end(ending, out),
            Self::Csv(_) => return Ok(is_whole),
            Self::Arrow(_) | Self::Parquet(_) if !is_whole => return Ok(false),
            Self::Arrow(ipc) => ipc.end(out)?,
            Self::Parquet(parquet) => parquet.end(ending, out)?,
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
