//! Several servers that each hold a part of the rows. A recorder sends to one of them, always the same one; who asks,
//! asks all through `Distributed` tables in a database of their own, which `hindcast migrate apply` makes.

use std::collections::BTreeMap;

use hindcast_model::TableId;

use super::ship::SENT;
use super::{ClickHouseError, Connection, SchemaError};

/// The database of tables that reach all shards.
pub(super) fn database(database: &str, shards: &str) -> String {
    if shards.is_empty() { database.to_owned() } else { format!("{database}_all") }
}

/// Tables that are asked.
fn tables() -> impl Iterator<Item = &'static str> {
    SENT.into_iter().chain([TableId::Edges1m, TableId::Edges1h]).map(TableId::name).chain(["stores"])
}

/// The statements that make the tables that reach all shards, where they are not there or have other columns.
pub(super) async fn missing(
    connection: &Connection,
    own: &str,
    shards: &str,
    on_cluster: &str,
) -> Result<Vec<String>, SchemaError> {
    if shards.is_empty() {
        return Ok(Vec::new());
    }
    let all = database(own, shards);
    let columns = format!(
        "SELECT database, table, arrayStringConcat(groupArray(concat(name, ' ', type)), ', ') FROM \
         (SELECT database, table, name, type FROM system.columns WHERE database IN ('{own}', '{all}') \
         ORDER BY database, table, position) GROUP BY database, table"
    );
    let columns = connection.rows::<(String, String, String)>("say which columns it has", &columns).await?;
    let columns: BTreeMap<(String, String), String> =
        columns.into_iter().map(|(database, table, columns)| ((database, table), columns)).collect();
    let engines = format!("SELECT name, engine_full FROM system.tables WHERE database = '{all}'");
    let engines: BTreeMap<String, String> =
        connection.rows::<(String, String)>("say which tables it has", &engines).await?.into_iter().collect();
    let mut statements = Vec::new();
    for table in tables() {
        let engine = format!("Distributed('{shards}', '{own}', '{table}')");
        let of = |database: &str| columns.get(&(database.to_owned(), table.to_owned()));
        if engines.get(table) != Some(&engine) || of(own) != of(&all) {
            statements
                .push(format!("CREATE OR REPLACE TABLE {all}.{table}{on_cluster} AS {own}.{table} ENGINE = {engine}"));
        }
    }
    if !statements.is_empty() {
        statements.insert(0, format!("CREATE DATABASE IF NOT EXISTS {all}{on_cluster}"));
    }
    Ok(statements)
}

/// How many shards do not answer.
pub(super) async fn n_away(connection: &Connection, shards: &str) -> Result<u64, ClickHouseError> {
    if shards.is_empty() {
        return Ok(0);
    }
    let all = format!("SELECT toUInt64(uniqExact(shard_num)) FROM system.clusters WHERE cluster = '{shards}'");
    let answering = format!(
        "SELECT toUInt64(uniqExact(shardNum())) FROM cluster('{shards}', system.one) SETTINGS skip_unavailable_shards = 1"
    );
    let all = connection.number("say which shards there are", &all).await?;
    Ok(all.saturating_sub(connection.number("say which shards answer", &answering).await?))
}
