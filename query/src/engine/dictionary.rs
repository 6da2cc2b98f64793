//! The different texts of a column in a row group: a dictionary page says them all, and is read alone. Any test of a
//! text can be put to them, so a row group without a match costs its dictionary and no more.

use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageReader as _};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::read::{SegmentReader, external};
use crate::QueryError;
use crate::filter::TextTest;

/// Distinct values of a column in a row group, as they stand in its dictionary page.
#[derive(Clone, Debug)]
pub(super) struct Texts(Bytes);

impl Texts {
    /// Of how many different values one passes, on average; [`usize::MAX`] if none does, `None` where a value is no
    /// text or the page is damaged, which whoever reads the column will say better.
    pub(super) fn one_in(&self, test: &TextTest) -> Option<usize> {
        let (mut n_values, mut n_passing) = (0_usize, 0_usize);
        let mut rest: &[u8] = &self.0;
        while let Some((length, more)) = rest.split_first_chunk::<4>() {
            let (value, more) = more.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
            n_values += 1;
            n_passing += usize::from(test.passes(Some(std::str::from_utf8(value).ok()?)));
            rest = more;
        }
        rest.is_empty().then(|| n_values.checked_div(n_passing).unwrap_or(usize::MAX))
    }
}

impl SegmentReader {
    /// The different texts of a column in a row group; `None` where there is no dictionary of all of them.
    pub(super) async fn texts(&self, group: usize, column: &str) -> Result<Option<Texts>, QueryError> {
        let chunk = self.leaf(column).zip(self.group(group)).map(|(leaf, group)| group.column(leaf));
        let Some(chunk) = chunk.filter(|chunk| is_dictionary_whole(chunk)) else { return Ok(None) };
        let range = chunk.dictionary_page_offset().zip(Some(chunk.data_page_offset()));
        let Some((start, end)) = range.and_then(|(start, end)| Some((start.try_into().ok()?, end.try_into().ok()?)))
        else {
            return Ok(None);
        };
        let segment = &self.segment;
        let bytes = segment.object_store().get_range(&segment.path, start..end).await.map_err(external);
        let page = bytes.and_then(|bytes| dictionary_page(chunk, Stretch { start, bytes }));
        page.map_err(|source| QueryError::from(segment.read_error(source)))
    }
}

/// Whether every value of a column chunk is in its dictionary.
fn is_dictionary_whole(chunk: &ColumnChunkMetaData) -> bool {
    let is_text = chunk.column_type() == parquet::basic::Type::BYTE_ARRAY;
    let mask = chunk.page_encoding_stats_mask();
    is_text
        && !matches!(chunk.compression(), Compression::LZO)
        && mask.is_some_and(|mask| mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY))
}

fn dictionary_page(chunk: &ColumnChunkMetaData, stretch: Stretch) -> Result<Option<Texts>, ParquetError> {
    let n_rows = usize::try_from(chunk.num_values()).unwrap_or(0);
    let mut pages = SerializedPageReader::new(Arc::new(stretch), chunk, n_rows, None)?;
    match pages.get_next_page()? {
        Some(Page::DictionaryPage { buf, .. }) => Ok(Some(Texts(buf))),
        _ => Ok(None),
    }
}

/// A stretch of a file.
struct Stretch {
    start: u64,
    bytes: Bytes,
}

impl Stretch {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let at = start.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let found = at.filter(|at| *at <= self.bytes.len()).map(|at| self.bytes.slice(at..));
        found.ok_or_else(|| ParquetError::EOF("a dictionary page ends outside of its column".to_owned()))
    }
}

impl Length for Stretch {
    fn len(&self) -> u64 {
        self.start.saturating_add(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }
}

impl ChunkReader for Stretch {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.from(start).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let found = self.from(start)?;
        if length > found.len() {
            return Err(ParquetError::EOF("a dictionary page ends outside of its column".to_owned()));
        }
        Ok(found.slice(..length))
    }
}
