//! Which rows of a table are read in ClickHouse, and questions about them.
//!
//! A row is read there if its recorder is another one, or if its hour has left this store's lake. Of such an hour the
//! rows of segments that are still here, and of segments made after the snapshot, are left out: they are read here. So
//! every row is read once, whatever is being sent meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hindcast_model::tables::edges;
use hindcast_model::{TableId, TimeRange, Timestamp};

use super::rows::{RemoteRows, form};
use super::watch::Reached;
use super::{source_of, within};
use crate::catalog::MovedRows;
use crate::ids::{Hour, PartitionKey, SegmentId, time_column};
use crate::seal::rollup;

/// The server as of one snapshot.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// `None` if it did not answer when it was last asked.
    pub(crate) reached: Option<Arc<Reached>>,
    pub(crate) store: Arc<str>,
    pub(crate) moved: Arc<BTreeMap<PartitionKey, MovedRows>>,
    pub(crate) newest: SegmentId,
    /// Whether other stores send rows, as far as is known.
    pub(crate) may_have_others: bool,
}

/// Rows of one table in one range that are in ClickHouse and nowhere else.
#[derive(Clone, Debug)]
pub struct Remote {
    reached: Option<Arc<Reached>>,
    store: Arc<str>,
    table: TableId,
    range: TimeRange,
    /// What was asked for: rows beyond `range` were not there when it was looked.
    asked: TimeRange,
    /// Time of the first and of the last row that may be there.
    bounds: (Timestamp, Timestamp),
    has_others: bool,
    /// Whether rows of other stores are left out.
    only_own: bool,
    /// Hours of this store, joined where they follow each other, of which every row is there.
    whole: Vec<TimeRange>,
    /// Hours of this store of which some rows are here.
    mixed: Vec<Mixed>,
    newest: SegmentId,
}

/// An hour of which some rows are here.
#[derive(Clone, Debug)]
struct Mixed {
    hour: Hour,
    /// Segments that are read here.
    here: Vec<SegmentId>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// How it is worked out, in ClickHouse's SQL.
    pub expression: String,
    /// Its name; that of a column of the table where it has the column's type.
    pub name: String,
}

impl Column {
    /// A column of the table as it is.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self { expression: name.to_owned(), name: name.to_owned() }
    }
}

/// How many rows are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many, and all of the last one's time.
    pub n_rows: u64,
    /// Whether the newest are meant, or the oldest.
    pub is_newest: bool,
}

/// A question. Its texts are expressions in ClickHouse's SQL; whoever makes them quotes what users wrote.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// What is given of a row or group.
    pub columns: Vec<Column>,
    /// Which rows are meant.
    pub condition: Option<String>,
    /// What tells groups apart; nothing for rows.
    pub group_by: Vec<String>,
    /// In which order.
    pub order_by: Option<String>,
    /// How many, the first ones in the order.
    pub limit: Option<Limit>,
    /// How long the server may work on it.
    pub max_time: Duration,
    /// How much memory it may take there, in bytes.
    pub max_memory: u64,
}

impl View {
    /// Rows of a table in a range that are in ClickHouse only. `here` names the hours of a table of which some rows are
    /// in the snapshot, with the segments that hold them.
    pub(crate) fn remote(
        &self,
        table: TableId,
        range: TimeRange,
        here: impl Fn(PartitionKey) -> Option<Vec<SegmentId>>,
    ) -> Option<Remote> {
        if table == TableId::Ingested {
            return None;
        }
        let mut bounds = self.reached.as_ref().and_then(|reached| reached.bounds.get(&table)).copied();
        let has_others = bounds.is_some_and(|(first, last)| range.overlaps_inclusive(first, last));
        let (mut whole, mut mixed): (Vec<TimeRange>, Vec<Mixed>) = (Vec::new(), Vec::new());
        let source = source_of(PartitionKey { table, hour: Hour::new(0) }).table;
        let first = PartitionKey { table: source, hour: Hour::of(range.start()) };
        for (key, rows) in self.moved.range(first..).take_while(|(key, _)| key.table == source) {
            if key.hour.start() >= range.end() {
                break;
            }
            // Of a roll-up the bucket counts, which may begin before its first flow.
            let first = if table == source { rows.min_time } else { key.hour.start() };
            bounds = Some(bounds.map_or((first, rows.max_time), |(min, max)| (min.min(first), max.max(rows.max_time))));
            if let Some(here) = here(*key) {
                mixed.push(Mixed { hour: key.hour, here });
                continue;
            }
            let next = Hour::new(key.hour.get().saturating_add(1)).start();
            match whole.last_mut() {
                Some(last) if last.end() == key.hour.start() => {
                    *last = TimeRange::new(last.start(), next).unwrap_or(*last);
                }
                _ => whole.extend(TimeRange::new(key.hour.start(), next)),
            }
        }
        let bounds = bounds.filter(|_| has_others || !whole.is_empty() || !mixed.is_empty())?;
        let end = Timestamp::from_nanos(bounds.1.as_nanos().saturating_add(1));
        let asked = range;
        let range = TimeRange::new(range.start().max(bounds.0), range.end().min(end)).ok()?;
        Some(Remote {
            reached: self.reached.clone(),
            store: Arc::clone(&self.store),
            table,
            range,
            asked,
            bounds,
            has_others,
            only_own: false,
            whole,
            mixed,
            newest: self.newest,
        })
    }

    /// Whether rows may be missing, because the server or one of its shards does not answer.
    pub(crate) fn is_away(&self) -> bool {
        self.reached.as_ref().is_none_or(|reached| reached.n_away > 0)
    }
}

impl Remote {
    /// Where its rows lie, and none beyond.
    #[must_use]
    pub const fn range(&self) -> TimeRange {
        self.range
    }

    /// Time of the first and of the last row that may be there.
    #[must_use]
    pub const fn bounds(&self) -> (Timestamp, Timestamp) {
        self.bounds
    }

    /// The same rows, of a part of its range.
    #[must_use]
    pub fn within(&self, range: TimeRange) -> Self {
        let (start, end) = (self.range.start().max(range.start()), self.range.end().min(range.end()));
        let range = TimeRange::new(start, end.max(start)).unwrap_or(self.range);
        Self { range, asked: range, ..self.clone() }
    }

    /// The same rows without those of other stores; `None` if there are no others.
    #[must_use]
    pub fn own(self) -> Option<Self> {
        let has_own = !self.whole.is_empty() || !self.mixed.is_empty();
        has_own.then_some(Self { only_own: true, ..self })
    }

    /// Whether the server did not answer when it was last asked: then there is nothing to ask.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        self.reached.is_none()
    }

    /// Asks; `None` if the server is away.
    #[must_use]
    pub fn select(&self, select: &Select) -> Option<RemoteRows> {
        let reached = self.reached.as_ref()?;
        let mut settings = form();
        let seconds = select.max_time.as_secs_f64().clamp(0.1, 86_400.0 * 365.0);
        settings.push(("max_execution_time".to_owned(), format!("{seconds:.3}")));
        settings.push(("max_memory_usage".to_owned(), select.max_memory.to_string()));
        if reached.n_away > 0 {
            // It is said that they are missing.
            settings.push(("skip_unavailable_shards".to_owned(), "1".to_owned()));
        }
        Some(RemoteRows::ask(reached, self.table, self.statement(&reached.connection.asked, select), settings))
    }

    fn statement(&self, database: &str, select: &Select) -> String {
        let columns = select.columns.iter().map(|column| match column.expression == column.name {
            true => column.name.clone(),
            false => format!("{} AS {}", column.expression, column.name),
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let mut source = self.source(database);
        if let Some(condition) = &select.condition {
            let _infallible = write!(source, " AND ({condition})");
        }
        let mut statement = format!("SELECT {columns} FROM {source}");
        if let Some(limit) = select.limit {
            // The time alone is read first, and of the other columns what is needed: WITH TIES would read all of all.
            let time = time_column(self.table);
            let (bound, last, way) = if limit.is_newest { (">=", "min", " DESC") } else { ("<=", "max", "") };
            let _infallible = write!(
                statement,
                " AND {time} {bound} (SELECT {last}(last) FROM \
                 (SELECT {time} AS last FROM {source} ORDER BY {time}{way} LIMIT {}))",
                limit.n_rows
            );
        }
        if !select.group_by.is_empty() {
            let _infallible = write!(statement, " GROUP BY {}", select.group_by.join(", "));
        }
        if let Some(order) = &select.order_by {
            let _infallible = write!(statement, " ORDER BY {order}");
        }
        // An alias may have the name of a column: a condition means the column.
        statement.push_str(" SETTINGS prefer_column_name_to_alias = 1");
        statement
    }

    /// A source of rows and the condition that picks those that are meant.
    fn source(&self, database: &str) -> String {
        let table = self.table;
        let time = time_column(table);
        // A condition that leaves out nothing would still read every row's time. Of this store's own rows not all hours are
        // meant: there the range stands for them.
        let has_own = !self.whole.is_empty() || !self.mixed.is_empty();
        let within = conditions(time, if has_own { self.range } else { self.asked });
        if self.mixed.is_empty() || source_of(PartitionKey { table, hour: Hour::new(0) }).table == table {
            return format!("{database}.{table} WHERE {within} AND ({})", self.visible(time, true));
        }
        // A roll-up does not say which segment a sum comes from: in an hour of which some rows are here, the flows do.
        let names = edges::COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
        let width = if table == TableId::Edges1m { rollup::MINUTE_NS } else { rollup::HOUR_NS };
        let visible = self.visible(time, false);
        let mixed = self.mixed.iter().map(|mixed| self.mixed("time", mixed)).collect::<Vec<_>>().join(" OR ");
        let flows = format!(
            "{database}.flows WHERE {} AND ({mixed})",
            conditions("time", rollup::of_buckets(self.range, width))
        );
        let folded = hindcast_migrations::clickhouse::fold(&flows, width);
        format!(
            "(SELECT {names} FROM {database}.{table} WHERE {within} AND ({visible}) \
             UNION ALL SELECT {names} FROM ({folded})) WHERE 1"
        )
    }

    /// The condition of rows that are read there.
    fn visible(&self, time: &str, with_mixed: bool) -> String {
        let mut any = Vec::new();
        if self.has_others && !self.only_own {
            any.push(format!("segment_store != '{}'", self.store));
        }
        for range in &self.whole {
            if range.start() <= self.range.start() && self.range.end() <= range.end() {
                any.push(self.of_this_store("1"));
            } else if range.start() < self.range.end() && self.range.start() < range.end() {
                any.push(self.of_this_store(&conditions(time, *range)));
            }
        }
        if with_mixed {
            let mixed = self.mixed.iter().filter(|mixed| mixed.hour.overlaps(self.range));
            any.extend(mixed.map(|mixed| self.mixed(time, mixed)));
        }
        if any.is_empty() { "0".to_owned() } else { any.join(" OR ") }
    }

    fn of_this_store(&self, condition: &str) -> String {
        if self.has_others {
            return format!("(segment_store = '{}' AND {condition})", self.store);
        }
        format!("({condition})")
    }

    fn mixed(&self, time: &str, mixed: &Mixed) -> String {
        let hour = TimeRange::new(mixed.hour.start(), Hour::new(mixed.hour.get().saturating_add(1)).start());
        let mut condition = format!(
            "segment_store = '{}' AND {} AND segment <= {}",
            self.store,
            conditions(time, hour.unwrap_or(TimeRange::ALL)),
            self.newest.get()
        );
        if !mixed.here.is_empty() {
            let here = mixed.here.iter().map(|id| id.get().to_string()).collect::<Vec<_>>().join(", ");
            let _infallible = write!(condition, " AND segment NOT IN ({here})");
        }
        format!("({condition})")
    }
}

/// The condition of a time in a range.
fn conditions(time: &str, range: TimeRange) -> String {
    let last = match range.end() {
        Timestamp::MAX => Timestamp::MAX,
        end => Timestamp::from_nanos(end.as_nanos().saturating_sub(1)),
    };
    within(time, range.start(), last)
}
