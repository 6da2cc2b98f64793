//! What the server says of itself and its tables.

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables, Nullable, Searchable, SqlInfo,
    SqlSupportedTransaction, XdbcDataType,
};
use hindcast_model::TableId;

use super::encode::plain_schema;

/// The catalogue and the schema that the tables are in.
const CATALOG: &str = "hindcast";
/// The schema that the tables are in.
const SCHEMA: &str = "public";
/// The kind of all tables.
const TABLE: &str = "TABLE";

/// The one catalogue.
pub(super) fn catalogs(query: CommandGetCatalogs) -> Result<RecordBatch, FlightError> {
    let mut rows = query.into_builder();
    rows.append(CATALOG);
    rows.build()
}

/// The one schema.
pub(super) fn schemas(query: CommandGetDbSchemas) -> Result<RecordBatch, FlightError> {
    let mut rows = query.into_builder();
    rows.append(CATALOG, SCHEMA);
    rows.build()
}

/// The tables, with their columns if asked for.
pub(super) fn tables(query: CommandGetTables) -> Result<RecordBatch, FlightError> {
    let mut rows = query.into_builder();
    for table in TableId::ALL {
        rows.append(CATALOG, SCHEMA, table.name(), TABLE, &plain_schema(&table.schema()))?;
    }
    rows.build()
}

/// The one kind of table.
pub(super) fn table_types(query: CommandGetTableTypes) -> Result<RecordBatch, FlightError> {
    let mut rows = query.into_builder();
    rows.append(TABLE);
    rows.build()
}

/// Name, version and abilities.
pub(super) fn sql_info(version: &str) -> Result<SqlInfoData, FlightError> {
    let mut facts = SqlInfoDataBuilder::new();
    facts.append(SqlInfo::FlightSqlServerName, "Hindcast");
    facts.append(SqlInfo::FlightSqlServerVersion, version);
    facts.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    facts.append(SqlInfo::FlightSqlServerReadOnly, true);
    facts.append(SqlInfo::FlightSqlServerSql, true);
    facts.append(SqlInfo::FlightSqlServerSubstrait, false);
    let no_transactions: i32 = SqlSupportedTransaction::None.into();
    facts.append(SqlInfo::FlightSqlServerTransaction, no_transactions);
    facts.append(SqlInfo::FlightSqlServerCancel, false);
    facts.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    facts.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    facts.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    facts.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
    facts.append(SqlInfo::SqlDdlCatalog, false);
    facts.append(SqlInfo::SqlDdlSchema, false);
    facts.append(SqlInfo::SqlDdlTable, false);
    facts.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    facts.append(SqlInfo::SqlAllTablesAreSelectable, true);
    facts.append(SqlInfo::SqlTransactionsSupported, false);
    facts.build()
}

/// The types of the columns.
pub(super) fn types() -> Result<XdbcTypeInfoData, FlightError> {
    use XdbcDataType as Code;
    let rows = [
        ("BOOLEAN", Code::XdbcBit, 1, None, None),
        ("TINYINT UNSIGNED", Code::XdbcTinyint, 8, Some(true), Some(2)),
        ("SMALLINT UNSIGNED", Code::XdbcSmallint, 16, Some(true), Some(2)),
        ("INTEGER", Code::XdbcInteger, 32, Some(false), Some(2)),
        ("INTEGER UNSIGNED", Code::XdbcInteger, 32, Some(true), Some(2)),
        ("BIGINT", Code::XdbcBigint, 64, Some(false), Some(2)),
        ("BIGINT UNSIGNED", Code::XdbcBigint, 64, Some(true), Some(2)),
        ("DOUBLE", Code::XdbcDouble, 53, Some(false), Some(2)),
        ("VARCHAR", Code::XdbcVarchar, i32::MAX, None, None),
        ("VARBINARY", Code::XdbcVarbinary, i32::MAX, None, None),
        ("DATE", Code::XdbcDate, 10, None, None),
        ("TIMESTAMP", Code::XdbcTimestamp, 30, None, None),
    ];
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, code, size, unsigned, radix) in rows {
        let is_text = matches!(code, Code::XdbcVarchar | Code::XdbcDate | Code::XdbcTimestamp);
        let quote = is_text.then(|| "'".to_owned());
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: code,
            column_size: Some(size),
            literal_prefix: quote.clone(),
            literal_suffix: quote,
            nullable: Nullable::NullabilityNullable,
            case_sensitive: matches!(code, Code::XdbcVarchar),
            searchable: Searchable::Full,
            unsigned_attribute: unsigned,
            local_type_name: Some(name.to_owned()),
            sql_data_type: code,
            num_prec_radix: radix,
            ..XdbcTypeInfo::default()
        });
    }
    types.build()
}
