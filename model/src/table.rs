//! Which tables there are and what their columns look like in Arrow.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};

use crate::tables;

/// A table a user can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableId {
    /// Observations of traffic.
    Flows,
    /// Process-level events.
    RuntimeEvents,
    /// Agent and debug events of a Hubble agent.
    AgentEvents,
    /// Flows folded by edge and minute.
    Edges1m,
    /// Flows folded by edge and hour.
    Edges1h,
    /// What a workload was, over an interval.
    Workloads,
    /// Policy objects, over an interval.
    Policies,
    /// What a source or stage could not keep.
    Losses,
    /// Inputs and how far they were read.
    Ingested,
}

impl TableId {
    /// Every table, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::Flows,
        Self::RuntimeEvents,
        Self::AgentEvents,
        Self::Edges1m,
        Self::Edges1h,
        Self::Workloads,
        Self::Policies,
        Self::Losses,
        Self::Ingested,
    ];

    /// The name a user types.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::RuntimeEvents => "runtime_events",
            Self::AgentEvents => "agent_events",
            Self::Edges1m => "edges_1m",
            Self::Edges1h => "edges_1h",
            Self::Workloads => "workloads",
            Self::Policies => "policies",
            Self::Losses => "losses",
            Self::Ingested => "ingested",
        }
    }

    /// The table of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// The number in the log. Never changes for a table, never used twice.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Flows => 1,
            Self::RuntimeEvents => 2,
            Self::AgentEvents => 3,
            Self::Edges1m => 4,
            Self::Edges1h => 5,
            Self::Workloads => 6,
            Self::Policies => 7,
            Self::Losses => 8,
            Self::Ingested => 9,
        }
    }

    /// The table with that number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.code() == code)
    }

    /// The columns, in order.
    #[must_use]
    pub const fn columns(self) -> &'static [ColumnDef] {
        match self {
            Self::Flows => tables::flows::COLUMNS,
            Self::RuntimeEvents => tables::runtime_events::COLUMNS,
            Self::AgentEvents => tables::agent_events::COLUMNS,
            Self::Edges1m | Self::Edges1h => tables::edges::COLUMNS,
            Self::Workloads => tables::workloads::COLUMNS,
            Self::Policies => tables::policies::COLUMNS,
            Self::Losses => tables::losses::COLUMNS,
            Self::Ingested => tables::ingested::COLUMNS,
        }
    }

    /// The Arrow schema.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        match self {
            Self::Flows => tables::flows::schema(),
            Self::RuntimeEvents => tables::runtime_events::schema(),
            Self::AgentEvents => tables::agent_events::schema(),
            Self::Edges1m | Self::Edges1h => tables::edges::schema(),
            Self::Workloads => tables::workloads::schema(),
            Self::Policies => tables::policies::schema(),
            Self::Losses => tables::losses::schema(),
            Self::Ingested => tables::ingested::schema(),
        }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// An instant, nanoseconds UTC.
    Time,
    /// A truth value.
    Bool,
    /// An unsigned number of 8 bits.
    U8,
    /// An unsigned number of 16 bits.
    U16,
    /// An unsigned number of 32 bits.
    U32,
    /// An unsigned number of 64 bits.
    U64,
    /// A signed number of 32 bits.
    I32,
    /// A signed number of 64 bits.
    I64,
    /// A text that repeats: a dictionary column.
    Dict,
    /// A text that seldom repeats.
    Text,
    /// Bytes that seldom repeat.
    Bytes,
    /// Bytes that repeat: a dictionary column.
    DictBytes,
}

impl ColumnKind {
    /// The Arrow type.
    #[must_use]
    pub fn data_type(self) -> DataType {
        let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        match self {
            Self::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC"))),
            Self::Bool => DataType::Boolean,
            Self::U8 => DataType::UInt8,
            Self::U16 => DataType::UInt16,
            Self::U32 => DataType::UInt32,
            Self::U64 => DataType::UInt64,
            Self::I32 => DataType::Int32,
            Self::I64 => DataType::Int64,
            Self::Dict => dictionary(DataType::Utf8),
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::DictBytes => dictionary(DataType::Binary),
        }
    }
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDef {
    /// The name a user types.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether every row has a value.
    pub required: bool,
    /// One line for a user, with units.
    pub doc: &'static str,
}

impl ColumnDef {
    /// The Arrow field.
    #[must_use]
    pub fn field(&self) -> Field {
        Field::new(self.name, self.kind.data_type(), !self.required)
    }
}

/// A batch that does not have the columns its table asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The column has another type.
    #[error("column {column} of {table} has type {found}")]
    WrongType {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The type in the batch.
        found: String,
    },
    /// The table has no such column.
    #[error("{table} has no column {column}")]
    UnknownColumn {
        /// The table.
        table: &'static str,
        /// The column in the batch.
        column: String,
    },
    /// A column that every row must have is absent or holds nulls.
    #[error("column {column} of {table} is required and absent or null in some row")]
    MissingRequired {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
}

/// Rows of one table.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The table.
    pub table: TableId,
    /// The rows, in the table's schema.
    pub records: RecordBatch,
}

impl Batch {
    /// How many rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.records.num_rows()
    }
}
