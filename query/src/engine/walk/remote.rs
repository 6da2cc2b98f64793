//! Rows that are in ClickHouse only, walked through beside those that are here.

use hindcast_storage::{RemoteColumn, RemoteLimit, RemoteSelect};

use super::Walk;
use crate::QueryError;
use crate::engine::cursor::times;
use crate::engine::part::{Direction, Part, Queued};
use crate::remote::condition::condition;
use crate::remote::{Arrived, Span, Window, select};

impl Walk {
    /// Queues rows that were not asked for yet.
    pub(super) fn queue_span(&mut self, span: Span) {
        let range = span.remote.range();
        let last = range.end().as_nanos().saturating_sub(1);
        let rank = self.direction.first_rank(range.start().as_nanos(), last);
        self.queue.push(Queued { rank, part: Part::Remote(span) });
    }

    /// Asks for the first window of a span.
    pub(super) fn open_span(&mut self, span: Span, target: usize) {
        let (remote, rest) = span.split(self.direction == Direction::Backward);
        let range = remote.range();
        let rank = self.direction.first_rank(range.start().as_nanos(), range.end().as_nanos().saturating_sub(1));
        let question = self.window_question(target);
        let limit = question.limit.map(|limit| limit.n_rows);
        if let Some(rows) = remote.select(&question) {
            self.queue.push(Queued { rank, part: Part::Window(Window::new((remote, rest), rows, limit)) });
        }
    }

    fn window_question(&self, target: usize) -> RemoteSelect {
        let mut question = select(&self.budget.limits(), self.budget.time_left());
        let asked = self.filter.columns();
        let fields = self.needed.fields().iter().map(|field| field.name().as_str());
        let more = asked.iter().copied().filter(|column| self.needed.column_with_name(column).is_none());
        question.columns = fields.chain(more).map(RemoteColumn::plain).collect();
        let condition = condition(self.table, &self.filter);
        let is_newest = self.direction == Direction::Backward;
        // Only of rows that surely match is so many enough.
        if self.wanted.is_some() && condition.is_exact {
            question.limit = u64::try_from(target).ok().map(|n_rows| RemoteLimit { n_rows, is_newest });
        }
        question.condition = condition.text;
        let way = if is_newest { " DESC" } else { "" };
        question.order_by = Some(format!("{}{way}", self.time_column));
        question
    }

    /// Takes the next rows of a window, and queues it behind them.
    pub(super) async fn open_window(&mut self, rank: i64, mut window: Window, target: usize) -> Result<(), QueryError> {
        match window.next(self.budget.time_left()).await? {
            Arrived::End => {
                let is_everything = self.wanted.is_none() && self.filter.is_true();
                let next = window.next_spans(self.direction == Direction::Backward, is_everything);
                next.for_each(|span| self.queue_span(span));
            }
            Arrived::Nothing => self.queue.push(Queued { rank, part: Part::Window(window) }),
            Arrived::Rows(records) => {
                let last = times(&records, self.time_column).last().copied();
                window.took(records.num_rows(), last);
                let found = self.matches(&records, target, |row| u32::try_from(row).ok())?;
                self.keep(Part::Memory(records), found, target);
                // Rows of the last one's time may follow.
                let rank = last.map_or(rank, |time| self.direction.rank(time));
                self.queue.push(Queued { rank, part: Part::Window(window) });
            }
        }
        Ok(())
    }
}
