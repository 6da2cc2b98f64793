//! Pages of a row group that cannot hold a match, by the page index: rows inside of a row group are ordered by edge,
//! so a needle's pages are few.

use hindcast_model::{ColumnKind, TableId};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::read::SegmentReader;
use crate::filter::prune::Statistics;
use crate::filter::{Filter, NumberTest, TextTest};

/// The rows that may match; `None` if nothing can be left out.
pub(super) fn select(reader: &SegmentReader, group: usize, table: TableId, filter: &Filter) -> Option<RowSelection> {
    match filter {
        Filter::And(parts) => parts
            .iter()
            .filter_map(|part| select(reader, group, table, part))
            .reduce(|one, other| one.intersection(&other)),
        // One part that may match anywhere makes the whole so.
        Filter::Or(parts) => parts
            .iter()
            .map(|part| select(reader, group, table, part))
            .reduce(|one, other| Some(one?.union(&other?)))
            .flatten(),
        Filter::Text {
            column,
            test: TextTest::OneOf(_) | TextTest::Prefix(_) | TextTest::Family(_) | TextTest::Absent,
        }
        | Filter::Number { column, test: NumberTest::OneOf(_) | NumberTest::Between(_, _) } => {
            by_column(reader, group, table, filter, column)
        }
        Filter::Not(inner) => match inner.as_ref() {
            Filter::Text { column, test: TextTest::Absent } => by_column(reader, group, table, filter, column),
            _ => None,
        },
        Filter::True
        | Filter::Text { .. }
        | Filter::Number { .. }
        | Filter::Bool { .. }
        | Filter::BytesPresent { .. }
        | Filter::Rows(_) => None,
    }
}

fn by_column(
    reader: &SegmentReader,
    group: usize,
    table: TableId,
    filter: &Filter,
    column: &'static str,
) -> Option<RowSelection> {
    let leaf = reader.leaf(column)?;
    let metadata = reader.metadata();
    let index = metadata.column_index()?.get(group)?.get(leaf)?;
    let offsets = metadata.offset_index()?.get(group)?.get(leaf)?.page_locations();
    let kind = table.columns().iter().find(|known| known.name == column)?.kind;
    let n_rows = reader.group(group)?.num_rows();
    let mut selectors = Vec::with_capacity(offsets.len());
    for (page, location) in offsets.iter().enumerate() {
        let end = offsets.get(page + 1).map_or(n_rows, |next| next.first_row_index);
        let n_page_rows = usize::try_from(end - location.first_row_index).ok()?;
        let statistics = PageStatistics { index, page, column, kind, n_rows: n_page_rows };
        selectors.push(if filter.may_match(&statistics) {
            RowSelector::select(n_page_rows)
        } else {
            RowSelector::skip(n_page_rows)
        });
    }
    selectors.iter().any(|selector| selector.skip).then(|| RowSelection::from(selectors))
}

/// What the page index says of one page of one column.
struct PageStatistics<'a> {
    index: &'a ColumnIndexMetaData,
    page: usize,
    column: &'static str,
    kind: ColumnKind,
    n_rows: usize,
}

impl Statistics for PageStatistics<'_> {
    fn n_rows(&self) -> u64 {
        u64::try_from(self.n_rows).unwrap_or(0)
    }

    fn nulls(&self, column: &str) -> Option<u64> {
        // A column without an index of its pages is asked nothing: the question would panic.
        if column != self.column || matches!(self.index, ColumnIndexMetaData::NONE) {
            return None;
        }
        u64::try_from(self.index.null_count(self.page)?).ok()
    }

    fn text_bounds(&self, column: &str) -> Option<(&str, &str)> {
        let ColumnIndexMetaData::BYTE_ARRAY(index) = self.index else { return None };
        if column != self.column || index.is_null_page(self.page) {
            return None;
        }
        let least = std::str::from_utf8(index.min_value(self.page)?).ok()?;
        let most = std::str::from_utf8(index.max_value(self.page)?).ok()?;
        Some((least, most))
    }

    fn number_bounds(&self, column: &str) -> Option<(i128, i128)> {
        if column != self.column {
            return None;
        }
        let widen = |value: i64| super::statistics::widen(self.kind, value);
        match self.index {
            ColumnIndexMetaData::INT32(index) if !index.is_null_page(self.page) => {
                let (least, most) = (index.min_value(self.page)?, index.max_value(self.page)?);
                Some((widen(i64::from(*least)), widen(i64::from(*most))))
            }
            ColumnIndexMetaData::INT64(index) if !index.is_null_page(self.page) => {
                Some((widen(*index.min_value(self.page)?), widen(*index.max_value(self.page)?)))
            }
            _ => None,
        }
    }

    fn may_hold(&self, _column: &str, _text: &str) -> bool {
        true
    }

    fn may_pass(&self, _column: &str, _test: &TextTest) -> bool {
        true
    }
}
