//! Counts: in all, over time, by value.

use std::collections::HashMap;
use std::time::Duration;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::UInt64Type;
use hindcast_model::{TableId, TimeRange, Timestamp};

use super::cover::{Needs, rolls_up, scans};
use super::values::numbered;
use super::{Accumulator, Scan, cut_rows, fold, held};
use crate::engine::{Sealed, time_column, times};
use crate::filter::{Filter, TextTest};
use crate::remote::{Aggregate, Grouping, ROWS};
use crate::{Cut, Engine, Limits, QueryError};

/// Most buckets of a histogram.
const MAX_BUCKETS: usize = 10_000;
/// Columns that say how many a row stands for.
const WEIGHTS: [&str; 3] = ["flow_count", "flows", "rows"];
/// Memory taken by one counted value beside its text and buckets, about, in bytes.
const VALUE_BYTES: usize = 96;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Rows.
    Rows,
    /// Flows: a row of an aggregating exporter counts as many as it stands for. Rows in other tables.
    Flows,
}

/// Counts over time.
#[derive(Clone, Debug)]
pub struct HistogramQuery {
    /// The table.
    pub table: TableId,
    /// Which rows are counted.
    pub filter: Filter,
    /// From when up to when.
    pub range: TimeRange,
    /// How many buckets the range is to be divided into, about.
    pub buckets: Bucketed,
    /// A series for each value of this column.
    pub by: Option<&'static str>,
    /// What is counted.
    pub weight: Weight,
    /// What the answer may take.
    pub limits: Limits,
}

/// How a range is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucketed {
    /// Into about so many buckets of a round width that begin at round times.
    About(usize),
    /// Into buckets of this width that begin at multiples of it.
    Width(Duration),
}

/// Counts over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Start of the first bucket.
    pub start: Timestamp,
    /// Width of every bucket.
    pub width: Duration,
    /// The greatest series first.
    pub series: Vec<Series>,
    /// Whether something was left out.
    pub cut: Option<Cut>,
}

/// The counts of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The value; `None` where there is none, or where no column was asked for.
    pub value: Option<String>,
    /// One count for each bucket.
    pub counts: Vec<u64>,
}

/// The commonest values of a column.
#[derive(Clone, Debug)]
pub struct TopQuery {
    /// The table.
    pub table: TableId,
    /// The column.
    pub column: &'static str,
    /// Which rows are counted.
    pub filter: Filter,
    /// From when up to when.
    pub range: TimeRange,
    /// How many values are given.
    pub count: usize,
    /// What is counted.
    pub weight: Weight,
    /// What the answer may take.
    pub limits: Limits,
}

/// Values and how often they occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The commonest first; equal ones in order of their text.
    pub values: Vec<CountedValue>,
    /// How many rows or flows there are in all.
    pub total: u64,
    /// How many different values there are in all.
    pub n_values: usize,
    /// Whether something was left out.
    pub cut: Option<Cut>,
}

/// A value and how often it occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedValue {
    /// The value; `None` for rows without one.
    pub value: Option<String>,
    /// How often.
    pub count: u64,
}

/// Counts by value and bucket.
struct Tally {
    start: i64,
    width: i64,
    n_buckets: usize,
    by: Option<&'static str>,
    /// The column with the weight of a row, per scan.
    weights: Vec<Option<&'static str>>,
    times: Vec<&'static str>,
    counts: HashMap<Option<String>, Vec<u64>>,
    n_bytes: usize,
}

impl Accumulator for Tally {
    fn add(&mut self, scan: usize, records: &RecordBatch, selected: &BooleanBuffer) -> Result<(), QueryError> {
        let array = self.by.map(|column| records.column_by_name(column));
        let values = numbered(array.flatten(), records.num_rows())?;
        // A row that stands for several says how many.
        let weight = self.weights.get(scan).copied().flatten().unwrap_or(ROWS);
        let weight = records.column_by_name(weight);
        let weight = weight.and_then(|array| array.as_primitive_opt::<UInt64Type>());
        let times = self.times.get(scan).map_or(&[][..], |name| times(records, name));
        let mut counts = vec![0_u64; values.names.len() * self.n_buckets];
        for row in selected.set_indices() {
            let bucket = match times.get(row) {
                Some(time) if self.n_buckets > 1 => {
                    let bucket = (i128::from(*time) - i128::from(self.start)).div_euclid(i128::from(self.width));
                    usize::try_from(bucket).unwrap_or(usize::MAX)
                }
                _ => 0,
            };
            let Some(value) = values.of_row.get(row).filter(|_| bucket < self.n_buckets) else { continue };
            let more = weight.filter(|array| array.is_valid(row)).map_or(1, |array| array.value(row));
            if let Some(count) = counts.get_mut(value * self.n_buckets + bucket) {
                *count = count.saturating_add(more);
            }
        }
        for (name, counts) in values.names.into_iter().zip(counts.chunks(self.n_buckets.max(1))) {
            if counts.iter().any(|count| *count > 0) {
                self.put(name, counts);
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for (name, counts) in other.counts {
            self.put(name, &counts);
        }
    }

    fn size(&self) -> usize {
        self.n_bytes
    }
}

impl Tally {
    fn put(&mut self, name: Option<String>, counts: &[u64]) {
        let n_bytes = VALUE_BYTES + name.as_ref().map_or(0, String::len) + size_of_val(counts);
        let total = self.counts.entry(name).or_insert_with(|| {
            self.n_bytes += n_bytes;
            vec![0; counts.len()]
        });
        for (total, more) in total.iter_mut().zip(counts) {
            *total = total.saturating_add(*more);
        }
    }
}

impl Engine {
    /// How many rows or flows match.
    ///
    /// # Errors
    /// The filter does not fit the table, or a part of the store cannot be read.
    pub async fn count(
        &self,
        table: TableId,
        filter: Filter,
        range: TimeRange,
        weight: Weight,
        limits: Limits,
    ) -> Result<(u64, Option<Cut>), QueryError> {
        let (tally, cut) = self.tally(table, filter, range, None, weight, (0, i64::MAX, 1), limits).await?;
        let total = tally.counts.values().flatten().fold(0_u64, |sum, count| sum.saturating_add(*count));
        Ok((total, cut))
    }

    /// Counts over time.
    ///
    /// # Errors
    /// As [`Engine::count`]; the range has no ends and the table no rows, or the buckets would be too many.
    pub async fn histogram(&self, query: HistogramQuery) -> Result<Histogram, QueryError> {
        let snapshot = self.store().snapshot();
        let range = if query.range.start() == Timestamp::MIN || query.range.end() == Timestamp::MAX {
            match held(&snapshot, &[query.table], query.range) {
                Some(range) => range,
                None => {
                    let start = Timestamp::from_nanos(0);
                    return Ok(Histogram { start, width: Duration::ZERO, series: Vec::new(), cut: None });
                }
            }
        } else {
            query.range
        };
        let width = match query.buckets {
            Bucketed::About(count) => round_width(range, count),
            Bucketed::Width(width) => i64::try_from(width.as_nanos()).unwrap_or(i64::MAX).max(1),
        };
        let start = range.start().bucket(width).as_nanos();
        let span = i128::from(range.end().as_nanos()) - i128::from(start);
        let n_buckets = usize::try_from((span + i128::from(width) - 1) / i128::from(width)).unwrap_or(usize::MAX);
        if n_buckets > MAX_BUCKETS {
            return Err(QueryError::Invalid(format!("a histogram of {n_buckets} buckets: {MAX_BUCKETS} are the most")));
        }
        let n_buckets = n_buckets.max(1);
        let (tally, cut) = self
            .tally(query.table, query.filter, range, query.by, query.weight, (start, width, n_buckets), query.limits)
            .await?;
        let mut series = tally.counts.into_iter().map(|(value, counts)| Series { value, counts }).collect::<Vec<_>>();
        series.sort_by_cached_key(|series| {
            let total = series.counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
            (std::cmp::Reverse(total), series.value.clone())
        });
        if series.is_empty() && query.by.is_none() {
            series.push(Series { value: None, counts: vec![0; n_buckets] });
        }
        let width = Duration::from_nanos(u64::try_from(width).unwrap_or(1));
        Ok(Histogram { start: Timestamp::from_nanos(start), width, series, cut })
    }

    /// The commonest values of a column.
    ///
    /// # Errors
    /// As [`Engine::count`].
    pub async fn top(&self, query: TopQuery) -> Result<Counts, QueryError> {
        let known = query.table.columns().iter().any(|column| column.name == query.column);
        if !known {
            return Err(QueryError::Invalid(format!("{} have no column {}", query.table, query.column)));
        }
        let whole = (0, i64::MAX, 1);
        let (tally, cut) = self
            .tally(query.table, query.filter, query.range, Some(query.column), query.weight, whole, query.limits)
            .await?;
        let mut values = tally
            .counts
            .into_iter()
            .map(|(value, counts)| CountedValue { value, count: counts.first().copied().unwrap_or(0) })
            .collect::<Vec<_>>();
        let total = values.iter().fold(0_u64, |sum, value| sum.saturating_add(value.count));
        let n_values = values.len();
        values.sort_unstable_by(|one, other| other.count.cmp(&one.count).then_with(|| one.value.cmp(&other.value)));
        values.truncate(query.count);
        Ok(Counts { values, total, n_values, cut })
    }

    /// Values of a column that start with `prefix`, the commonest first: for completion while somebody types.
    ///
    /// # Errors
    /// As [`Engine::count`].
    pub async fn suggest(
        &self,
        table: TableId,
        column: &'static str,
        prefix: &str,
        count: usize,
        range: TimeRange,
        limits: Limits,
    ) -> Result<Counts, QueryError> {
        let filter = if prefix.is_empty() {
            Filter::present(column)
        } else {
            Filter::Text { column, test: TextTest::Prefix(prefix.to_owned()) }
        };
        let filter = if is_text(table, column) { filter } else { Filter::True };
        self.top(TopQuery { table, column, filter, range, count, weight: Weight::Flows, limits }).await
    }

    /// The different values of a column that start with `prefix`, in order, at most `count`.
    ///
    /// # Errors
    /// As [`Engine::count`].
    pub async fn distinct(
        &self,
        table: TableId,
        column: &'static str,
        prefix: &str,
        count: usize,
        range: TimeRange,
        limits: Limits,
    ) -> Result<(Vec<String>, Option<Cut>), QueryError> {
        let found = self.suggest(table, column, prefix, usize::MAX, range, limits).await?;
        let mut values = found.values.into_iter().filter_map(|value| value.value).collect::<Vec<_>>();
        values.sort_unstable();
        let is_cut = values.len() > count;
        values.truncate(count);
        let cut = found.cut.or_else(|| is_cut.then(|| cut_rows(u64::try_from(count).unwrap_or(u64::MAX))));
        Ok((values, cut))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of three questions; private")]
    async fn tally(
        &self,
        table: TableId,
        filter: Filter,
        range: TimeRange,
        by: Option<&'static str>,
        weight: Weight,
        (start, width, n_buckets): (i64, i64, usize),
        limits: Limits,
    ) -> Result<(Tally, Option<Cut>), QueryError> {
        let snapshot = self.store().snapshot();
        let by_column = by.into_iter().collect::<Vec<_>>();
        let weigh = |table: TableId| match (table, weight) {
            (TableId::Flows, Weight::Flows) => Some("flow_count"),
            (TableId::Edges1m | TableId::Edges1h, Weight::Flows) => Some("flows"),
            (TableId::Edges1m | TableId::Edges1h, Weight::Rows) => Some("rows"),
            _ => None,
        };
        let bucketed_by = |table: TableId| (n_buckets > 1).then(|| time_column(table));
        let columns = |table: TableId| {
            by_column.iter().copied().chain(weigh(table)).chain(bucketed_by(table)).collect::<Vec<_>>()
        };
        let grouping = Grouping {
            aggregates: WEIGHTS.map(|weight| (weight, Aggregate::Sum)).into(),
            bucket: (n_buckets > 1).then_some((start, width)),
        };
        // What is counted by comes as it is.
        let raw_grouping =
            Some(grouping.clone()).filter(|grouping| !grouping.touches(table, &by.into_iter().collect()));
        let scans = if table == TableId::Flows && rolls_up(&filter, &by_column) {
            let (raw, rolled) = (columns(TableId::Flows), columns(TableId::Edges1m));
            let bucket = (n_buckets > 1).then_some(width);
            let needs = Needs { raw: &raw, rolled: &rolled, raw_grouping, rolled_grouping: grouping };
            scans(&snapshot, range, &filter, &needs, bucket)
        } else {
            // Asked for as a table of its own, a roll-up's rows are rows.
            let (columns, sealed, grouping) = (columns(table), Sealed::All, raw_grouping);
            vec![Scan { table, range, filter, columns, sealed, unsealed: true, grouping }]
        };
        let rows_only =
            |scan: &Scan| if scan.table == table && table != TableId::Flows { None } else { weigh(scan.table) };
        let weights = scans.iter().map(rows_only).collect::<Vec<_>>();
        let times = scans.iter().map(|scan| time_column(scan.table)).collect::<Vec<_>>();
        let make = move || Tally {
            start,
            width,
            n_buckets,
            by,
            weights: weights.clone(),
            times: times.clone(),
            counts: HashMap::new(),
            n_bytes: 0,
        };
        fold(self, snapshot, scans, limits, make).await
    }
}

fn is_text(table: TableId, column: &str) -> bool {
    use hindcast_model::ColumnKind;
    let found = table.columns().iter().find(|known| known.name == column);
    found.is_some_and(|known| matches!(known.kind, ColumnKind::Dict | ColumnKind::Text))
}

/// A width from a list people like to read.
fn round_width(range: TimeRange, count: usize) -> i64 {
    const SECOND: i64 = 1_000_000_000;
    const WIDTHS: [i64; 20] = [
        1_000_000,
        10_000_000,
        100_000_000,
        SECOND,
        5 * SECOND,
        10 * SECOND,
        15 * SECOND,
        30 * SECOND,
        60 * SECOND,
        120 * SECOND,
        300 * SECOND,
        600 * SECOND,
        900 * SECOND,
        1_800 * SECOND,
        3_600 * SECOND,
        7_200 * SECOND,
        10_800 * SECOND,
        21_600 * SECOND,
        43_200 * SECOND,
        86_400 * SECOND,
    ];
    let span = i128::from(range.end().as_nanos()) - i128::from(range.start().as_nanos());
    let count = i128::try_from(count.clamp(1, MAX_BUCKETS)).unwrap_or(1);
    let least = span / count;
    let found = WIDTHS.into_iter().find(|width| i128::from(*width) >= least);
    found.unwrap_or_else(|| {
        let days = least / i128::from(86_400 * SECOND) + 1;
        i64::try_from(days * i128::from(86_400 * SECOND)).unwrap_or(i64::MAX)
    })
}
