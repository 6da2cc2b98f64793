//! ClickHouse, to which sealed rows are sent, each once.
//!
//! The lake in front is the spool: a segment is sealed here first, never changes, and is sent in blocks of rows in file
//! order, one insert at a time. Every row carries the name of this store and the number of its segment, so how much of
//! a segment has arrived can be asked at any time: after a crash on either side sending goes on behind it. An insert
//! that was answered by nobody is repeated with the same rows under the same deduplication token.

mod block;
pub(crate) mod keep;
pub(crate) mod recheck;
mod remote;
mod rows;
mod schema;
mod shards;
pub(crate) mod ship;
pub(crate) mod watch;

use std::time::Duration;

use bytes::Bytes;
use clickhouse::Client;
use hindcast_model::{Kind, TableId, Timestamp};

pub use keep::{KeepConfig, Unkept};
pub use remote::{Column, Limit, Remote, Select};
pub use rows::RemoteRows;
pub use schema::{Schema, SchemaError};

pub(crate) use remote::View;

use crate::config::ClickHouseConfig;
use crate::ids::{Hour, PartitionKey, time_column};
use crate::store::Shared;

/// The partition of sent rows that a partition is made of: that of the flows for a roll-up, else itself.
pub(crate) const fn source_of(key: PartitionKey) -> PartitionKey {
    match key.table {
        TableId::Edges1m | TableId::Edges1h => PartitionKey { table: TableId::Flows, hour: key.hour },
        _ => key,
    }
}

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClickHouseError {
    /// The password's file cannot be read.
    #[error("cannot read the password in {path}")]
    Password {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It did not answer, or said no.
    #[error("ClickHouse at {url} did not {action}")]
    Server {
        /// Its address.
        url: String,
        /// What was asked.
        action: &'static str,
        /// What it said.
        #[source]
        source: clickhouse::error::Error,
    },
}

impl ClickHouseError {
    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Password { .. } => Kind::Invalid,
            Self::Server { .. } => Kind::Unavailable,
        }
    }
}

/// A server and what it is asked with.
#[derive(Clone)]
pub(crate) struct Connection {
    client: Client,
    url: String,
    database: String,
    /// The database that questions about all rows go to.
    asked: String,
    /// The cluster whose shards hold them; empty for one server.
    shards: String,
    timeout: Duration,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("url", &self.url)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection as configured; nothing is asked yet.
    pub(crate) fn new(config: &ClickHouseConfig) -> Result<Self, ClickHouseError> {
        let path = &config.password_file;
        let password = match path.as_os_str().is_empty() {
            true => String::new(),
            false => std::fs::read_to_string(path)
                .map_err(|source| ClickHouseError::Password { path: path.clone(), source })?,
        };
        let mut client = Client::default().with_url(&config.url).with_user(&config.user);
        if !password.trim().is_empty() {
            client = client.with_password(password.trim());
        }
        let client = client
            // One insert, one block, written when it is answered.
            .with_setting("async_insert", "0")
            .with_product_info("hindcast", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            client,
            url: config.url.clone(),
            database: config.database.clone(),
            asked: shards::database(&config.database, &config.shards),
            shards: config.shards.clone(),
            timeout: config.timeout,
        })
    }

    fn failed(&self, action: &'static str) -> impl Fn(clickhouse::error::Error) -> ClickHouseError + '_ {
        move |source| ClickHouseError::Server { url: self.url.clone(), action, source }
    }

    async fn in_time<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = clickhouse::error::Result<T>>,
    ) -> Result<T, ClickHouseError> {
        let done = tokio::time::timeout(self.timeout, work).await;
        done.unwrap_or(Err(clickhouse::error::Error::TimedOut)).map_err(self.failed(action))
    }

    async fn execute(&self, action: &'static str, statement: &str) -> Result<(), ClickHouseError> {
        self.in_time(action, self.client.query_raw(statement).execute()).await
    }

    async fn number(&self, action: &'static str, query: &str) -> Result<u64, ClickHouseError> {
        self.in_time(action, self.client.query_raw(query).fetch_one::<u64>()).await
    }

    async fn rows<T>(&self, action: &'static str, query: &str) -> Result<Vec<T>, ClickHouseError>
    where
        T: clickhouse::RowOwned + clickhouse::RowRead,
    {
        self.in_time(action, self.client.query_raw(query).fetch_all::<T>()).await
    }

    /// Notes that rows of a store come here; once is enough, and more does no harm.
    async fn note_store(&self, store: &str) -> Result<(), ClickHouseError> {
        let database = &self.database;
        let statement = format!(
            "INSERT INTO {database}.stores (segment_store) SELECT '{store}' \
             WHERE NOT EXISTS (SELECT 1 FROM {database}.stores WHERE segment_store = '{store}')"
        );
        self.execute("note who sends rows", &statement).await
    }

    /// Inserts one block under a token; the same token is not inserted twice.
    async fn insert(
        &self,
        table: &str,
        columns: &[String],
        token: String,
        stream: Vec<Bytes>,
    ) -> Result<(), ClickHouseError> {
        let columns = columns.join(", ");
        let statement = format!("INSERT INTO {}.{table} ({columns}) FORMAT ArrowStream", self.database);
        let mut insert = self
            .client
            .insert_formatted_with(statement)
            .with_setting("insert_deduplication_token", token)
            // A block that was there already may not be in the roll-ups yet.
            .with_setting("deduplicate_blocks_in_dependent_materialized_views", "1")
            // One block, however large: it arrives whole or not at all.
            .with_setting("min_insert_block_size_rows", "4294967295")
            .with_setting("min_insert_block_size_bytes", "0")
            // What the views give is folded already: folding it once more on the way in finds nothing.
            .with_setting("optimize_on_insert", "0")
            .with_timeouts(Some(self.timeout), Some(self.timeout));
        for part in stream {
            insert.send(part).await.map_err(self.failed("take an insert"))?;
        }
        insert.end().await.map_err(self.failed("take an insert"))
    }
}

/// The condition of a time from one instant to another, both included.
///
/// The hour is said as well: keys begin with it and end with the time, and of two ways to use a key the server takes the
/// worse one.
fn within(time: &str, first: Timestamp, last: Timestamp) -> String {
    let mut all = Vec::new();
    for (sign, bound, is_open) in [(">=", first, first == Timestamp::MIN), ("<=", last, last == Timestamp::MAX)] {
        if !is_open {
            // The server, too, takes hours beyond its calendar for the first and the last one in it.
            let hour = (Hour::of(bound).start().as_nanos() / 1_000_000_000).clamp(0, i64::from(u32::MAX));
            all.push(format!("{time} {sign} fromUnixTimestamp64Nano({}, 'UTC')", bound.as_nanos()));
            all.push(format!("toStartOfHour({time}) {sign} toDateTime({hour}, 'UTC')"));
        }
    }
    if all.is_empty() { "1".to_owned() } else { all.join(" AND ") }
}

/// The tables that hold an hour: of flows their roll-ups too.
const fn tables_of(key: &PartitionKey) -> &[TableId] {
    match key.table {
        TableId::Flows => &[TableId::Flows, TableId::Edges1m, TableId::Edges1h],
        _ => std::slice::from_ref(&key.table),
    }
}

/// A table, and the condition of this store's rows of an hour in it.
fn hour_of(shared: &Shared, table: TableId, key: PartitionKey) -> String {
    let time = time_column(table);
    format!(
        "{}.{table} WHERE segment_store = '{}' AND {}",
        shared.config.clickhouse.database,
        shared.catalog.store_name(),
        within(time, key.hour.start(), key.hour.last()),
    )
}

/// Deletes this store's rows of an hour, which are in the lake.
pub(crate) async fn delete(shared: &Shared, key: PartitionKey) -> Result<(), ClickHouseError> {
    let connection = Connection::new(&shared.config.clickhouse)?;
    for table in tables_of(&key) {
        let statement = format!("DELETE FROM {}", hour_of(shared, *table, key));
        connection.execute("delete what is in the lake", &statement).await?;
    }
    Ok(())
}

/// What ClickHouse has of an hour of this store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) n_rows: u64,
    /// Whether roll-ups count the same rows, where there are any.
    pub(crate) is_rolled_up: bool,
}

/// Asks what it has of an hour of this store.
pub(crate) async fn held(shared: &Shared, key: PartitionKey) -> Result<Held, ClickHouseError> {
    let connection = Connection::new(&shared.config.clickhouse)?;
    let action = "say what it has of an hour";
    let query = format!("SELECT count() FROM {}", hour_of(shared, key.table, key));
    let n_rows = connection.number(action, &query).await?;
    let mut is_rolled_up = true;
    for table in tables_of(&key).iter().filter(|table| **table != key.table) {
        let query = format!("SELECT toUInt64(sum(rows)) FROM {}", hour_of(shared, *table, key));
        is_rolled_up &= connection.number(action, &query).await? == n_rows;
    }
    Ok(Held { n_rows, is_rolled_up })
}
