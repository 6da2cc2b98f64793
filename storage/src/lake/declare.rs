//! What a shared catalogue says before it names a file: where files are, which tables and columns there are, and who
//! writes.

use std::collections::BTreeMap;

use hindcast_model::{TableId, Timestamp};
use tokio_postgres::{Error, Transaction};

use crate::catalog::{TableIds, Tables, new_uuid, seed_of, time_text, type_name};

/// Makes the catalogue name every table and column of this build. The lock is held.
pub(super) async fn tables(transaction: &Transaction<'_>, data_path: &str, now: Timestamp) -> Result<Tables, Error> {
    if transaction.query_opt("SELECT 1 FROM ducklake_snapshot LIMIT 1", &[]).await?.is_none() {
        create(transaction, data_path, now).await?;
    }
    let mut declare = Declare { transaction, now, changed: Vec::new(), ids: None };
    let mut tables = Tables::new();
    for table in TableId::ALL {
        tables.insert(table, declare.table(table).await?);
    }
    declare.finish().await?;
    Ok(tables)
}

async fn create(transaction: &Transaction<'_>, data_path: &str, now: Timestamp) -> Result<(), Error> {
    let metadata = "INSERT INTO ducklake_metadata(key, value) VALUES ($1, $2)";
    let created_by = concat!("hindcast ", env!("CARGO_PKG_VERSION"));
    for (key, value) in
        [("version", "1.0"), ("created_by", created_by), ("data_path", data_path), ("encrypted", "false")]
    {
        transaction.execute(metadata, &[&key, &value]).await?;
    }
    let snapshot = "INSERT INTO ducklake_snapshot VALUES (0, $1::text::timestamptz, 0, 1, 0)";
    transaction.execute(snapshot, &[&time_text(now)]).await?;
    let changes =
        "INSERT INTO ducklake_snapshot_changes(snapshot_id, changes_made) VALUES (0, 'created_schema:\"main\"')";
    transaction.execute(changes, &[]).await?;
    let schema = "INSERT INTO ducklake_schema VALUES (0, $1::text::uuid, 0, NULL, 'main', '', true)";
    transaction.execute(schema, &[&new_uuid(seed_of(now), "main")]).await?;
    Ok(())
}

/// The numbers of the snapshot of this change.
#[derive(Clone, Copy)]
struct Ids {
    snapshot: i64,
    schema_version: i64,
    next_catalog: i64,
    next_file: i64,
}

struct Declare<'a> {
    transaction: &'a Transaction<'a>,
    now: Timestamp,
    changed: Vec<String>,
    ids: Option<Ids>,
}

impl Declare<'_> {
    /// The snapshot, begun when it is first needed.
    async fn begin(&mut self) -> Result<Ids, Error> {
        if let Some(ids) = self.ids {
            return Ok(ids);
        }
        let latest = "SELECT snapshot_id + 1, schema_version + 1, next_catalog_id, next_file_id FROM ducklake_snapshot
                      ORDER BY snapshot_id DESC LIMIT 1";
        let row = self.transaction.query_one(latest, &[]).await?;
        let ids =
            Ids { snapshot: row.get(0), schema_version: row.get(1), next_catalog: row.get(2), next_file: row.get(3) };
        self.ids = Some(ids);
        Ok(ids)
    }

    async fn table(&mut self, table: TableId) -> Result<TableIds, Error> {
        let known = "SELECT table_id FROM ducklake_table WHERE table_name = $1 AND end_snapshot IS NULL";
        let known: Option<i64> = self.transaction.query_opt(known, &[&table.name()]).await?.map(|row| row.get(0));
        let table_id = match known {
            Some(table_id) => table_id,
            None => self.create(table).await?,
        };
        let columns = "SELECT column_name, column_id FROM ducklake_column WHERE table_id = $1 AND end_snapshot IS NULL";
        let rows = self.transaction.query(columns, &[&table_id]).await?;
        let columns: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut next = columns.values().max().copied().unwrap_or(0) + 1;
        let mut column_ids = Vec::with_capacity(table.columns().len());
        for column in table.columns() {
            if let Some(column_id) = columns.get(column.name) {
                column_ids.push(*column_id);
                continue;
            }
            let ids = self.begin().await?;
            let insert = "INSERT INTO ducklake_column(column_id, begin_snapshot, table_id, column_order, column_name,
                          column_type, default_value, nulls_allowed, default_value_type, default_value_dialect)
                          VALUES ($1, $2, $3, $1, $4, $5, 'NULL', $6, 'literal', 'duckdb')";
            let kind = type_name(column.kind);
            let may_be_null = !column.required;
            self.transaction
                .execute(insert, &[&next, &ids.snapshot, &table_id, &column.name, &kind, &may_be_null])
                .await?;
            let stats =
                "INSERT INTO ducklake_table_column_stats(table_id, column_id, contains_null) VALUES ($1, $2, $3)";
            self.transaction.execute(stats, &[&table_id, &next, &may_be_null]).await?;
            if known.is_some() {
                self.changed.push(format!("altered_table:{table_id}"));
            }
            column_ids.push(next);
            next += 1;
        }
        Ok(TableIds { table_id, column_ids })
    }

    /// A table without a folder of its own: the path of a file names its recorder's folder.
    async fn create(&mut self, table: TableId) -> Result<i64, Error> {
        let mut ids = self.begin().await?;
        let table_id = ids.next_catalog;
        ids.next_catalog += 1;
        self.ids = Some(ids);
        let insert = "INSERT INTO ducklake_table VALUES ($1, $2::text::uuid, $3, NULL, 0, $4, '', true)";
        let uuid = new_uuid(seed_of(self.now), table.name());
        self.transaction.execute(insert, &[&table_id, &uuid, &ids.snapshot, &table.name()]).await?;
        self.transaction.execute("INSERT INTO ducklake_table_stats VALUES ($1, 0, 0, 0)", &[&table_id]).await?;
        self.changed.push(format!("created_table:\"main\".\"{}\"", table.name()));
        let version = "INSERT INTO ducklake_schema_versions VALUES ($1, $2, $3)";
        self.transaction.execute(version, &[&ids.snapshot, &ids.schema_version, &table_id]).await?;
        Ok(table_id)
    }

    async fn finish(mut self) -> Result<(), Error> {
        let Some(ids) = self.ids else { return Ok(()) };
        let snapshot = "INSERT INTO ducklake_snapshot VALUES ($1, $2::text::timestamptz, $3, $4, $5)";
        let time = time_text(self.now);
        self.transaction
            .execute(snapshot, &[&ids.snapshot, &time, &ids.schema_version, &ids.next_catalog, &ids.next_file])
            .await?;
        self.changed.dedup();
        let changes = "INSERT INTO ducklake_snapshot_changes(snapshot_id, changes_made) VALUES ($1, $2)";
        self.transaction.execute(changes, &[&ids.snapshot, &self.changed.join(",")]).await?;
        Ok(())
    }
}
