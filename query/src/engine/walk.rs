//! One question, worked out: parts are opened in the order in which they begin, matching rows are kept as (time,
//! part, row), and as soon as enough of them come before everything that is still closed, just these rows are read.
//!
//! Nothing is ever sorted but what is kept, and with a number of rows asked for no more than about that many are.

mod remote;

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_storage::{Lsn, Segment, Snapshot};
use tokio::sync::mpsc;

use super::candidates::{Candidates, candidates, selection_of};
use super::compact::compact;
use super::cursor::{inside, row_ids, times};
use super::first::First;
use super::part::{Direction, Part, Queued, time_column};
use super::read::{Reader, SegmentReader, shape, shape_of};
use super::side_by_side;
use super::statistics::groups;
use super::stream::Sent;
use super::{Cursor, EventQuery, Order, Pick};
use crate::filter::{Evaluator, Filter};
use crate::limits::Budget;
use crate::remote::Span;
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
    opened: HashMap<u32, Part>,
    n_opened: u32,
    /// Ordered by rank.
    pending: Vec<Match>,
    held: Vec<RecordBatch>,
    /// Whether rows may be missing because ClickHouse does not answer.
    is_away: bool,
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
            opened: HashMap::new(),
            n_opened: 0,
            pending: Vec::new(),
            held: Vec::new(),
            is_away: scope == Scope::All && snapshot.is_remote_away(query.table, range),
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
        if scope == Scope::All
            && let Some(remote) = snapshot.remote(query.table, range).filter(|remote| !remote.is_away())
        {
            walk.queue_span(Span::new(remote));
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
        if let Some(cut) = cut.or_else(|| self.is_away.then(|| self.budget.cut(CutReason::Away))) {
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
            self.open(next, 1).await?;
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
            self.open(next, target).await?;
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

    /// Opens a part, no row of which comes before `rank`.
    async fn open(&mut self, Queued { rank, part }: Queued, target: usize) -> Result<(), QueryError> {
        match part {
            Part::Segment(segment) => self.open_segment(&segment).await,
            Part::Group(reader, group) => self.open_groups((reader, group), target).await,
            Part::Memory(records) => {
                let found = self.matches(&records, target, |row| u32::try_from(row).ok())?;
                self.keep(Part::Memory(records), found, target);
                Ok(())
            }
            Part::Remote(span) => {
                self.open_span(span, target);
                Ok(())
            }
            Part::Window(window) => self.open_window(rank, window, target).await,
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

    /// Opens a row group. What a filter leaves of it may be little, so the next ones are opened beside it.
    async fn open_groups(&mut self, first: (Arc<SegmentReader>, usize), target: usize) -> Result<(), QueryError> {
        let mut groups = vec![first];
        while !self.filter.is_true()
            && groups.len() < side_by_side::width()
            && matches!(self.queue.peek(), Some(Queued { part: Part::Group(_, _), .. }))
        {
            let next = self.queue.pop().map(|queued| queued.part);
            groups.extend(next.and_then(|part| match part {
                Part::Group(reader, group) => Some((reader, group)),
                Part::Segment(_) | Part::Memory(_) | Part::Remote(_) | Part::Window(_) => None,
            }));
        }
        if let ([(reader, group)], true) = (groups.as_slice(), self.filter.is_true()) {
            return self.open_whole(Arc::clone(reader), *group, target).await;
        }
        let columns = self.filter.columns().into_iter().chain([self.time_column]).collect::<Vec<_>>();
        let reads = groups.iter().map(|(reader, group)| {
            let (reader, group, table) = (Arc::clone(reader), *group, self.table);
            let (filter, columns) = (self.filter.clone(), columns.clone());
            async move { candidates(&reader, group, table, &filter, &columns).await }
        });
        let found = side_by_side::all(reads).await?;
        for ((reader, group), found) in groups.into_iter().zip(found) {
            let Some(Candidates { records, rows }) = found else { continue };
            let found = self.matches(&records, target, |row| match &rows {
                None => u32::try_from(row).ok(),
                Some(rows) => rows.get(row).copied(),
            })?;
            self.keep(Part::Group(reader, group), found, target);
        }
        Ok(())
    }

    /// Opens a row group of which every row may match: only its times are looked at.
    async fn open_whole(&mut self, reader: Arc<SegmentReader>, group: usize, target: usize) -> Result<(), QueryError> {
        let mut found = Vec::new();
        for (start, records) in self.reader.times(&reader, group, self.time_column).await?.iter() {
            found.extend(self.matches(records, target, |row| u32::try_from(start + row).ok())?);
        }
        self.keep(Part::Group(reader, group), found, target);
        Ok(())
    }

    /// The ranks and rows of `records` that match; with a number of rows asked for, the first ones of them. `place` says
    /// which row of the part a row of `records` is.
    fn matches(
        &mut self,
        records: &RecordBatch,
        target: usize,
        place: impl Fn(usize) -> Option<u32>,
    ) -> Result<Vec<(i64, u32)>, QueryError> {
        let times = times(records, self.time_column);
        let mut first = First {
            target: if self.wanted.is_some() { target } else { usize::MAX },
            cursor: self.after.map(|after| self.direction.rank(after.time.as_nanos())),
            // Rows behind those that are enough already need not be looked at.
            last: self.pending.get(target.saturating_sub(1)).filter(|_| self.wanted.is_some()).map(|last| last.rank),
            ranks: BinaryHeap::new(),
            found: Vec::new(),
        };
        let (start, end) = (self.range.start().as_nanos(), self.range.end().as_nanos());
        let direction = self.direction;
        let mut offer = |row: usize, time: i64| {
            if start <= time && time < end {
                first.offer(direction.rank(time), row);
            }
        };
        if self.filter.is_true() {
            times.iter().enumerate().for_each(|(row, time)| offer(row, *time));
        } else {
            let in_time = inside(records, self.time_column, self.range);
            let selected = self.evaluator.narrow(records, &in_time)?;
            selected.set_indices().for_each(|row| offer(row, times.get(row).copied().unwrap_or(end)));
        }
        Ok(first.finish().into_iter().filter_map(|(rank, row)| Some((rank, place(row)?))).collect())
    }

    /// Adds matches to those that are kept; with a number of rows asked for, drops what lies behind.
    fn keep(&mut self, part: Part, found: Vec<(i64, u32)>, target: usize) {
        if found.is_empty() {
            return;
        }
        // Rows at the cursor may turn out to lie before it: they take no place.
        let cursor = self.after.map(|after| self.direction.rank(after.time.as_nanos()));
        let number = self.n_opened;
        self.n_opened = number.saturating_add(1);
        self.opened.insert(number, part);
        self.pending.extend(found.into_iter().map(|(rank, row)| Match { rank, part: number, row }));
        self.pending.sort_unstable_by_key(|found| (found.rank, found.part, found.row));
        let n_at_cursor = cursor.map_or(0, |cursor| self.pending.partition_point(|found| found.rank <= cursor));
        if self.wanted.is_some()
            && let Some(last) = self.pending.get(target.saturating_add(n_at_cursor).saturating_sub(1))
        {
            let last = last.rank;
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
        let mut sealed = Vec::new();
        for (part, mut rows) in by_part {
            rows.sort_unstable();
            match self.opened.get(&part) {
                Some(Part::Memory(records)) => {
                    slots.insert(part, (batches.len(), None));
                    batches.push(shape(records, &self.needed)?);
                }
                Some(Part::Group(reader, group)) => sealed.push((part, Arc::clone(reader), *group, rows)),
                Some(Part::Segment(_) | Part::Remote(_) | Part::Window(_)) | None => {}
            }
        }
        for ((part, _, _, rows), records) in sealed.iter().zip(self.fetch(&sealed).await?) {
            slots.insert(*part, (batches.len(), Some(rows.clone())));
            batches.push(records);
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
        self.release();
        Ok(joined)
    }

    /// Lets go of rows that came from ClickHouse once all of them are given.
    fn release(&mut self) {
        if self.opened.values().any(|part| matches!(part, Part::Memory(_))) {
            let needed = self.pending.iter().map(|found| found.part).collect::<HashSet<_>>();
            self.opened.retain(|number, _| needed.contains(number));
        }
    }

    /// Rows of row groups, in full. The columns of one are read by several threads if there are few row groups.
    async fn fetch(
        &self,
        wanted: &[(u32, Arc<SegmentReader>, usize, Vec<u32>)],
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let n_shares = side_by_side::width().div_ceil(wanted.len().max(1));
        let reads = wanted.iter().flat_map(|(_, reader, group, rows)| {
            (0..n_shares).map(move |share| {
                let (reader, group, selection) = (Arc::clone(reader), *group, selection_of(rows));
                let columns = self.needed.fields().iter().skip(share).step_by(n_shares);
                let columns = columns.map(|field| field.name().clone()).collect::<Vec<_>>();
                async move { reader.read(group, columns.iter().map(String::as_str), Some(selection)).await }
            })
        });
        let shares = side_by_side::all(reads).await?;
        shares.chunks(n_shares).map(|shares| shape_of(shares, &self.needed)).collect()
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
