//! The rows of one publication.

use std::collections::BTreeMap;

use hindcast_model::{TableId, Timestamp};
use tokio_postgres::{Error, Transaction};

use super::{File, Named, News};
use crate::catalog::{SegmentStats, Tables, time_text};
use crate::ids::{Hour, SegmentId, time_column};
use crate::segment::Segment;

/// Says who writes. Returns the store that has the recorder's name.
pub(super) async fn sign_in(transaction: &Transaction<'_>, recorder: &str, store: &str) -> Result<String, Error> {
    let statement = "INSERT INTO hindcast_recorder(recorder, store, seen_at, named_until)
                     VALUES ($1, $2, now(), to_timestamp(0)) ON CONFLICT DO NOTHING";
    transaction.execute(statement, &[&recorder, &store]).await?;
    let row = transaction.query_one("SELECT store FROM hindcast_recorder WHERE recorder = $1", &[&recorder]).await?;
    Ok(row.get(0))
}

/// Says that the recorder is there, and until when what it received is named.
pub(super) async fn sign(transaction: &Transaction<'_>, recorder: &str, until: Option<Timestamp>) -> Result<(), Error> {
    let statement = "UPDATE hindcast_recorder SET seen_at = now(),
                     named_until = COALESCE($2::text::timestamptz, named_until) WHERE recorder = $1";
    transaction.execute(statement, &[&recorder, &until.map(time_text)]).await.map(drop)
}

/// What the catalogue says of a recorder's segments.
pub(super) async fn named(transaction: &Transaction<'_>, recorder: &str) -> Result<Named, Error> {
    let statement = "SELECT s.segment, s.data_file_id, s.hour, f.end_snapshot IS NULL
                     FROM hindcast_segment s JOIN ducklake_data_file f USING (data_file_id) WHERE s.recorder = $1";
    let mut named = Named::default();
    for row in transaction.query(statement, &[&recorder]).await? {
        let id = SegmentId::new(row.get::<_, i64>(0).cast_unsigned());
        if row.get(3) {
            named.now.insert(id, File { id: row.get(1), hour: Hour::new(row.get(2)) });
        } else {
            named.before.insert(id);
        }
    }
    Ok(named)
}

/// A new snapshot in which segments come and go. The lock is held. Returns the numbers of those that came.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    tables: &Tables,
    recorder: &str,
    news: &News,
    stats: &BTreeMap<SegmentId, SegmentStats>,
) -> Result<BTreeMap<SegmentId, File>, Error> {
    let latest = "SELECT snapshot_id + 1, schema_version, next_catalog_id, next_file_id FROM ducklake_snapshot
                  ORDER BY snapshot_id DESC LIMIT 1";
    let row = transaction.query_one(latest, &[]).await?;
    let (snapshot, next_file): (i64, i64) = (row.get(0), row.get(3));
    let after = next_file + count(news.added.len());
    let insert = "INSERT INTO ducklake_snapshot VALUES ($1, $2::text::timestamptz, $3, $4, $5)";
    let (version, catalog): (i64, i64) = (row.get(1), row.get(2));
    transaction.execute(insert, &[&snapshot, &time_text(news.now), &version, &catalog, &after]).await?;
    let mut changes: Vec<String> = Vec::new();
    changes.extend(remove(transaction, news, snapshot).await?);
    let mut files = BTreeMap::new();
    let mut by_table: BTreeMap<TableId, Vec<(i64, &Segment)>> = BTreeMap::new();
    for (segment, id) in news.added.iter().zip(next_file..) {
        files.insert(segment.id, File { id, hour: segment.hour });
        by_table.entry(segment.table).or_default().push((id, segment));
    }
    for (table, segments) in by_table {
        let Some(ids) = tables.get(&table) else { continue };
        changes.push(format!("inserted_into_table:{}", ids.table_id));
        add_files(transaction, ids.table_id, &segments, snapshot, recorder).await?;
        add_segments(transaction, &segments, snapshot, recorder).await?;
        add_stats(transaction, ids, &segments, stats).await?;
        widen(transaction, table, ids, &segments).await?;
    }
    let insert = "INSERT INTO ducklake_snapshot_changes(snapshot_id, changes_made, author) VALUES ($1, $2, $3)";
    transaction.execute(insert, &[&snapshot, &changes.join(","), &recorder]).await?;
    Ok(files)
}

async fn remove(transaction: &Transaction<'_>, news: &News, snapshot: i64) -> Result<Vec<String>, Error> {
    if news.removed.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = news.removed.iter().map(|(_, file)| file.id).collect();
    let end = "UPDATE ducklake_data_file SET end_snapshot = $1 WHERE data_file_id = ANY($2) AND end_snapshot IS NULL
               RETURNING table_id, record_count, file_size_bytes";
    let mut gone: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for row in transaction.query(end, &[&snapshot, &ids]).await? {
        let of_table = gone.entry(row.get(0)).or_default();
        of_table.0 += row.get::<_, i64>(1);
        of_table.1 += row.get::<_, i64>(2);
    }
    let changed = "UPDATE hindcast_segment SET changed = $1 WHERE data_file_id = ANY($2)";
    transaction.execute(changed, &[&snapshot, &ids]).await?;
    let mut changes = Vec::new();
    for (table_id, (n_rows, n_bytes)) in gone {
        let stats = "UPDATE ducklake_table_stats SET record_count = record_count - $2,
                     file_size_bytes = file_size_bytes - $3 WHERE table_id = $1";
        transaction.execute(stats, &[&table_id, &n_rows, &n_bytes]).await?;
        changes.push(format!("deleted_from_table:{table_id}"));
    }
    Ok(changes)
}

async fn add_files(
    transaction: &Transaction<'_>,
    table_id: i64,
    segments: &[(i64, &Segment)],
    snapshot: i64,
    recorder: &str,
) -> Result<(), Error> {
    let n_rows: i64 = segments.iter().map(|(_, segment)| segment.n_rows.cast_signed()).sum();
    let n_bytes: i64 = segments.iter().map(|(_, segment)| segment.n_bytes.cast_signed()).sum();
    let stats = "UPDATE ducklake_table_stats SET record_count = record_count + $2, next_row_id = next_row_id + $2,
                 file_size_bytes = file_size_bytes + $3 WHERE table_id = $1 RETURNING next_row_id";
    let mut next_row: i64 = transaction.query_one(stats, &[&table_id, &n_rows, &n_bytes]).await?.get(0);
    next_row -= n_rows;
    let mut columns = Files::default();
    for (id, segment) in segments {
        columns.ids.push(*id);
        columns.paths.push(format!("{recorder}/{}", segment.path));
        columns.rows.push(segment.n_rows.cast_signed());
        columns.bytes.push(segment.n_bytes.cast_signed());
        columns.footers.push(segment.footer_bytes.cast_signed());
        columns.starts.push(next_row);
        next_row += segment.n_rows.cast_signed();
    }
    let insert = "INSERT INTO ducklake_data_file(data_file_id, table_id, begin_snapshot, path, path_is_relative,
                  file_format, record_count, file_size_bytes, footer_size, row_id_start)
                  SELECT id, $1, $2, path, true, 'parquet', rows, bytes, footer, start
                  FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
                  AS f(id, path, rows, bytes, footer, start)";
    let Files { ids, paths, rows, bytes, footers, starts } = &columns;
    transaction.execute(insert, &[&table_id, &snapshot, ids, paths, rows, bytes, footers, starts]).await.map(drop)
}

/// Columns of files that are written together.
#[derive(Default)]
struct Files {
    ids: Vec<i64>,
    paths: Vec<String>,
    rows: Vec<i64>,
    bytes: Vec<i64>,
    footers: Vec<i64>,
    starts: Vec<i64>,
}

async fn add_segments(
    transaction: &Transaction<'_>,
    segments: &[(i64, &Segment)],
    snapshot: i64,
    recorder: &str,
) -> Result<(), Error> {
    let of = |value: fn(&Segment) -> i64| segments.iter().map(|(_, segment)| value(segment)).collect::<Vec<i64>>();
    let ids: Vec<i64> = segments.iter().map(|(id, _)| *id).collect();
    let has_minutes: Vec<bool> = segments.iter().map(|(_, segment)| segment.has_minutes).collect();
    let insert = "INSERT INTO hindcast_segment(data_file_id, recorder, segment, table_code, hour, min_time, max_time,
                  has_minutes, changed)
                  SELECT id, $1, segment, code, hour, first, last, minutes, $2
                  FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                  $9::boolean[]) AS s(id, segment, code, hour, first, last, minutes)";
    let (numbers, codes) = (of(|segment| segment.id.get().cast_signed()), of(|segment| segment.table.code().into()));
    let (hours, first) = (of(|segment| segment.hour.get()), of(|segment| segment.min_time.as_nanos()));
    let last = of(|segment| segment.max_time.as_nanos());
    transaction
        .execute(insert, &[&recorder, &snapshot, &ids, &numbers, &codes, &hours, &first, &last, &has_minutes])
        .await
        .map(drop)
}

async fn add_stats(
    transaction: &Transaction<'_>,
    ids: &crate::catalog::TableIds,
    segments: &[(i64, &Segment)],
    stats: &BTreeMap<SegmentId, SegmentStats>,
) -> Result<(), Error> {
    let (mut files, mut columns, mut sizes, mut values, mut nulls) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut min, mut max): (Vec<Option<&str>>, Vec<Option<&str>>) = (vec![], vec![]);
    for (file, segment) in segments {
        for column in stats.get(&segment.id).into_iter().flatten() {
            let Some(column_id) = ids.column_ids.get(column.column) else { continue };
            files.push(*file);
            columns.push(*column_id);
            sizes.push(column.n_bytes.cast_signed());
            values.push(column.n_values.cast_signed());
            nulls.push(column.n_nulls.cast_signed());
            min.push(column.min.as_deref());
            max.push(column.max.as_deref());
        }
    }
    let insert = "INSERT INTO ducklake_file_column_stats(data_file_id, table_id, column_id, column_size_bytes,
                  value_count, null_count, min_value, max_value)
                  SELECT file, $1, col, size, n_values, n_nulls, least, most
                  FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[],
                  $8::text[]) AS s(file, col, size, n_values, n_nulls, least, most)";
    let table_id = &ids.table_id;
    transaction.execute(insert, &[table_id, &files, &columns, &sizes, &values, &nulls, &min, &max]).await.map(drop)
}

/// Table-wide bounds are kept for the column that partitions; columns without bounds are not pruned by table.
async fn widen(
    transaction: &Transaction<'_>,
    table: TableId,
    ids: &crate::catalog::TableIds,
    segments: &[(i64, &Segment)],
) -> Result<(), Error> {
    let position = table.columns().iter().position(|column| column.name == time_column(table));
    let Some(column_id) = position.and_then(|position| ids.column_ids.get(position)) else { return Ok(()) };
    let first = segments.iter().map(|(_, segment)| segment.min_time).min().map(time_text);
    let last = segments.iter().map(|(_, segment)| segment.max_time).max().map(time_text);
    let update = "UPDATE ducklake_table_column_stats SET
                  min_value = LEAST(COALESCE(min_value, $3) COLLATE \"C\", $3),
                  max_value = GREATEST(COALESCE(max_value, $4) COLLATE \"C\", $4)
                  WHERE table_id = $1 AND column_id = $2";
    transaction.execute(update, &[&ids.table_id, column_id, &first, &last]).await.map(drop)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
