//! The times of row groups, the last used ones kept: whoever pages through an hour, or asks for the newest rows again
//! and again, looks at the same times each time.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use hindcast_storage::SegmentId;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::read::{Reader, SegmentReader};
use super::side_by_side;
use crate::QueryError;

/// Row groups whose times are kept; a row group of the usual size takes 8 MiB.
const MAX_KEPT: usize = 8;
/// Row groups with more rows are not kept.
const MAX_ROWS: usize = 1 << 20;
/// A thread's share of a row group ends with a page: whole pages are passed over unread.
const SHARE_ROWS: usize = 1 << 14;

/// Times of a row group: stretches of rows, each with the row it begins at.
pub(super) type Times = Arc<Vec<(usize, RecordBatch)>>;

/// The last used times.
#[derive(Debug, Default)]
pub(super) struct TimesCache(Mutex<VecDeque<((SegmentId, usize), Times)>>);

impl TimesCache {
    fn get(&self, key: (SegmentId, usize)) -> Option<Times> {
        let mut kept = self.0.lock();
        let at = kept.iter().position(|(known, _)| *known == key)?;
        let found = kept.remove(at)?;
        let times = Arc::clone(&found.1);
        kept.push_back(found);
        Some(times)
    }

    fn put(&self, key: (SegmentId, usize), times: &Times) {
        let mut kept = self.0.lock();
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back((key, Arc::clone(times)));
    }
}

impl Reader {
    /// The times of all rows of a row group, read by several threads if they are not kept.
    pub(super) async fn times(
        &self,
        reader: &Arc<SegmentReader>,
        group: usize,
        time_column: &'static str,
    ) -> Result<Times, QueryError> {
        let key = (reader.segment.id, group);
        if let Some(times) = self.times.get(key) {
            return Ok(times);
        }
        let n_rows = reader.group(group).and_then(|found| usize::try_from(found.num_rows()).ok()).unwrap_or(0);
        let n_share = n_rows.div_ceil(side_by_side::width()).next_multiple_of(SHARE_ROWS).max(1);
        let starts = (0..n_rows).step_by(n_share).collect::<Vec<_>>();
        let reads = starts.iter().map(|start| {
            let length = n_share.min(n_rows - start);
            let selection = RowSelection::from(vec![RowSelector::skip(*start), RowSelector::select(length)]);
            let reader = Arc::clone(reader);
            async move { reader.read(group, [time_column], Some(selection)).await }
        });
        let shares = side_by_side::all(reads).await?;
        let times = Arc::new(starts.iter().copied().zip(shares).collect());
        if n_rows <= MAX_ROWS {
            self.times.put(key, &times);
        }
        Ok(times)
    }
}
