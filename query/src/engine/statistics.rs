//! Statistics of a row group, and of its pages, for pruning.

use std::collections::HashMap;

use hindcast_model::{ColumnKind, TableId, TimeRange, Timestamp};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics as Parquet;

use super::dictionary::Texts;
use super::read::SegmentReader;
use crate::Filter;
use crate::filter::TextTest;
use crate::filter::prune::Statistics;

/// What the footer says of a row group.
pub(super) struct GroupStatistics<'a> {
    pub(super) reader: &'a SegmentReader,
    pub(super) group: &'a RowGroupMetaData,
    pub(super) table: TableId,
    /// Bloom filters that were read, by column.
    pub(super) blooms: HashMap<&'static str, Sbbf>,
    /// Dictionaries that were read, by column.
    pub(super) texts: HashMap<&'static str, Texts>,
}

impl<'a> GroupStatistics<'a> {
    pub(super) fn new(reader: &'a SegmentReader, group: &'a RowGroupMetaData, table: TableId) -> Self {
        Self { reader, group, table, blooms: HashMap::new(), texts: HashMap::new() }
    }

    fn column(&self, column: &str) -> Option<&Parquet> {
        self.group.column(self.reader.leaf(column)?).statistics()
    }
}

impl Statistics for GroupStatistics<'_> {
    fn n_rows(&self) -> u64 {
        u64::try_from(self.group.num_rows()).unwrap_or(0)
    }

    fn nulls(&self, column: &str) -> Option<u64> {
        // A column that the file does not have is null throughout.
        if self.reader.leaf(column).is_none() {
            return Some(self.n_rows());
        }
        self.column(column)?.null_count_opt()
    }

    fn text_bounds(&self, column: &str) -> Option<(&str, &str)> {
        let statistics = self.column(column)?;
        if !matches!(statistics, Parquet::ByteArray(_)) {
            return None;
        }
        let least = std::str::from_utf8(statistics.min_bytes_opt()?).ok()?;
        let most = std::str::from_utf8(statistics.max_bytes_opt()?).ok()?;
        Some((least, most))
    }

    fn number_bounds(&self, column: &str) -> Option<(i128, i128)> {
        let kind = self.table.columns().iter().find(|known| known.name == column)?.kind;
        let widen = |value: i64| widen(kind, value);
        match self.column(column)? {
            Parquet::Int32(bounds) => {
                Some((widen(i64::from(*bounds.min_opt()?)), widen(i64::from(*bounds.max_opt()?))))
            }
            Parquet::Int64(bounds) => Some((widen(*bounds.min_opt()?), widen(*bounds.max_opt()?))),
            _ => None,
        }
    }

    fn may_hold(&self, column: &str, text: &str) -> bool {
        self.blooms.get(column).is_none_or(|bloom| bloom.check(text))
    }

    fn may_pass(&self, column: &str, test: &TextTest) -> bool {
        self.texts.get(column).and_then(|texts| texts.one_in(test)) != Some(usize::MAX)
    }
}

/// A stored number as what it stands for: Parquet keeps unsigned ones in signed places.
pub(super) fn widen(kind: ColumnKind, value: i64) -> i128 {
    match kind {
        ColumnKind::U64 => i128::from(value.cast_unsigned()),
        ColumnKind::U32 => i128::from(value & i64::from(u32::MAX)),
        _ => i128::from(value),
    }
}

/// Earliest and latest time in a row group, if its statistics say.
pub(super) fn time_bounds(reader: &SegmentReader, group: &RowGroupMetaData, column: &str) -> Option<(i64, i64)> {
    match group.column(reader.leaf(column)?).statistics()? {
        Parquet::Int64(bounds) => Some((*bounds.min_opt()?, *bounds.max_opt()?)),
        _ => None,
    }
}

/// The row groups of a segment that may hold matches, with their earliest and latest time.
pub(super) fn groups(
    reader: &SegmentReader,
    table: TableId,
    time_column: &str,
    range: TimeRange,
    filter: &Filter,
) -> Vec<(usize, i64, i64)> {
    let segment = (reader.segment.min_time.as_nanos(), reader.segment.max_time.as_nanos());
    let mut found = Vec::new();
    for (index, group) in reader.metadata().row_groups().iter().enumerate() {
        let (min, max) = time_bounds(reader, group, time_column).unwrap_or(segment);
        let statistics = GroupStatistics::new(reader, group, table);
        if range.overlaps_inclusive(Timestamp::from_nanos(min), Timestamp::from_nanos(max))
            && filter.may_match(&statistics)
        {
            found.push((index, min, max));
        }
    }
    found
}
