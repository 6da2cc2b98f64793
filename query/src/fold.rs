//! Fixed questions that need no order and no planner: counts over time, the commonest values, the edges of a map.
//!
//! Parts are folded as they come, by a few threads. Where the filter and the columns asked for are among those that a
//! roll-up keeps, sealed flows inside of whole minutes and hours are not read: their roll-ups are. What is not sealed
//! yet, and the ragged ends of the range, is read row by row; both together give what the rows alone give (QU-4).

mod count;
mod cover;
mod edges;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_storage::Snapshot;
use parking_lot::Mutex;

pub use self::count::{Bucketed, CountedValue, Counts, Histogram, HistogramQuery, Series, TopQuery, Weight};
pub use self::edges::Edges;
use crate::engine::{Part, Sealed, inside, parts, read_folded, read_part, time_column, unrolled};
use crate::filter::{Evaluator, Filter};
use crate::limits::Budget;
use crate::remote::condition::condition;
use crate::remote::{self, Grouping, Span, grouped};
use crate::{Cut, CutReason, Engine, Limits, QueryError};

/// Rows of one table in one range that match.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) table: TableId,
    pub(crate) range: TimeRange,
    pub(crate) filter: Filter,
    /// Columns needed beside those of the filter. The time is read only where it is among them, or to leave out rows.
    pub(crate) columns: Vec<&'static str>,
    pub(crate) sealed: Sealed,
    /// Rows in memory; of roll-ups everything that no segment of them holds.
    pub(crate) unsealed: bool,
    /// What of rows that are in ClickHouse is not told apart; `None` for nothing.
    pub(crate) grouping: Option<Grouping>,
}

/// Something that rows are added to, in any order and by several threads.
pub(crate) trait Accumulator: Send {
    /// Adds the selected rows of a batch; `scan` is the position of their scan.
    fn add(&mut self, scan: usize, records: &RecordBatch, selected: &BooleanBuffer) -> Result<(), QueryError>;
    /// Adds what another thread has.
    fn merge(&mut self, other: Self);
    /// Memory taken, in bytes.
    fn size(&self) -> usize;
}

/// Folds scans over one snapshot. The second value says if not all was folded.
pub(crate) async fn fold<A, F>(
    engine: &Engine,
    snapshot: Snapshot,
    scans: Vec<Scan>,
    limits: Limits,
    make: F,
) -> Result<(A, Option<Cut>), QueryError>
where
    A: Accumulator + 'static,
    F: Fn() -> A + Send + Sync + 'static,
{
    for scan in &scans {
        if !scan.filter.fits(scan.table) {
            return Err(QueryError::Invalid(format!("the filter speaks of columns that {} do not have", scan.table)));
        }
    }
    let permit = engine.permit().await?;
    let engine = engine.clone();
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || {
        let outcome = Folding { engine: &engine, scans: &scans, budget: Budget::new(limits), runtime: &runtime }
            .run(&snapshot, &make);
        drop(permit);
        outcome
    });
    done.await.map_err(|source| QueryError::Internal { step: "fold rows", source: Arc::new(source) })?
}

/// A part of the rows of a scan.
struct Work {
    /// The position of the scan.
    scan: usize,
    part: Part,
    /// Whether it is flows that the scan of a roll-up reads as edges.
    is_folded: bool,
}

struct Folding<'a> {
    engine: &'a Engine,
    scans: &'a [Scan],
    budget: Budget,
    runtime: &'a tokio::runtime::Handle,
}

impl Folding<'_> {
    fn run<A: Accumulator, F: Fn() -> A + Sync>(
        &self,
        snapshot: &Snapshot,
        make: &F,
    ) -> Result<(A, Option<Cut>), QueryError> {
        let mut work = Vec::new();
        for (position, scan) in self.scans.iter().enumerate() {
            let found = self.runtime.block_on(parts(
                &self.engine.reader(),
                snapshot,
                scan.table,
                scan.range,
                &scan.filter,
                (scan.sealed, scan.unsealed),
            ))?;
            work.extend(found.into_iter().map(|part| Work { scan: position, part, is_folded: false }));
            // Segments without minutes have them there.
            if scan.sealed == Sealed::All
                && let Some(remote) = snapshot.remote(scan.table, scan.range).filter(|remote| !remote.is_away())
            {
                work.push(Work { scan: position, part: Part::Remote(Span::new(remote)), is_folded: false });
            }
            if scan.unsealed {
                let found = self.runtime.block_on(unrolled(&self.engine.reader(), snapshot, scan.table, scan.range))?;
                work.extend(found.into_iter().map(|part| Work { scan: position, part, is_folded: true }));
            }
        }
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from).min(work.len()).max(1);
        let next = AtomicUsize::new(0);
        let cut = Mutex::new(None);
        let parts = std::thread::scope(|threads| {
            let running =
                (0..n_threads).map(|_| threads.spawn(|| self.work(&work, &next, make(), &cut))).collect::<Vec<_>>();
            running.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut total = make();
        for part in parts {
            let part = part.map_err(|_panic| QueryError::Exhausted { what: "threads" })?;
            total.merge(part?);
        }
        let cut = cut.lock().take();
        let is_away = self.scans.iter().any(|scan| snapshot.is_remote_away(scan.table, scan.range));
        Ok((total, cut.or_else(|| is_away.then(|| self.budget.cut(CutReason::Away)))))
    }

    fn work<A: Accumulator>(
        &self,
        work: &[Work],
        next: &AtomicUsize,
        mut total: A,
        cut: &Mutex<Option<Cut>>,
    ) -> Result<A, QueryError> {
        let mut evaluators = self.scans.iter().map(|scan| Evaluator::new(scan.filter.clone())).collect::<Vec<_>>();
        while let Some(Work { scan: position, part, is_folded }) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some((scan, evaluator)) = self.scans.get(*position).zip(evaluators.get_mut(*position)) else { break };
            let over = self.budget.over().or_else(|| self.budget.holds(total.size()));
            if let Some(over) = over {
                *cut.lock() = Some(over);
                break;
            }
            let time = time_column(scan.table);
            let is_inside = !*is_folded && part.lies_in(scan.table, scan.range);
            let columns = scan.filter.columns().into_iter().chain(scan.columns.iter().copied());
            let columns = columns.chain((!is_inside).then_some(time)).collect::<Vec<_>>();
            if let Part::Remote(span) = part {
                self.runtime.block_on(self.ask(scan, span, &columns, evaluator, (*position, &mut total), cut))?;
                continue;
            }
            let records = if *is_folded {
                Some(self.runtime.block_on(read_folded(part, scan.table, scan.range, &columns))?)
            } else {
                self.runtime.block_on(read_part(part, scan.table, &scan.filter, &columns))?
            };
            let Some(records) = records else { continue };
            let inside = match is_inside {
                true => BooleanBuffer::new_set(records.num_rows()),
                false => inside(&records, time, scan.range),
            };
            let selected = evaluator.narrow(&records, &inside)?;
            total.add(*position, &records, &selected)?;
        }
        Ok(total)
    }
}

impl Folding<'_> {
    /// Adds rows that are in ClickHouse only, as far as can be folded there.
    async fn ask<A: Accumulator>(
        &self,
        scan: &Scan,
        span: &Span,
        columns: &[&'static str],
        evaluator: &mut Evaluator,
        (position, total): (usize, &mut A),
        cut: &Mutex<Option<Cut>>,
    ) -> Result<(), QueryError> {
        let condition = condition(scan.table, &scan.filter);
        // What a filter looks at must come back, unless the server has decided already.
        let columns = if condition.is_exact { scan.columns.as_slice() } else { columns };
        let question = remote::select(&self.budget.limits(), self.budget.time_left());
        // What a filter looks at here has to come as it is.
        let is_grouped =
            |grouping: &&Grouping| condition.is_exact || !grouping.touches(scan.table, &scan.filter.columns());
        let question = match scan.grouping.as_ref().filter(is_grouped) {
            Some(grouping) => grouped(question, scan.table, columns, &condition, grouping),
            None => remote::rows(question, columns, &condition),
        };
        let Some(mut rows) = span.remote.select(&question) else { return Ok(()) };
        loop {
            let Ok(next) = tokio::time::timeout(self.budget.time_left(), rows.next()).await else {
                *cut.lock() = self.budget.over();
                return Ok(());
            };
            let Some(records) = next.transpose()? else { return Ok(()) };
            if let Some(over) = self.budget.holds(total.size()) {
                *cut.lock() = Some(over);
                return Ok(());
            }
            let all = BooleanBuffer::new_set(records.num_rows());
            let selected = if condition.is_exact { all } else { evaluator.narrow(&records, &all)? };
            total.add(position, &records, &selected)?;
        }
    }
}

/// The range cut down to what a table holds, so that it has ends to divide.
fn held(snapshot: &Snapshot, tables: &[TableId], range: TimeRange) -> Option<TimeRange> {
    let held = tables.iter().filter_map(|table| snapshot.held_range(*table));
    let (min, max) = held.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
    let past = Timestamp::from_nanos(max.as_nanos().saturating_add(1));
    TimeRange::new(range.start().max(min), range.end().min(past)).ok()
}

/// That an answer was cut for its number of rows.
pub(crate) const fn cut_rows(n_rows: u64) -> Cut {
    Cut { reason: CutReason::Rows, n_rows }
}

#[cfg(test)]
mod tests;
