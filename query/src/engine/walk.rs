//! One question, worked out: parts are opened in the order in which they begin, matching rows are kept as (time,
//! part, row), and as soon as enough of them come before everything that is still closed, just these rows are read.
//!
//! Nothing is ever sorted but what is kept, and with a number of rows asked for no more than about that many are.

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_storage::{Lsn, Segment, Snapshot};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use tokio::sync::mpsc;

use super::compact::compact;
use super::cursor::{row_ids, times};
use super::part::{Direction, Part, Queued, time_column};
use super::read::{Reader, SegmentReader, shape};
use super::statistics::{GroupStatistics, groups};
use super::stream::Sent;
use super::{Cursor, EventQuery, Order, Pick};
use crate::filter::{Evaluator, Filter, TextTest};
use crate::limits::Budget;
use crate::{Cut, CutReason, QueryError};

/// Rows that are read together.
const CHUNK_ROWS: usize = 32_768;
/// Rows of a batch of the answer.
const BATCH_ROWS: usize = 8_192;

type Sender = mpsc::Sender<Result<Sent, QueryError>>;

/// A row that matches and was not given yet.
#[derive(Clone, Copy, Debug)]
struct Match {
    rank: i64,
    part: u32,
    row: u32,
}

/// Which parts of a snapshot are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    /// Segments with rows of a later append.
    SegmentsAfter(Lsn),
}

impl Scope {
    fn has(self, segment: &Segment) -> bool {
        match self {
            Self::All => true,
            Self::SegmentsAfter(lsn) => segment.last_lsn > lsn,
        }
    }
}

/// The columns of an answer.
pub(super) fn answer_schema(query: &EventQuery) -> Result<SchemaRef, QueryError> {
    let nullable = |field: &Arc<arrow::datatypes::Field>| field.as_ref().clone().with_nullable(true);
    let table = query.table.schema();
    let Some(columns) = &query.columns else {
        return Ok(Arc::new(Schema::new(table.fields().iter().map(nullable).collect::<Vec<_>>())));
    };
    let fields = columns.iter().map(|name| {
        let found = table.fields().iter().find(|field| field.name() == name);
        found.map(nullable).ok_or_else(|| QueryError::Invalid(format!("{} have no column {name}", query.table)))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>, _>>()?)))
}

pub(super) struct Walk {
    table: TableId,
    time_column: &'static str,
    filter: Filter,
    evaluator: Evaluator,
    direction: Direction,
    /// The answer is the other way round than the walk.
    reversed: bool,
    range: TimeRange,
    after: Option<Cursor>,
    /// Rows still to be found; `None` for all.
    wanted: Option<u64>,
    budget: Budget,
    answer: SchemaRef,
    /// What is read of a row: the answer's columns, the time, and what its id needs.
    needed: SchemaRef,
    reader: Arc<Reader>,
    stop: Arc<AtomicBool>,
    queue: BinaryHeap<Queued>,
    opened: Vec<Part>,
    /// Ordered by rank.
    pending: Vec<Match>,
    held: Vec<RecordBatch>,
}

impl Walk {
    pub(super) fn new(
        snapshot: &Snapshot,
        scope: Scope,
        query: EventQuery,
        reader: Arc<Reader>,
        answer: SchemaRef,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let (direction, reversed, wanted) = match (query.pick, query.order) {
            (Pick::Newest(count), order) => (Direction::Backward, order == Order::Ascending, Some(count)),
            (Pick::Oldest(count), order) => (Direction::Forward, order == Order::Descending, Some(count)),
            (Pick::All, Order::Ascending) => (Direction::Forward, false, None),
            (Pick::All, Order::Descending) => (Direction::Backward, false, None),
        };
        let range = narrowed(query.range, query.after, direction);
        let time_column = time_column(query.table);
        let mut walk = Self {
            table: query.table,
            time_column,
            evaluator: Evaluator::new(query.filter.clone()),
            filter: query.filter,
            direction,
            reversed,
            range,
            after: query.after,
            wanted,
            budget: Budget::new(query.limits),
            needed: needed_schema(query.table, time_column, &answer),
            answer,
            reader,
            stop,
            queue: BinaryHeap::new(),
            opened: Vec::new(),
            pending: Vec::new(),
            held: Vec::new(),
        };
        for segment in snapshot.segments(query.table, range).into_iter().filter(|segment| scope.has(segment)) {
            let rank = direction.first_rank(segment.min_time.as_nanos(), segment.max_time.as_nanos());
            walk.queue.push(Queued { rank, part: Part::Segment(segment) });
        }
        let memory = if scope == Scope::All { snapshot.memory(query.table, range) } else { Vec::new() };
        for batch in memory {
            let rank = direction.first_rank(batch.min_time.as_nanos(), batch.max_time.as_nanos());
            walk.queue.push(Queued { rank, part: Part::Memory(batch.records) });
        }
        walk
    }

    /// Sends the answer; ends early when nobody reads it.
    pub(super) async fn run(mut self, sender: Sender) {
        let end = self.answer_into(&sender).await.map(|()| Sent::End);
        // A reader that left does not want to know.
        let _gone = sender.send(end).await;
    }

    async fn answer_into(&mut self, sender: &Sender) -> Result<(), QueryError> {
        let cut = loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.wanted == Some(0) {
                break None;
            }
            if self.budget.rows_left() == 0 {
                break self.is_there_more().await?.then(|| self.budget.cut(CutReason::Rows));
            }
            match self.find().await? {
                Found::Rows(n_rows) => {
                    let chunk = self.load(n_rows).await?;
                    if let Some(outcome) = self.give(&chunk, sender).await? {
                        break outcome;
                    }
                }
                Found::Cut(cut) => break Some(cut),
                Found::End => break None,
            }
        };
        self.give_held(sender).await?;
        if let Some(cut) = cut {
            send(sender, Sent::Cut(cut)).await;
        }
        Ok(())
    }

    /// Whether at least one more row matches.
    async fn is_there_more(&mut self) -> Result<bool, QueryError> {
        while self.pending.is_empty() {
            let Some(next) = self.queue.pop() else { return Ok(false) };
            if self.budget.over().is_some() {
                return Ok(true);
            }
            self.open(next.part, 1).await?;
        }
        Ok(true)
    }

    /// Opens parts until some rows are sure to be the next ones.
    async fn find(&mut self) -> Result<Found, QueryError> {
        loop {
            if let Some(cut) = self.budget.over() {
                return Ok(Found::Cut(cut));
            }
            let target = self.target();
            let frontier = self.queue.peek().map(|queued| queued.rank);
            let sure = frontier
                .map_or(self.pending.len(), |frontier| self.pending.partition_point(|found| found.rank < frontier));
            if sure >= target || (frontier.is_none() && sure > 0) {
                let n_rows = sure.min(target);
                // Rows of the same time belong together: only together can they be put in order.
                let last = self.pending.get(n_rows.saturating_sub(1)).map(|found| found.rank);
                let n_rows = self.pending.partition_point(|found| last.is_some_and(|last| found.rank <= last));
                return Ok(Found::Rows(n_rows));
            }
            if let Some(cut) = self.budget.holds(self.pending.len().saturating_mul(size_of::<Match>())) {
                return Ok(Found::Cut(cut));
            }
            let Some(next) = self.queue.pop() else { return Ok(Found::End) };
            self.open(next.part, target).await?;
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Found::End);
            }
        }
    }

    /// How many rows to find before any are read.
    fn target(&self) -> usize {
        let wanted = self.wanted.map_or(usize::MAX, |wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
        let left = usize::try_from(self.budget.rows_left()).unwrap_or(usize::MAX);
        // Rows at the cursor may turn out to lie before it.
        let cursor = self.after.map(|after| self.direction.rank(after.time.as_nanos()));
        let at_cursor = cursor.map_or(0, |rank| self.pending.partition_point(|found| found.rank <= rank));
        wanted.min(left).saturating_add(at_cursor).min(CHUNK_ROWS.saturating_add(at_cursor))
    }

    async fn open(&mut self, part: Part, target: usize) -> Result<(), QueryError> {
        match part {
            Part::Segment(segment) => self.open_segment(&segment).await,
            Part::Group(reader, group) => self.open_group(reader, group, target).await,
            Part::Memory(records) => {
                let found = self.matches(&records, None, target)?;
                self.keep(Part::Memory(records), found, target);
                Ok(())
            }
        }
    }

    /// Queues the row groups of a segment that may hold matches.
    async fn open_segment(&mut self, segment: &Arc<Segment>) -> Result<(), QueryError> {
        let reader = self.reader.open(segment).await?;
        for (group, min, max) in groups(&reader, self.table, self.time_column, self.range, &self.filter) {
            let rank = self.direction.first_rank(min, max);
            self.queue.push(Queued { rank, part: Part::Group(Arc::clone(&reader), group) });
        }
        Ok(())
    }

    async fn open_group(&mut self, reader: Arc<SegmentReader>, index: usize, target: usize) -> Result<(), QueryError> {
        let Some(group) = reader.group(index) else { return Ok(()) };
        let mut statistics = GroupStatistics { reader: &reader, group, table: self.table, blooms: HashMap::new() };
        for column in bloom_columns(&self.filter) {
            if let Some(bloom) = reader.bloom_filter(index, column).await? {
                statistics.blooms.insert(column, bloom);
            }
        }
        if !statistics.blooms.is_empty() && !self.filter.may_match(&statistics) {
            return Ok(());
        }
        drop(statistics);
        let selection = super::pages::select(&reader, index, self.table, &self.filter);
        if selection.as_ref().is_some_and(|selection| !selection.selects_any()) {
            return Ok(());
        }
        let rows = selection.as_ref().map(selected_rows);
        let columns = self.filter.columns();
        let columns = columns.iter().copied().chain([self.time_column]);
        let records = reader.read(index, columns, selection).await?;
        let found = self.matches(&records, rows.as_deref(), target)?;
        self.keep(Part::Group(reader, index), found, target);
        Ok(())
    }

    /// The ranks and rows of `records` that match. `rows` says which row of the part each row of `records` is.
    fn matches(
        &mut self,
        records: &RecordBatch,
        rows: Option<&[u32]>,
        target: usize,
    ) -> Result<Vec<(i64, u32)>, QueryError> {
        let times = times(records, self.time_column);
        // Rows behind those that are enough already need not be looked at.
        let last = self.pending.get(target.saturating_sub(1)).filter(|_| self.is_bounded()).map(|last| last.rank);
        let (start, end) = (self.range.start().as_nanos(), self.range.end().as_nanos());
        let direction = self.direction;
        let in_time = BooleanBuffer::collect_bool(times.len(), |row| {
            times.get(row).is_some_and(|time| {
                start <= *time && *time < end && last.is_none_or(|last| direction.rank(*time) <= last)
            })
        });
        let selected = self.evaluator.narrow(records, &in_time)?;
        let found = selected.set_indices().filter_map(|row| {
            let rank = direction.rank(*times.get(row)?);
            let row = match rows {
                None => u32::try_from(row).ok()?,
                Some(rows) => *rows.get(row)?,
            };
            Some((rank, row))
        });
        Ok(found.collect())
    }

    const fn is_bounded(&self) -> bool {
        self.wanted.is_some()
    }

    /// Adds matches to those that are kept; with a number of rows asked for, drops what lies behind.
    fn keep(&mut self, part: Part, mut found: Vec<(i64, u32)>, target: usize) {
        if found.is_empty() {
            return;
        }
        // Rows at the cursor may turn out to lie before it: they take no place.
        let cursor = self.after.map(|after| self.direction.rank(after.time.as_nanos()));
        let n_at_cursor = cursor.map_or(0, |cursor| found.iter().filter(|(rank, _)| *rank <= cursor).count());
        let target = target.saturating_add(n_at_cursor);
        if self.is_bounded() && found.len() > target && target > 0 {
            let (_, last, _) = found.select_nth_unstable(target - 1);
            let last = last.0;
            found.retain(|(rank, _)| *rank <= last);
        }
        let number = u32::try_from(self.opened.len()).unwrap_or(u32::MAX);
        self.opened.push(part);
        self.pending.extend(found.into_iter().map(|(rank, row)| Match { rank, part: number, row }));
        self.pending.sort_unstable_by_key(|found| (found.rank, found.part, found.row));
        if self.is_bounded()
            && let Some(last) = self.pending.get(target.saturating_sub(1)).map(|last| last.rank)
        {
            let n_kept = self.pending.partition_point(|found| found.rank <= last);
            self.pending.truncate(n_kept);
        }
    }

    /// Reads the first rows of those that are kept, in order.
    async fn load(&mut self, n_rows: usize) -> Result<RecordBatch, QueryError> {
        let chunk = self.pending.drain(..n_rows.min(self.pending.len())).collect::<Vec<_>>();
        let mut by_part: HashMap<u32, Vec<u32>> = HashMap::new();
        for found in &chunk {
            by_part.entry(found.part).or_default().push(found.row);
        }
        let mut batches = Vec::with_capacity(by_part.len());
        let mut slots: HashMap<u32, (usize, Option<Vec<u32>>)> = HashMap::new();
        for (part, mut rows) in by_part {
            rows.sort_unstable();
            let slot = batches.len();
            match usize::try_from(part).ok().and_then(|part| self.opened.get(part)) {
                Some(Part::Memory(records)) => {
                    batches.push(shape(records, &self.needed)?);
                    slots.insert(part, (slot, None));
                }
                Some(Part::Group(reader, group)) => {
                    let columns = self.needed.fields().iter().map(|field| field.name().as_str());
                    let records = reader.read(*group, columns, Some(selection_of(&rows))).await?;
                    batches.push(shape(&records, &self.needed)?);
                    slots.insert(part, (slot, Some(rows)));
                }
                Some(Part::Segment(_)) | None => {}
            }
        }
        let places = chunk.iter().filter_map(|found| {
            let (slot, rows) = slots.get(&found.part)?;
            let row = match rows {
                None => usize::try_from(found.row).ok()?,
                Some(rows) => rows.binary_search(&found.row).ok()?,
            };
            Some((*slot, row))
        });
        let places = places.collect::<Vec<_>>();
        let joined = interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &places)
            .and_then(|joined| compact(&joined))
            .map_err(QueryError::internal("put rows in order"))?;
        Ok(joined)
    }

    /// Gives rows, all of which come before everything else, in their final order. `Some` ends the walk.
    async fn give(&mut self, chunk: &RecordBatch, sender: &Sender) -> Result<Option<Option<Cut>>, QueryError> {
        let ids = row_ids(self.table, chunk);
        let times = times(chunk, self.time_column);
        let mut rows = times
            .iter()
            .zip(&ids)
            .zip(0_u32..)
            .map(|((time, id), row)| (self.direction.rank(*time), self.direction.id_rank(*id), row))
            .collect::<Vec<_>>();
        rows.sort_unstable();
        if let Some(after) = self.after {
            let cursor = (self.direction.rank(after.time.as_nanos()), self.direction.id_rank(after.id));
            rows.retain(|(rank, id, _)| (*rank, *id) > cursor);
        }
        let allowed = self.wanted.unwrap_or(u64::MAX).min(self.budget.rows_left());
        rows.truncate(usize::try_from(allowed).unwrap_or(usize::MAX));
        if let Some(wanted) = &mut self.wanted {
            *wanted = wanted.saturating_sub(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        }
        for batch in rows.chunks(BATCH_ROWS) {
            let order = batch.iter().map(|(_, _, row)| *row).collect::<UInt32Array>();
            let records =
                take_record_batch(chunk, &order).map_err(QueryError::internal("put rows of one time in order"))?;
            let cursor = batch.last().and_then(|(_, _, row)| {
                let row = usize::try_from(*row).ok()?;
                Some(Cursor { time: Timestamp::from_nanos(*times.get(row)?), id: *ids.get(row)? })
            });
            let records = shape(&records, &self.answer)?;
            let n_bytes = records.get_array_memory_size();
            let cut = self.budget.give(records.num_rows(), n_bytes);
            if self.reversed {
                self.held.push(records);
                self.after = cursor;
                let held = self.held.iter().map(RecordBatch::get_array_memory_size).sum();
                if let Some(cut) = cut.or_else(|| self.budget.holds(held)) {
                    return Ok(Some(Some(cut)));
                }
            } else if !send(sender, Sent::Rows(records, cursor)).await {
                return Ok(Some(None));
            } else if let Some(cut) = cut {
                return Ok(Some(Some(cut)));
            }
        }
        if !self.reversed {
            self.after = None;
        }
        Ok(None)
    }

    /// Gives what was held back to be turned round.
    async fn give_held(&mut self, sender: &Sender) -> Result<(), QueryError> {
        let cursor = self.after;
        for records in std::mem::take(&mut self.held).iter().rev() {
            let n_rows = u32::try_from(records.num_rows()).unwrap_or(u32::MAX);
            let order = (0..n_rows).rev().collect::<UInt32Array>();
            let turned = take_record_batch(records, &order).map_err(QueryError::internal("turn rows round"))?;
            if !send(sender, Sent::Rows(turned, cursor)).await {
                break;
            }
        }
        Ok(())
    }
}

/// What a search for the next rows came to.
enum Found {
    Rows(usize),
    Cut(Cut),
    End,
}

/// Sends a part of the answer; false if nobody reads it any more.
async fn send(sender: &Sender, sent: Sent) -> bool {
    sender.send(Ok(sent)).await.is_ok()
}

/// The range without what a cursor leaves behind.
fn narrowed(range: TimeRange, after: Option<Cursor>, direction: Direction) -> TimeRange {
    let Some(after) = after else { return range };
    let (start, end) = match direction {
        Direction::Forward => (range.start().max(after.time), range.end()),
        Direction::Backward => {
            let past = Timestamp::from_nanos(after.time.as_nanos().saturating_add(1));
            (range.start(), range.end().min(past))
        }
    };
    let empty = TimeRange::new(range.start(), range.start());
    TimeRange::new(start, end).or(empty).unwrap_or(range)
}

fn needed_schema(table: TableId, time_column: &str, answer: &SchemaRef) -> SchemaRef {
    let ids = hindcast_model::event_id::columns(table).unwrap_or_default();
    let all = table.schema();
    let fields = all.fields().iter().filter(|field| {
        let name = field.name().as_str();
        name == time_column || ids.contains(&name) || answer.column_with_name(name).is_some()
    });
    Arc::new(Schema::new(fields.map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>()))
}

/// Columns whose bloom filter could rule a row group out.
fn bloom_columns(filter: &Filter) -> Vec<&'static str> {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().flat_map(bloom_columns).collect(),
        Filter::Text { column, test: TextTest::OneOf(_) } => vec![column],
        _ => Vec::new(),
    }
}

/// A selection of some rows, given in ascending order.
fn selection_of(rows: &[u32]) -> RowSelection {
    let mut selectors: Vec<RowSelector> = Vec::new();
    let mut next = 0_usize;
    let mut run = 0_usize;
    for row in rows.iter().filter_map(|row| usize::try_from(*row).ok()) {
        if row == next {
            run += 1;
        } else {
            if run > 0 {
                selectors.push(RowSelector::select(run));
            }
            selectors.push(RowSelector::skip(row - next));
            run = 1;
        }
        next = row + 1;
    }
    if run > 0 {
        selectors.push(RowSelector::select(run));
    }
    RowSelection::from(selectors)
}

/// The rows of a selection.
fn selected_rows(selection: &RowSelection) -> Vec<u32> {
    let mut rows = Vec::new();
    let mut next = 0_u32;
    for selector in selection.iter() {
        let count = u32::try_from(selector.row_count).unwrap_or(0);
        if !selector.skip {
            rows.extend(next..next.saturating_add(count));
        }
        next = next.saturating_add(count);
    }
    rows
}
