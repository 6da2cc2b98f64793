//! Column chunks of texts and bytes, from dictionary keys to Parquet pages without looking at the values again.
//!
//! The parquet writer hashes every value of a dictionary array once more. Here the keys of a row group are renumbered
//! in the order in which they occur and written as they are: one dictionary page, then data pages of version 1 with
//! definition levels and codes in the hybrid of runs and bit-packed groups.

mod hybrid;

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Rows of a page.
pub(super) const PAGE_ROWS: usize = 1 << 14;
/// Values of a dictionary in bytes at most; the parquet writer gives up dictionaries at this size too.
const MAX_DICTIONARY: usize = 1 << 20;
/// Longest text that bounds are kept of.
const MAX_BOUND: usize = 64;

/// What is written of a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkOptions {
    pub(super) zstd_level: i32,
    /// Whether pages have bounds.
    pub(super) has_page_bounds: bool,
    /// The share of absent values that its bloom filter lets through, if it has one.
    pub(super) bloom_fpp: Option<f64>,
}

/// An encoded column of a row group.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Whether the values are small enough to be a dictionary in every row group.
pub(super) fn fits(values: &ArrayRef) -> bool {
    let n_bytes = match (values.as_string_opt::<i32>(), values.as_binary_opt::<i32>()) {
        (Some(texts), _) => texts.value_data().len(),
        (_, Some(bytes)) => bytes.value_data().len(),
        (None, None) => return false,
    };
    n_bytes + values.len() * size_of::<u32>() <= MAX_DICTIONARY
}

/// Values and which of them a row group uses.
struct Used<'a> {
    /// In the order of their codes.
    values: Vec<&'a [u8]>,
    /// Per row; [`NO_CODE`] for null.
    codes: Vec<u32>,
    n_nulls: usize,
}

/// The code of a row without a value.
const NO_CODE: u32 = u32::MAX;

impl<'a> Used<'a> {
    fn of(keys: &[i32], values: &'a ArrayRef) -> Self {
        let value = |at: usize| match values.as_string_opt::<i32>() {
            Some(texts) => texts.value(at).as_bytes(),
            None => values.as_binary::<i32>().value(at),
        };
        let mut renumbered = vec![NO_CODE; values.len()];
        let mut used = Self { values: Vec::new(), codes: Vec::with_capacity(keys.len()), n_nulls: 0 };
        for key in keys {
            let slot = usize::try_from(*key).ok().and_then(|at| Some((at, renumbered.get_mut(at)?)));
            let Some((at, code)) = slot else {
                used.codes.push(NO_CODE);
                used.n_nulls += 1;
                continue;
            };
            if *code == NO_CODE {
                *code = u32::try_from(used.values.len()).unwrap_or(NO_CODE);
                used.values.push(value(at));
            }
            used.codes.push(*code);
        }
        used
    }

    fn value(&self, code: u32) -> &'a [u8] {
        usize::try_from(code).ok().and_then(|code| self.values.get(code)).copied().unwrap_or_default()
    }

    /// Per code, its place among the values in order.
    fn ranks(&self) -> Vec<u32> {
        let n_values = u32::try_from(self.values.len()).unwrap_or(NO_CODE);
        let mut order: Vec<u32> = (0..n_values).collect();
        order.sort_unstable_by_key(|code| self.value(*code));
        let mut ranks = vec![0; self.values.len()];
        for (rank, code) in (0_u32..).zip(order) {
            if let Some(slot) = usize::try_from(code).ok().and_then(|code| ranks.get_mut(code)) {
                *slot = rank;
            }
        }
        ranks
    }
}

/// Pages written one after the other.
struct Pages {
    compressor: zstd::bulk::Compressor<'static>,
    sink: TrackedWrite<Vec<u8>>,
    compressed: usize,
    uncompressed: usize,
}

impl Pages {
    fn write(&mut self, raw: &[u8], page: impl FnOnce(Bytes) -> Page) -> Result<PageWriteSpec, ParquetError> {
        let squeezed = self.compressor.compress(raw).map_err(|error| ParquetError::External(Box::new(error)))?;
        let page = CompressedPage::new(page(squeezed.into()), raw.len());
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.compressed += spec.compressed_size;
        self.uncompressed += spec.uncompressed_size;
        Ok(spec)
    }
}

/// Encodes the rows of one column of a row group. Requires: `values` [`fits`].
pub(super) fn encode(
    descr: &ColumnDescPtr,
    keys: &[i32],
    values: &ArrayRef,
    options: ChunkOptions,
) -> Result<Chunk, ParquetError> {
    let used = Used::of(keys, values);
    let external = |error: std::io::Error| ParquetError::External(Box::new(error));
    let compressor = zstd::bulk::Compressor::new(options.zstd_level).map_err(external)?;
    let mut pages = Pages { compressor, sink: TrackedWrite::new(Vec::new()), compressed: 0, uncompressed: 0 };
    let mut dictionary = Vec::new();
    for value in &used.values {
        dictionary.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        dictionary.extend_from_slice(value);
    }
    let num_values = u32::try_from(used.values.len()).unwrap_or(u32::MAX);
    pages.write(&dictionary, |buf| Page::DictionaryPage {
        buf,
        num_values,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    })?;
    let (data_offset, n_pages, offsets) = data_pages(descr, &used, &mut pages)?;
    let statistics = chunk_statistics(&used);
    let level = ZstdLevel::try_new(options.zstd_level)?;
    let stat = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
    let metadata = ColumnChunkMetaData::builder(Arc::clone(descr))
        .set_compression(Compression::ZSTD(level))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_page_encoding_stats(vec![
            stat(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
            stat(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, n_pages),
        ])
        .set_total_compressed_size(signed(pages.compressed))
        .set_total_uncompressed_size(signed(pages.uncompressed))
        .set_num_values(signed(keys.len()))
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(data_offset)
        .set_statistics(statistics)
        .build()?;
    let bloom_filter = options.bloom_fpp.map(|fpp| bloom(&used, fpp)).transpose()?;
    let column_index = if options.has_page_bounds { page_bounds(descr, &used)? } else { None };
    let close = ColumnCloseResult {
        bytes_written: u64::try_from(pages.compressed).unwrap_or(u64::MAX),
        rows_written: u64::try_from(keys.len()).unwrap_or(u64::MAX),
        metadata,
        bloom_filter,
        column_index,
        offset_index: Some(offsets.build()),
    };
    Ok(Chunk { bytes: pages.sink.into_inner()?.into(), close })
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn data_pages(
    descr: &ColumnDescPtr,
    used: &Used<'_>,
    pages: &mut Pages,
) -> Result<(i64, i32, OffsetIndexBuilder), ParquetError> {
    let width =
        (u32::BITS - u32::try_from(used.values.len()).unwrap_or(u32::MAX).saturating_sub(1).leading_zeros()).max(1);
    let mut offsets = OffsetIndexBuilder::new();
    let (mut first, mut n_pages) = (None, 0);
    let (mut raw, mut levels, mut present) = (Vec::new(), Vec::new(), Vec::new());
    for codes in used.codes.chunks(PAGE_ROWS) {
        raw.clear();
        present.clear();
        if descr.max_def_level() > 0 {
            levels.clear();
            levels.extend(codes.iter().map(|code| u32::from(*code != NO_CODE)));
            raw.extend([0; 4]);
            hybrid::encode(&levels, 1, &mut raw);
            let length = u32::try_from(raw.len() - 4).unwrap_or(u32::MAX);
            if let Some(head) = raw.first_chunk_mut::<4>() {
                *head = length.to_le_bytes();
            }
        }
        present.extend(codes.iter().copied().filter(|code| *code != NO_CODE));
        raw.push(u8::try_from(width).unwrap_or(u8::MAX));
        hybrid::encode(&present, width, &mut raw);
        let num_values = u32::try_from(codes.len()).unwrap_or(u32::MAX);
        let spec = pages.write(&raw, |buf| Page::DataPage {
            buf,
            num_values,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })?;
        let offset = i64::try_from(spec.offset).unwrap_or(i64::MAX);
        first.get_or_insert(offset);
        n_pages += 1;
        offsets.append_row_count(signed(codes.len()));
        offsets.append_offset_and_size(offset, i32::try_from(spec.compressed_size).unwrap_or(i32::MAX));
    }
    Ok((first.unwrap_or(0), n_pages, offsets))
}

fn chunk_statistics(used: &Used<'_>) -> Statistics {
    let bound = |value: Option<&[u8]>| {
        value.filter(|value| value.len() <= MAX_BOUND).map(|value| ByteArray::from(value.to_vec()))
    };
    let min = bound(used.values.iter().min().copied());
    let max = bound(used.values.iter().max().copied());
    let (min, max) = if min.is_some() && max.is_some() { (min, max) } else { (None, None) };
    Statistics::new(min, max, None, u64::try_from(used.n_nulls).ok(), false)
}

fn bloom(used: &Used<'_>, fpp: f64) -> Result<Sbbf, ParquetError> {
    let n_values = u64::try_from(used.values.len().max(1)).unwrap_or(u64::MAX);
    let mut filter = Sbbf::new_with_ndv_fpp(n_values, fpp)?;
    for value in &used.values {
        filter.insert(*value);
    }
    Ok(filter)
}

fn page_bounds(
    descr: &ColumnDescPtr,
    used: &Used<'_>,
) -> Result<Option<parquet::file::page_index::column_index::ColumnIndexMetaData>, ParquetError> {
    if used.values.iter().any(|value| value.len() > MAX_BOUND) {
        return Ok(None);
    }
    let mut index = ColumnIndexBuilder::new(descr.physical_type());
    let ranks = used.ranks();
    let rank = |code: &u32| usize::try_from(*code).ok().and_then(|code| ranks.get(code)).copied();
    for codes in used.codes.chunks(PAGE_ROWS) {
        let present = || codes.iter().filter(|code| **code != NO_CODE);
        let n_nulls = signed(codes.len() - present().count());
        match (present().min_by_key(|code| rank(code)), present().max_by_key(|code| rank(code))) {
            (Some(min), Some(max)) => {
                index.append(false, used.value(*min).to_vec(), used.value(*max).to_vec(), n_nulls);
            }
            _ => index.append(true, Vec::new(), Vec::new(), n_nulls),
        }
    }
    index.build().map(Some)
}

#[cfg(test)]
mod tests;
