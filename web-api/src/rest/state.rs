//! `GET /api/v1/status`, `/sources` and `/tables`: the recorder itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hindcast_model::{ColumnKind, TableId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::columns::is_list;
use crate::doors::Doors;
use crate::intake::SourceStatus;
use crate::params::Params;
use crate::problem::Problem;
use crate::when;

/// No parameter at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParams {}

/// How the server fares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusDto {
    /// What the server calls itself.
    version: String,
    /// The server's present.
    #[schema(format = DateTime)]
    now: String,
    /// Since when it has been running.
    #[schema(format = DateTime)]
    started: String,
    /// Whether new work is welcome.
    is_ready: bool,
    /// Position of the latest append in the log.
    lsn: u64,
    /// Bytes of the log.
    log_bytes: u64,
    /// Files of the log.
    log_files: usize,
    /// Memory of rows that are not sealed yet, bytes.
    memory_bytes: usize,
    /// When the oldest row that is not sealed arrived.
    #[schema(format = DateTime)]
    oldest_unsealed_at: Option<String>,
    /// Why the last write of the log failed; null once one has succeeded.
    last_log_error: Option<String>,
    /// Why the last seal, compaction or retention failed; null once one has succeeded.
    last_seal_error: Option<String>,
    /// Why rows are not in ClickHouse yet; null once some were taken.
    last_clickhouse_error: Option<String>,
    /// Bytes of segments whose rows are not in ClickHouse yet; null where none is configured.
    clickhouse_backlog_bytes: Option<u64>,
    /// Shards of ClickHouse that do not answer, whose rows are missing in answers.
    clickhouse_shards_away: u64,
    /// Hours of which ClickHouse lacks rows that it had taken, where sending them again is no way.
    clickhouse_lacking: Vec<String>,
    /// Segments that are kept from ClickHouse until somebody acts, and why.
    clickhouse_set_aside: Vec<String>,
    /// How the lake fares that is shared with others; null where none is.
    lake: Option<LakeDto>,
    /// Files that the catalogue names and that are not there.
    missing_segments: Vec<String>,
    /// Damaged log files that were moved aside.
    quarantined: Vec<String>,
    /// Per table what it holds.
    tables: Vec<TableStatusDto>,
}

/// How a shared lake fares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LakeDto {
    /// Why its catalogue was last not reached, or refused; null once it has answered.
    last_error: Option<String>,
    /// Segments that came or left here and that its catalogue does not say yet.
    waiting_segments: usize,
    /// Who writes to it, as far as a server that only answers knows.
    recorders: Vec<RecorderDto>,
}

/// A recorder of a shared lake.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecorderDto {
    /// Its name.
    recorder: String,
    /// When it last said that it is there.
    #[schema(format = DateTime)]
    seen_at: String,
    /// What it had received until then can be read by all.
    #[schema(format = DateTime)]
    named_until: String,
}

/// What a table holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableStatusDto {
    /// The table.
    table: &'static str,
    /// Rows that this recorder recorded and holds, wherever they are.
    rows: u64,
    /// Those of them that are in ClickHouse only.
    moved_rows: u64,
    /// Rows in segments.
    segment_rows: u64,
    /// Bytes of segments.
    segment_bytes: u64,
    /// How many segments.
    segments: usize,
    /// Time of the first row, also of other recorders' rows in ClickHouse.
    #[schema(format = DateTime)]
    first: Option<String>,
    /// Time of the last row.
    #[schema(format = DateTime)]
    last: Option<String>,
}

/// Every source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourcesDto {
    /// The sources, by name.
    sources: Vec<SourceDto>,
}

/// How a source fares: `received = recorded + deduplicated + rejected + lost`, but for what is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceDto {
    /// A path or an address.
    name: String,
    /// Which wire.
    kind: String,
    /// connecting, reading, waiting, ended or failed.
    state: &'static str,
    /// More about the state.
    detail: Option<String>,
    /// Since when it has been in that state.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Events that arrived.
    received: u64,
    /// Events that are durable.
    recorded: u64,
    /// Events that were there already.
    deduplicated: u64,
    /// Events refused as invalid, by reason.
    rejected: Vec<CountDto>,
    /// Events gone against our will, by stage.
    lost: Vec<CountDto>,
    /// Time of the latest event.
    #[schema(format = DateTime)]
    last_event: Option<String>,
}

/// How many of something.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountDto {
    /// Of what.
    name: String,
    /// How many.
    count: u64,
}

/// Every table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TablesDto {
    /// The tables.
    tables: Vec<TableDto>,
}

/// A table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableDto {
    /// Its name.
    name: &'static str,
    /// Its columns, in order.
    columns: Vec<ColumnDto>,
}

/// A column.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ColumnDto {
    /// Its name.
    name: &'static str,
    /// Its SQL type.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Whether every row has a value.
    required: bool,
    /// Whether a value is a list of texts, which JSON rows show as an array.
    is_list: bool,
    /// What it holds, with units.
    doc: &'static str,
}

/// How the server fares.
#[utoipa::path(get, path = "/api/v1/status", tag = "state", responses(
    (status = 200, body = StatusDto),
    crate::openapi::Problems,
))]
pub(crate) async fn status(
    State(doors): State<Arc<Doors>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<StatusDto>, Problem> {
    let store = doors.engine.store().status();
    let tables = store.tables.iter().map(|table| TableStatusDto {
        table: table.table.name(),
        rows: table.stats.n_rows(),
        moved_rows: table.stats.moved_rows,
        segment_rows: table.stats.segment_rows,
        segment_bytes: table.stats.segment_bytes,
        segments: table.stats.n_segments,
        first: table.held.map(|(first, _)| when::format(first)),
        last: table.held.map(|(_, last)| when::format(last)),
    });
    Ok(Json(StatusDto {
        version: doors.version.clone(),
        now: when::format(doors.clock.now()),
        started: when::format(doors.started),
        is_ready: doors.is_ready(),
        lsn: store.lsn.get(),
        log_bytes: store.log_bytes,
        log_files: store.log_files,
        memory_bytes: store.memory_bytes,
        oldest_unsealed_at: store.oldest_unsealed_at.map(when::format),
        last_log_error: store.last_log_error.clone(),
        last_seal_error: store.last_seal_error.clone(),
        last_clickhouse_error: store.last_clickhouse_error.clone(),
        clickhouse_backlog_bytes: store.clickhouse_backlog_bytes,
        clickhouse_shards_away: store.clickhouse_shards_away,
        clickhouse_lacking: store.clickhouse_lacking.clone(),
        clickhouse_set_aside: store.clickhouse_set_aside.clone(),
        lake: store.lake.map(|lake| LakeDto {
            last_error: lake.last_error,
            waiting_segments: lake.n_waiting,
            recorders: lake
                .recorders
                .into_iter()
                .map(|recorder| RecorderDto {
                    recorder: recorder.recorder,
                    seen_at: when::format(recorder.seen_at),
                    named_until: when::format(recorder.named_until),
                })
                .collect(),
        }),
        missing_segments: store.missing_segments.clone(),
        quarantined: store.quarantined.clone(),
        tables: tables.collect(),
    }))
}

/// Where events come from, and how each source fares.
#[utoipa::path(get, path = "/api/v1/sources", tag = "state", responses(
    (status = 200, body = SourcesDto),
    crate::openapi::Problems,
))]
pub(crate) async fn sources(
    State(doors): State<Arc<Doors>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<SourcesDto>, Problem> {
    Ok(Json(SourcesDto { sources: doors.intake.sources().into_iter().map(SourceDto::from).collect() }))
}

/// The tables and their columns.
#[utoipa::path(get, path = "/api/v1/tables", tag = "state", responses(
    (status = 200, body = TablesDto),
    crate::openapi::Problems,
))]
pub(crate) async fn tables(Params(NoParams {}): Params<NoParams>) -> Result<Json<TablesDto>, Problem> {
    let tables = TableId::ALL.into_iter().map(|table| {
        let columns = table.columns().iter().map(|column| ColumnDto {
            name: column.name,
            kind: sql_type(column.kind),
            required: column.required,
            is_list: is_list(column.name),
            doc: column.doc.trim(),
        });
        TableDto { name: table.name(), columns: columns.collect() }
    });
    Ok(Json(TablesDto { tables: tables.collect() }))
}

impl From<SourceStatus> for SourceDto {
    fn from(source: SourceStatus) -> Self {
        let counts =
            |counts: Vec<(String, u64)>| counts.into_iter().map(|(name, count)| CountDto { name, count }).collect();
        Self {
            name: source.name,
            kind: source.kind,
            state: source.state.as_str(),
            detail: source.detail,
            since: source.since.map(when::format),
            received: source.received,
            recorded: source.recorded,
            deduplicated: source.deduplicated,
            rejected: counts(source.rejected),
            lost: counts(source.lost),
            last_event: source.last_event.map(|time: Timestamp| when::format(time)),
        }
    }
}

/// What SQL calls the type of a column.
const fn sql_type(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Time => "TIMESTAMP",
        ColumnKind::Bool => "BOOLEAN",
        ColumnKind::U8 => "TINYINT UNSIGNED",
        ColumnKind::U16 => "SMALLINT UNSIGNED",
        ColumnKind::U32 => "INTEGER UNSIGNED",
        ColumnKind::U64 => "BIGINT UNSIGNED",
        ColumnKind::I32 => "INTEGER",
        ColumnKind::I64 => "BIGINT",
        ColumnKind::Dict | ColumnKind::Text => "VARCHAR",
        ColumnKind::Bytes | ColumnKind::DictBytes => "VARBINARY",
    }
}
