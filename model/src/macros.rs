//! One declaration gives a table its columns, its builder and its view.

/// The builder type of a column kind.
macro_rules! builder_of {
    (Time) => {
        $crate::column::TimeColumn
    };
    (Bool) => {
        $crate::column::BoolColumn
    };
    (U8) => {
        $crate::column::U8Column
    };
    (U16) => {
        $crate::column::U16Column
    };
    (U32) => {
        $crate::column::U32Column
    };
    (U64) => {
        $crate::column::U64Column
    };
    (I32) => {
        $crate::column::I32Column
    };
    (I64) => {
        $crate::column::I64Column
    };
    (Dict) => {
        $crate::column::DictColumn
    };
    (Text) => {
        $crate::column::TextColumn
    };
    (Bytes) => {
        $crate::column::BytesColumn
    };
    (DictBytes) => {
        $crate::column::DictBytesColumn
    };
}

/// The view type of a column kind.
macro_rules! view_of {
    (Time) => { $crate::column::TimeView<'a> };
    (Bool) => { $crate::column::BoolView<'a> };
    (U8) => { $crate::column::U8View<'a> };
    (U16) => { $crate::column::U16View<'a> };
    (U32) => { $crate::column::U32View<'a> };
    (U64) => { $crate::column::U64View<'a> };
    (I32) => { $crate::column::I32View<'a> };
    (I64) => { $crate::column::I64View<'a> };
    (Dict) => { $crate::column::TextView<'a> };
    (Text) => { $crate::column::TextView<'a> };
    (Bytes) => { $crate::column::BytesView<'a> };
    (DictBytes) => { $crate::column::BytesView<'a> };
}

macro_rules! is_required {
    (required) => {
        true
    };
    () => {
        false
    };
}

/// Declares a table as a module with `COLUMNS`, `schema()`, `Builder` and `View`.
macro_rules! table {
    (
        $(#[doc = $table_doc:literal])+
        $module:ident {
            $( #[doc = $doc:literal] $column:ident : $kind:ident $($required:ident)? ),+ $(,)?
        }
    ) => {
        $(#[doc = $table_doc])+
        pub mod $module {
            use std::sync::{Arc, LazyLock};

            use arrow::array::RecordBatch;
            use arrow::datatypes::{Schema, SchemaRef};

            use crate::column::Column as _;
            use crate::macros::{builder_of, is_required, view_of};
            use crate::{ColumnDef, ColumnKind, SchemaError};

            /// The columns, in order.
            pub const COLUMNS: &[ColumnDef] = &[
                $( ColumnDef {
                    name: stringify!($column),
                    kind: ColumnKind::$kind,
                    required: is_required!($($required)?),
                    doc: $doc,
                } ),+
            ];

            static SCHEMA: LazyLock<SchemaRef> =
                LazyLock::new(|| Arc::new(Schema::new(COLUMNS.iter().map(ColumnDef::field).collect::<Vec<_>>())));

            /// The Arrow schema.
            #[must_use]
            pub fn schema() -> SchemaRef {
                Arc::clone(&SCHEMA)
            }

            /// Rows under construction: set columns at [`Builder::row`], then [`Builder::commit`] or
            /// [`Builder::rollback`].
            #[derive(Debug, Default)]
            pub struct Builder {
                row: usize,
                $( #[doc = $doc] pub $column: builder_of!($kind), )+
            }

            impl Builder {
                /// The row that is being filled; also how many rows are complete.
                #[must_use]
                pub const fn row(&self) -> usize {
                    self.row
                }

                /// Keeps the row being filled.
                pub const fn commit(&mut self) {
                    self.row += 1;
                }

                /// Forgets what was set of the row being filled.
                pub fn rollback(&mut self) {
                    let row = self.row;
                    $( self.$column.truncate(row); )+
                }

                /// The complete rows; the builder starts over.
                ///
                /// # Errors
                /// A required column is null in some row.
                pub fn finish(&mut self) -> Result<RecordBatch, SchemaError> {
                    let n_rows = self.row;
                    self.rollback();
                    self.row = 0;
                    let columns = vec![ $( self.$column.finish(n_rows) ),+ ];
                    crate::tables::assemble(stringify!($module), COLUMNS, schema(), columns)
                }
            }

            /// Rows being read. A column that the batch does not hold reads as null.
            #[derive(Debug)]
            pub struct View<'a> {
                n_rows: usize,
                $( #[doc = $doc] pub $column: view_of!($kind), )+
            }

            impl<'a> View<'a> {
                /// A view of `records`, whose columns are found by name.
                ///
                /// # Errors
                /// A column has another type than the table's.
                pub fn new(records: &'a RecordBatch) -> Result<Self, SchemaError> {
                    Ok(Self {
                        n_rows: records.num_rows(),
                        $( $column: {
                            let array = records.column_by_name(stringify!($column));
                            <view_of!($kind)>::of(array).ok_or_else(|| SchemaError::WrongType {
                                table: stringify!($module),
                                column: stringify!($column),
                                found: array.map(|array| array.data_type().to_string()).unwrap_or_default(),
                            })?
                        }, )+
                    })
                }

                /// How many rows.
                #[must_use]
                pub const fn n_rows(&self) -> usize {
                    self.n_rows
                }
            }
        }
    };
}

pub(crate) use {builder_of, is_required, table, view_of};
