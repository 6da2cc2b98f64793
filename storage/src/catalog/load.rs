//! What is there when the catalogue is opened.

use std::collections::BTreeMap;

use hindcast_model::{ColumnKind, TableId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::moved::{self, MovedRows};
use super::{Begun, ColumnStats, SegmentStats, Shipment, TableIds, Tables, time_text};
use crate::ids::{Hour, Lsn, PartitionKey, SegmentId};

/// A segment the catalogue names.
#[derive(Clone, Debug)]
pub(crate) struct SegmentRow {
    pub(crate) id: SegmentId,
    pub(crate) key: PartitionKey,
    /// Relative to the data path.
    pub(crate) path: String,
    pub(crate) n_rows: u64,
    pub(crate) n_bytes: u64,
    pub(crate) footer_bytes: u64,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) last_lsn: Lsn,
    /// xxh3 of the file.
    pub(crate) checksum: u64,
    /// Whether its rows, if they are flows, are folded in `edges_1m` too.
    pub(crate) has_minutes: bool,
}

/// The catalogue's content.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) segments: Vec<SegmentRow>,
    pub(crate) marks: BTreeMap<PartitionKey, Lsn>,
    /// Segments whose rows are being sent to ClickHouse or are there whole.
    pub(crate) shipments: BTreeMap<SegmentId, Shipment>,
    /// What left the lake for ClickHouse.
    pub(crate) moved: BTreeMap<PartitionKey, MovedRows>,
    /// Whether no other store sent rows to ClickHouse when it last answered.
    pub(crate) is_alone: bool,
    /// The log from here on is needed.
    pub(crate) oldest_needed: Lsn,
    /// Positions up to here were given out.
    pub(crate) last_lsn: Lsn,
    /// Number of the next file.
    pub(crate) next_file_id: u64,
}

/// The type of a column as DuckLake names it.
pub(crate) const fn type_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Time => "timestamptz",
        ColumnKind::Bool => "boolean",
        ColumnKind::U8 => "uint8",
        ColumnKind::U16 => "uint16",
        ColumnKind::U32 => "uint32",
        ColumnKind::U64 => "uint64",
        ColumnKind::I32 => "int32",
        ColumnKind::I64 => "int64",
        ColumnKind::Dict | ColumnKind::Text => "varchar",
        ColumnKind::Bytes | ColumnKind::DictBytes => "blob",
    }
}

/// Makes the catalogue name every table and column of this build, and the data path.
pub(super) fn declare(transaction: &Transaction<'_>, data_path: &str, now: Timestamp) -> rusqlite::Result<Tables> {
    let is_new: bool =
        transaction.query_row("SELECT NOT EXISTS (SELECT 1 FROM ducklake_snapshot)", [], |row| row.get(0))?;
    if is_new {
        create(transaction, data_path, now)?;
    }
    // The directory may have moved since.
    transaction.execute("DELETE FROM ducklake_metadata WHERE key = 'data_path'", [])?;
    transaction.execute("INSERT INTO ducklake_metadata(key, value) VALUES ('data_path', ?1)", [data_path])?;
    let mut declared = BTreeMap::new();
    let mut changes = Declare { transaction, now, changed: Vec::new(), snapshot: None };
    for table in TableId::ALL {
        declared.insert(table, changes.table(table)?);
    }
    changes.finish()?;
    Ok(declared)
}

fn create(transaction: &Transaction<'_>, data_path: &str, now: Timestamp) -> rusqlite::Result<()> {
    // Stores that are made at the same instant differ by their place, and on two machines by their process.
    let place = xxh3_64(format!("{data_path} {}", std::process::id()).as_bytes());
    let mut metadata = transaction.prepare("INSERT INTO ducklake_metadata(key, value) VALUES (?1, ?2)")?;
    metadata.execute(["version", "1.0"])?;
    metadata.execute(["created_by", concat!("hindcast ", env!("CARGO_PKG_VERSION"))])?;
    metadata.execute(["encrypted", "false"])?;
    transaction.execute("INSERT INTO ducklake_snapshot VALUES (0, ?1, 0, 1, 0)", [time_text(now)])?;
    transaction.execute(
        "INSERT INTO ducklake_snapshot_changes(snapshot_id, changes_made) VALUES (0, 'created_schema:\"main\"')",
        [],
    )?;
    transaction.execute(
        "INSERT INTO ducklake_schema VALUES (0, ?1, 0, NULL, 'main', '', 1)",
        [uuid(seed_of(now) ^ place, "main")],
    )?;
    Ok(())
}

/// What identifiers are made from that are made at an instant.
pub(crate) const fn seed_of(now: Timestamp) -> u64 {
    now.as_nanos().unsigned_abs()
}

/// An identifier in the form of a UUID of version 8 that differs between seeds and between names.
pub(crate) fn uuid(seed: u64, name: &str) -> String {
    let hash = xxh3_128_with_seed(name.as_bytes(), seed);
    let hash = hash & !(0xf_u128 << 76) & !(0x3_u128 << 62) | (0x8_u128 << 76) | (0x2_u128 << 62);
    let hex = format!("{hash:032x}");
    let mut text = String::with_capacity(36);
    for (position, digit) in hex.chars().enumerate() {
        if matches!(position, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

struct Declare<'a> {
    transaction: &'a Transaction<'a>,
    now: Timestamp,
    changed: Vec<String>,
    snapshot: Option<Ids>,
}

#[derive(Clone, Copy)]
struct Ids {
    snapshot: i64,
    schema_version: i64,
    next_catalog: i64,
    next_file: i64,
}

impl Declare<'_> {
    /// The snapshot of this change, begun when it is first needed.
    fn begin(&mut self) -> rusqlite::Result<Ids> {
        if let Some(ids) = self.snapshot {
            return Ok(ids);
        }
        let ids = self.transaction.query_row(
            "SELECT snapshot_id + 1, schema_version + 1, next_catalog_id, next_file_id FROM ducklake_snapshot
             ORDER BY snapshot_id DESC LIMIT 1",
            [],
            |row| {
                Ok(Ids {
                    snapshot: row.get(0)?,
                    schema_version: row.get(1)?,
                    next_catalog: row.get(2)?,
                    next_file: row.get(3)?,
                })
            },
        )?;
        self.snapshot = Some(ids);
        Ok(ids)
    }

    fn table(&mut self, table: TableId) -> rusqlite::Result<TableIds> {
        let known: Option<i64> = self
            .transaction
            .query_row(
                "SELECT table_id FROM ducklake_table WHERE table_name = ?1 AND end_snapshot IS NULL",
                [table.name()],
                |row| row.get(0),
            )
            .optional()?;
        let table_id = match known {
            Some(table_id) => table_id,
            None => self.create_table(table)?,
        };
        let mut columns: BTreeMap<String, i64> = BTreeMap::new();
        let mut statement = self.transaction.prepare_cached(
            "SELECT column_name, column_id FROM ducklake_column WHERE table_id = ?1 AND end_snapshot IS NULL",
        )?;
        for row in statement.query_map([table_id], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (name, column_id) = row?;
            columns.insert(name, column_id);
        }
        let mut next = columns.values().max().copied().unwrap_or(0) + 1;
        let mut column_ids = Vec::with_capacity(table.columns().len());
        for column in table.columns() {
            if let Some(column_id) = columns.get(column.name) {
                column_ids.push(*column_id);
                continue;
            }
            let ids = self.begin()?;
            self.transaction
                .prepare_cached(
                    "INSERT INTO ducklake_column(column_id, begin_snapshot, table_id, column_order, column_name,
                 column_type, default_value, nulls_allowed, default_value_type, default_value_dialect)
                 VALUES (?1, ?2, ?3, ?1, ?4, ?5, 'NULL', ?6, 'literal', 'duckdb')",
                )?
                .execute(params![
                    next,
                    ids.snapshot,
                    table_id,
                    column.name,
                    type_name(column.kind),
                    !column.required
                ])?;
            self.transaction
                .prepare_cached(
                    "INSERT INTO ducklake_table_column_stats(table_id, column_id, contains_null) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![table_id, next, !column.required])?;
            if known.is_some() {
                self.changed.push(format!("altered_table:{table_id}"));
            }
            column_ids.push(next);
            next += 1;
        }
        Ok(TableIds { table_id, column_ids })
    }

    fn create_table(&mut self, table: TableId) -> rusqlite::Result<i64> {
        let mut ids = self.begin()?;
        let table_id = ids.next_catalog;
        ids.next_catalog += 1;
        self.snapshot = Some(ids);
        self.transaction.execute(
            "INSERT INTO ducklake_table VALUES (?1, ?2, ?3, NULL, 0, ?4, ?5, 1)",
            params![
                table_id,
                uuid(seed_of(self.now), table.name()),
                ids.snapshot,
                table.name(),
                format!("{}/", table.name())
            ],
        )?;
        self.transaction.execute("INSERT INTO ducklake_table_stats VALUES (?1, 0, 0, 0)", [table_id])?;
        self.changed.push(format!("created_table:\"main\".\"{}\"", table.name()));
        self.transaction.execute(
            "INSERT INTO ducklake_schema_versions VALUES (?1, ?2, ?3)",
            [ids.snapshot, ids.schema_version, table_id],
        )?;
        Ok(table_id)
    }

    fn finish(mut self) -> rusqlite::Result<()> {
        let Some(ids) = self.snapshot else { return Ok(()) };
        self.transaction.execute(
            "INSERT INTO ducklake_snapshot VALUES (?1, ?2, ?3, ?4, ?5)",
            params![ids.snapshot, time_text(self.now), ids.schema_version, ids.next_catalog, ids.next_file],
        )?;
        self.changed.dedup();
        self.transaction.execute(
            "INSERT INTO ducklake_snapshot_changes(snapshot_id, changes_made) VALUES (?1, ?2)",
            params![ids.snapshot, self.changed.join(",")],
        )?;
        Ok(())
    }
}

/// Reads what the store needs to go on.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Loaded> {
    let state = |key: &str| -> rusqlite::Result<u64> {
        let value = connection.query_row("SELECT value FROM hindcast_state WHERE key = ?1", [key], |row| row.get(0));
        Ok(value.optional()?.unwrap_or(0))
    };
    let mut loaded = Loaded {
        oldest_needed: Lsn::new(state("oldest_needed")?.max(1)),
        last_lsn: Lsn::new(state("last_lsn")?),
        next_file_id: connection.query_row("SELECT MAX(next_file_id) FROM ducklake_snapshot", [], |row| row.get(0))?,
        ..Loaded::default()
    };
    loaded.is_alone = state("clickhouse_alone")? == 1;
    loaded.segments = segments(connection)?;
    let mut statement = connection.prepare("SELECT table_code, hour, lsn FROM hindcast_mark")?;
    let marks =
        statement.query_map([], |row| Ok((row.get::<_, u8>(0)?, Hour::new(row.get(1)?), Lsn::new(row.get(2)?))))?;
    for mark in marks {
        let (code, hour, lsn) = mark?;
        if let Some(table) = TableId::from_code(code) {
            loaded.marks.insert(PartitionKey { table, hour }, lsn);
        }
    }
    let mut statement = connection.prepare("SELECT data_file_id, is_done, block_rows, again FROM hindcast_shipment")?;
    let shipments = statement.query_map([], |row| {
        let begun = Begun { block_rows: row.get(2)?, again: row.get(3)? };
        Ok((SegmentId::new(row.get(0)?), Shipment::from_code(row.get(1)?, begun)))
    })?;
    loaded.shipments = shipments.collect::<rusqlite::Result<_>>()?;
    loaded.moved = moved::load(connection)?;
    Ok(loaded)
}

/// What is known of the columns of segments; nothing of those that the catalogue does not name.
pub(super) fn column_stats(
    transaction: &Transaction<'_>,
    tables: &Tables,
    ids: &[SegmentId],
) -> rusqlite::Result<BTreeMap<SegmentId, SegmentStats>> {
    let mut positions: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    for table in tables.values() {
        let columns = table.column_ids.iter().enumerate();
        positions.extend(columns.map(|(position, column_id)| ((table.table_id, *column_id), position)));
    }
    let mut statement = transaction.prepare_cached(
        "SELECT table_id, column_id, column_size_bytes, value_count, null_count, min_value, max_value
         FROM ducklake_file_column_stats WHERE data_file_id = ?1",
    )?;
    let mut found = BTreeMap::new();
    for id in ids {
        let rows = statement.query_map([id.get()], |row| {
            let Some(column) = positions.get(&(row.get(0)?, row.get(1)?)).copied() else { return Ok(None) };
            let (n_bytes, n_values, n_nulls) = (row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(Some(ColumnStats { column, n_bytes, n_values, n_nulls, min: row.get(5)?, max: row.get(6)? }))
        })?;
        found.insert(*id, rows.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?);
    }
    Ok(found)
}

/// The segments of the latest snapshot.
pub(crate) fn segments(connection: &Connection) -> rusqlite::Result<Vec<SegmentRow>> {
    let mut statement = connection.prepare(
        "SELECT d.data_file_id, s.table_code, s.hour, d.path, d.record_count, d.file_size_bytes, d.footer_size,
         s.min_time, s.max_time, s.last_lsn, t.path, s.checksum, s.has_minutes
         FROM ducklake_data_file d JOIN hindcast_segment s USING (data_file_id)
         JOIN ducklake_table t ON t.table_id = d.table_id AND t.end_snapshot IS NULL
         WHERE d.end_snapshot IS NULL ORDER BY d.data_file_id",
    )?;
    let rows = statement.query_map([], |row| {
        let Some(table) = TableId::from_code(row.get(1)?) else { return Ok(None) };
        Ok(Some(SegmentRow {
            id: SegmentId::new(row.get(0)?),
            key: PartitionKey { table, hour: Hour::new(row.get(2)?) },
            path: format!("{}{}", row.get::<_, String>(10)?, row.get::<_, String>(3)?),
            n_rows: row.get(4)?,
            n_bytes: row.get(5)?,
            footer_bytes: row.get(6)?,
            min_time: Timestamp::from_nanos(row.get(7)?),
            max_time: Timestamp::from_nanos(row.get(8)?),
            last_lsn: Lsn::new(row.get(9)?),
            checksum: row.get::<_, i64>(11)?.cast_unsigned(),
            has_minutes: row.get(12)?,
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}
