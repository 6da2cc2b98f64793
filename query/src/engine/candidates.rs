//! The rows of a row group that may match, found by reading as little as can be: bloom filters, then dictionaries,
//! then the page index, then the column of the rarest text, and only for the rows that are left the other columns of
//! the filter.

use arrow::array::RecordBatch;
use hindcast_model::TableId;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::read::SegmentReader;
use super::statistics::GroupStatistics;
use crate::QueryError;
use crate::filter::{Filter, TextTest};

/// A text that at most one value in so many passes is looked for before anything else is read.
const RARE: usize = 8;

/// Rows that may match.
#[derive(Debug)]
pub(super) struct Candidates {
    /// The columns asked for, where the file has them.
    pub(super) records: RecordBatch,
    /// Which row of the row group each of them is; `None` if all are there.
    pub(super) rows: Option<Vec<u32>>,
}

/// Some columns, the filter's among them, of the candidates of a row group; `None` if none of its rows can match.
pub(super) async fn candidates(
    reader: &SegmentReader,
    index: usize,
    table: TableId,
    filter: &Filter,
    columns: &[&str],
) -> Result<Option<Candidates>, QueryError> {
    let Some(group) = reader.group(index) else { return Ok(None) };
    let mut statistics = GroupStatistics::new(reader, group, table);
    for column in bloom_columns(filter) {
        if let Some(bloom) = reader.bloom_filter(index, column).await? {
            statistics.blooms.insert(column, bloom);
        }
    }
    if !statistics.blooms.is_empty() && !filter.may_match(&statistics) {
        return Ok(None);
    }
    let mut rarest: Option<(usize, &Filter)> = None;
    for part in conjuncts(filter) {
        for column in text_columns(part) {
            if !statistics.texts.contains_key(column)
                && let Some(texts) = reader.texts(index, column).await?
            {
                statistics.texts.insert(column, texts);
            }
        }
        if !part.may_match(&statistics) {
            return Ok(None);
        }
        if let Filter::Text { column, test } = part
            && !test.passes(None)
            && let Some(texts) = statistics.texts.get(column)
            && let Some(one_in) = texts.one_in(test)
            && rarest.is_none_or(|(least, _)| one_in > least)
        {
            rarest = Some((one_in, part));
        }
    }
    let mut selection = super::pages::select(reader, index, table, filter);
    if let Some((one_in, part)) = rarest
        && one_in >= RARE
    {
        let records = reader.read(index, part.columns(), selection.clone()).await?;
        let found = part.evaluate(&records)?;
        let rows = selection.as_ref().map(selected_rows);
        let found = found.values().set_indices().filter_map(|row| match &rows {
            None => u32::try_from(row).ok(),
            Some(rows) => rows.get(row).copied(),
        });
        selection = Some(selection_of(&found.collect::<Vec<_>>()));
    }
    if selection.as_ref().is_some_and(|selection| !selection.selects_any()) {
        return Ok(None);
    }
    let rows = selection.as_ref().map(selected_rows);
    let records = reader.read(index, columns.iter().copied(), selection).await?;
    Ok(Some(Candidates { records, rows }))
}

/// What has to hold, each for itself.
fn conjuncts(filter: &Filter) -> &[Filter] {
    match filter {
        Filter::And(parts) => parts,
        other => std::slice::from_ref(other),
    }
}

/// Columns whose bloom filter could rule a row group out.
fn bloom_columns(filter: &Filter) -> Vec<&'static str> {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().flat_map(bloom_columns).collect(),
        Filter::Text { column, test: TextTest::OneOf(_) } => vec![column],
        _ => Vec::new(),
    }
}

/// Columns whose different texts could rule a row group out.
fn text_columns(filter: &Filter) -> Vec<&'static str> {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().flat_map(text_columns).collect(),
        Filter::Text { column, test } if !test.passes(None) => vec![column],
        _ => Vec::new(),
    }
}

/// A selection of some rows, given in ascending order.
pub(super) fn selection_of(rows: &[u32]) -> RowSelection {
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

#[cfg(test)]
mod tests;
