//! What there is in ClickHouse beside this store's own rows, asked for again and again, so that a snapshot need not ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hindcast_model::{TableId, Timestamp, report};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::recheck::doubt_all;
use super::ship::SENT;
use super::{Connection, Schema, SchemaError, View, shards};
use crate::ids::time_column;
use crate::memory::State;
use crate::store::{Shared, blocking};

/// How often the server is asked.
const LOOK: Duration = Duration::from_secs(1);
/// How long opening a store waits for the server's first answer.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// What the server last said.
#[derive(Debug)]
pub(crate) struct Watched(Mutex<Said>);

#[derive(Debug)]
struct Said {
    reached: Option<Arc<Reached>>,
    /// Whether there was no other store when it last answered.
    is_alone: bool,
    /// When it started, in seconds.
    started: Option<i64>,
}

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) connection: Connection,
    /// Where work on the connection runs: it must outlive the question.
    pub(crate) runtime: Handle,
    /// Whether other stores send rows, or might.
    has_others: bool,
    /// Shards that do not answer.
    pub(crate) n_away: u64,
    /// When it started, in seconds, give or take one.
    started: i64,
    /// Time of the first and of the last row per table, of all stores. Empty where this store is the only one.
    pub(crate) bounds: BTreeMap<TableId, (Timestamp, Timestamp)>,
}

/// What is new in what it said.
#[derive(Clone, Copy, Debug)]
struct News {
    /// Whether there are other stores now, where that is new.
    is_alone: Option<bool>,
    /// Whether it has started since it last answered.
    has_started: bool,
}

impl Watched {
    /// Nothing was said yet; `is_alone` is remembered from before.
    pub(crate) fn new(is_alone: bool) -> Self {
        Self(Mutex::new(Said { reached: None, is_alone, started: None }))
    }

    /// The server as a snapshot sees it.
    pub(crate) fn view(&self, state: &State, store: &str) -> View {
        let said = self.0.lock();
        View {
            reached: said.reached.clone(),
            may_have_others: !said.is_alone,
            store: Arc::from(store),
            moved: Arc::clone(&state.moved),
            newest: state.newest,
        }
    }

    /// How many shards did not answer when it was last asked.
    pub(crate) fn n_away(&self) -> u64 {
        self.0.lock().reached.as_ref().map_or(0, |reached| reached.n_away)
    }

    /// Notes what it said.
    fn note(&self, reached: Option<Reached>) -> News {
        let mut said = self.0.lock();
        let started = reached.as_ref().map(|reached| reached.started);
        let has_started = started.is_some_and(|now| said.started.is_none_or(|before| now.abs_diff(before) > 1));
        if has_started {
            said.started = started;
        }
        let is_alone = reached.as_ref().map(|reached| !reached.has_others).filter(|now| *now != said.is_alone);
        said.is_alone = is_alone.unwrap_or(said.is_alone);
        said.reached = reached.map(Arc::new);
        News { is_alone, has_started }
    }
}

/// Asks once, for whoever opens a store: what is there is known from the first question on.
pub(crate) async fn first_look(shared: &Arc<Shared>) {
    let looked = tokio::time::timeout(FIRST_LOOK, look(shared, None)).await;
    match looked {
        Ok(Ok(reached)) => note(shared, reached).await,
        Ok(Err(error)) => tracing::warn!(error = report(&error), "rows in ClickHouse are out of reach"),
        Err(_elapsed) => tracing::warn!("ClickHouse does not answer: rows there are out of reach"),
    }
}

/// Asks until cancelled.
pub(crate) async fn watch_loop(shared: Arc<Shared>, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let before = shared.clickhouse.0.lock().reached.clone();
        let known = before.as_ref().map(|reached| reached.connection.clone());
        // Losing arm: asking changes nothing.
        let looked = tokio::select! {
            () = cancel.cancelled() => return,
            looked = look(&shared, known) => looked,
        };
        match looked {
            Ok(reached) => note(&shared, reached).await,
            Err(error) => {
                if before.is_some() {
                    tracing::warn!(error = report(&error), "rows in ClickHouse are out of reach");
                }
                let _unchanged = shared.clickhouse.note(None);
            }
        }
    }
}

/// Notes an answer, and in the catalogue whether there are other stores: that is asked when the server is away.
async fn note(shared: &Arc<Shared>, reached: Reached) {
    let n_away = reached.n_away;
    shared.metrics.shards_away.set(i64::try_from(n_away).unwrap_or(i64::MAX));
    if n_away > 0 && n_away != shared.clickhouse.n_away() {
        tracing::warn!(n_away, "shards of ClickHouse do not answer: their rows are out of reach");
    }
    let News { is_alone, has_started } = shared.clickhouse.note(Some(reached));
    if has_started {
        doubt_all(shared);
    }
    let Some(is_alone) = is_alone else { return };
    let worker = Arc::clone(shared);
    if let Err(error) = blocking(move || worker.catalog.note_alone(is_alone)).await {
        tracing::warn!(error = report(&error), "cannot remember whether other stores send rows");
    }
}

async fn look(shared: &Shared, known: Option<Connection>) -> Result<Reached, SchemaError> {
    let connection = match known {
        Some(connection) => connection,
        None => {
            let schema = Schema::of(&shared.config)?;
            schema.check().await?;
            schema.check_spread().await?;
            Connection::new(&shared.config.clickhouse)?
        }
    };
    let n_away = shards::n_away(&connection, &connection.shards).await?;
    let skip = if n_away > 0 { " SETTINGS skip_unavailable_shards = 1" } else { "" };
    let database = &connection.asked;
    let store = shared.catalog.store_name();
    let others = format!("SELECT count() FROM {database}.stores WHERE segment_store != '{store}'{skip}");
    let n_others = connection.number("say which stores send rows", &others).await?;
    let started = "SELECT toUInt64(toUnixTimestamp(now()) - uptime())";
    let started = connection.number("say when it started", started).await?;
    let started = i64::try_from(started).unwrap_or(i64::MAX);
    let mut bounds = BTreeMap::new();
    let has_others = n_others > 0 || n_away > 0;
    if has_others {
        for (name, first, last) in
            connection.rows::<(String, i64, i64)>("say what it holds", &(bounds_of_all(database) + skip)).await?
        {
            if let Some(table) = TableId::parse(&name) {
                bounds.insert(table, (Timestamp::from_nanos(first), Timestamp::from_nanos(last)));
            }
        }
    }
    Ok(Reached { connection, runtime: Handle::current(), has_others, n_away, started, bounds })
}

/// Bounds of every table that has rows; the server keeps them per part.
fn bounds_of_all(database: &str) -> String {
    let tables = SENT.into_iter().chain([TableId::Edges1m, TableId::Edges1h]);
    let questions = tables.map(|table| {
        let time = time_column(table);
        format!(
            "SELECT '{table}' AS name, toUnixTimestamp64Nano(min({time})) AS first, \
             toUnixTimestamp64Nano(max({time})) AS last FROM {database}.{table} HAVING count() > 0"
        )
    });
    questions.collect::<Vec<_>>().join(" UNION ALL ")
}
