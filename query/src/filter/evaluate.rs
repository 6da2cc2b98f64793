//! Exact evaluation of a filter over batches.
//!
//! Every step narrows a set of candidate rows, so a dear predicate sees only what the cheap ones left. A predicate on
//! a dictionary column is asked once per distinct value; the answers are kept while batches share the dictionary.

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp as _, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampNanosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::{Filter, NumberTest, TextTest};
use crate::FilterError;

/// Applies one filter to batch after batch.
#[derive(Debug)]
pub struct Evaluator {
    filter: Filter,
    /// One per text predicate, in the order of the tree.
    memos: Vec<Memo>,
}

/// What a predicate said of the values of a dictionary.
#[derive(Debug, Default)]
struct Memo {
    dictionary: Option<ArrayRef>,
    answers: Vec<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Unasked,
    No,
    Yes,
}

impl Filter {
    /// The rows of `batch` that match.
    ///
    /// # Errors
    /// A column has a type that its predicate cannot read.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, FilterError> {
        Evaluator::new(self.clone()).evaluate(batch)
    }
}

impl Evaluator {
    /// An evaluator of `filter`.
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        let mut n_texts = 0;
        count_texts(&filter, &mut n_texts);
        Self { filter, memos: std::iter::repeat_with(Memo::default).take(n_texts).collect() }
    }

    /// The rows of `batch` that match.
    ///
    /// # Errors
    /// A column has a type that its predicate cannot read.
    pub fn evaluate(&mut self, batch: &RecordBatch) -> Result<BooleanArray, FilterError> {
        let candidates = BooleanBuffer::new_set(batch.num_rows());
        self.narrow(batch, &candidates).map(|selected| BooleanArray::new(selected, None))
    }

    /// The rows among `candidates` that match.
    ///
    /// # Errors
    /// A column has a type that its predicate cannot read.
    pub fn narrow(&mut self, batch: &RecordBatch, candidates: &BooleanBuffer) -> Result<BooleanBuffer, FilterError> {
        let mut memos = self.memos.as_mut_slice();
        narrow(&self.filter, batch, candidates, &mut memos)
    }
}

fn count_texts(filter: &Filter, count: &mut usize) {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|part| count_texts(part, count)),
        Filter::Not(inner) => count_texts(inner, count),
        Filter::Text { .. } => *count += 1,
        Filter::True | Filter::Number { .. } | Filter::Bool { .. } | Filter::BytesPresent { .. } | Filter::Rows(_) => {}
    }
}

/// Walks the tree; `memos` loses from its front those of the predicates passed, asked or not.
fn narrow(
    filter: &Filter,
    batch: &RecordBatch,
    candidates: &BooleanBuffer,
    memos: &mut &mut [Memo],
) -> Result<BooleanBuffer, FilterError> {
    match filter {
        Filter::True => Ok(candidates.clone()),
        Filter::And(parts) => {
            let mut selected = candidates.clone();
            for part in parts {
                if is_empty(&selected) {
                    skip(part, memos);
                } else {
                    selected = narrow(part, batch, &selected, memos)?;
                }
            }
            Ok(selected)
        }
        Filter::Or(parts) => {
            let mut left = candidates.clone();
            for part in parts {
                if is_empty(&left) {
                    skip(part, memos);
                } else {
                    let found = narrow(part, batch, &left, memos)?;
                    left = &left & &!&found;
                }
            }
            Ok(candidates & &!&left)
        }
        Filter::Not(inner) => Ok(candidates & &!&narrow(inner, batch, candidates, memos)?),
        Filter::Text { column, test } => {
            let Some((memo, rest)) = std::mem::take(memos).split_first_mut() else {
                return Err(FilterError::new("a filter was evaluated with the memory of another"));
            };
            *memos = rest;
            texts(batch.column_by_name(column), test, candidates, memo)
        }
        Filter::Number { column, test } => numbers(batch.column_by_name(column), test, candidates),
        Filter::Bool { column, value } => match batch.column_by_name(column) {
            None => Ok(BooleanBuffer::new_unset(candidates.len())),
            Some(array) => {
                let array = array.as_boolean_opt().ok_or_else(|| wrong_type(array))?;
                let equal = if *value { array.values().clone() } else { !array.values() };
                let valid = array.nulls().map_or_else(|| equal.clone(), |nulls| &equal & nulls.inner());
                Ok(candidates & &valid)
            }
        },
        Filter::BytesPresent { column } => match batch.column_by_name(column) {
            None => Ok(BooleanBuffer::new_unset(candidates.len())),
            Some(array) => {
                Ok(array.logical_nulls().map_or_else(|| candidates.clone(), |nulls| candidates & nulls.inner()))
            }
        },
        Filter::Rows(test) => test.select(batch, candidates),
    }
}

fn skip(filter: &Filter, memos: &mut &mut [Memo]) {
    let mut n_texts = 0;
    count_texts(filter, &mut n_texts);
    let all = std::mem::take(memos);
    *memos = all.get_mut(n_texts..).unwrap_or_default();
}

fn is_empty(rows: &BooleanBuffer) -> bool {
    rows.count_set_bits() == 0
}

fn wrong_type(array: &ArrayRef) -> FilterError {
    FilterError::new(format!("a column has type {}, which its predicate cannot read", array.data_type()))
}

fn constant(answer: bool, candidates: &BooleanBuffer) -> BooleanBuffer {
    if answer { candidates.clone() } else { BooleanBuffer::new_unset(candidates.len()) }
}

fn texts(
    array: Option<&ArrayRef>,
    test: &TextTest,
    candidates: &BooleanBuffer,
    memo: &mut Memo,
) -> Result<BooleanBuffer, FilterError> {
    let Some(array) = array else { return Ok(constant(test.passes(None), candidates)) };
    match array.data_type() {
        DataType::Dictionary(_, _) => dictionary_texts(array, test, candidates, memo),
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            Ok(select_rows(candidates, |row| test.passes(texts.is_valid(row).then(|| texts.value(row)))))
        }
        DataType::Utf8View => {
            let texts = array.as_string_view();
            Ok(select_rows(candidates, |row| test.passes(texts.is_valid(row).then(|| texts.value(row)))))
        }
        DataType::Null => Ok(constant(test.passes(None), candidates)),
        _ => Err(wrong_type(array)),
    }
}

fn dictionary_texts(
    array: &ArrayRef,
    test: &TextTest,
    candidates: &BooleanBuffer,
    memo: &mut Memo,
) -> Result<BooleanBuffer, FilterError> {
    let dictionary = array.as_dictionary_opt::<Int32Type>().ok_or_else(|| wrong_type(array))?;
    let values = dictionary.values();
    let texts = values.as_string_opt::<i32>().ok_or_else(|| wrong_type(array))?;
    if !memo.dictionary.as_ref().is_some_and(|kept| std::sync::Arc::ptr_eq(kept, values)) {
        memo.dictionary = Some(std::sync::Arc::clone(values));
        memo.answers.clear();
        memo.answers.resize(values.len(), Answer::Unasked);
    }
    let absent = test.passes(None);
    let keys = dictionary.keys();
    let answers = &mut memo.answers;
    Ok(select_rows(candidates, |row| {
        if keys.is_null(row) {
            return absent;
        }
        let Ok(key) = usize::try_from(keys.value(row)) else { return absent };
        let Some(answer) = answers.get_mut(key) else { return absent };
        if *answer == Answer::Unasked {
            let passes = test.passes(texts.is_valid(key).then(|| texts.value(key)));
            *answer = if passes { Answer::Yes } else { Answer::No };
        }
        *answer == Answer::Yes
    }))
}

/// The candidates for which `passes` holds.
pub(super) fn select_rows(candidates: &BooleanBuffer, mut passes: impl FnMut(usize) -> bool) -> BooleanBuffer {
    let n_rows = candidates.len();
    let n_candidates = candidates.count_set_bits();
    if n_candidates == n_rows {
        return BooleanBuffer::collect_bool(n_rows, passes);
    }
    let mut selected = BooleanBufferBuilder::new(n_rows);
    selected.append_n(n_rows, false);
    for row in candidates.set_indices() {
        if passes(row) {
            selected.set_bit(row, true);
        }
    }
    selected.finish()
}

fn numbers(
    array: Option<&ArrayRef>,
    test: &NumberTest,
    candidates: &BooleanBuffer,
) -> Result<BooleanBuffer, FilterError> {
    let Some(array) = array else { return Ok(constant(test.passes(None), candidates)) };
    match array.data_type() {
        DataType::UInt8 => Ok(typed::<UInt8Type>(array, test, candidates)),
        DataType::UInt16 => Ok(typed::<UInt16Type>(array, test, candidates)),
        DataType::UInt32 => Ok(typed::<UInt32Type>(array, test, candidates)),
        DataType::UInt64 => Ok(typed::<UInt64Type>(array, test, candidates)),
        DataType::Int8 => Ok(typed::<Int8Type>(array, test, candidates)),
        DataType::Int16 => Ok(typed::<Int16Type>(array, test, candidates)),
        DataType::Int32 => Ok(typed::<Int32Type>(array, test, candidates)),
        DataType::Int64 => Ok(typed::<Int64Type>(array, test, candidates)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Ok(typed::<TimestampNanosecondType>(array, test, candidates)),
        _ => Err(wrong_type(array)),
    }
}

fn typed<T: ArrowPrimitiveType>(array: &ArrayRef, test: &NumberTest, candidates: &BooleanBuffer) -> BooleanBuffer
where
    i128: From<T::Native>,
    T::Native: TryFrom<i128>,
{
    let numbers = array.as_primitive::<T>();
    let values = numbers.values();
    // One comparison per row where the test is an interval, over all rows: that is vectorised.
    let interval = match test {
        NumberTest::OneOf(set) if set.len() == 1 => set.first().map(|only| (*only, *only)),
        NumberTest::Between(low, high) => Some((*low, *high)),
        NumberTest::Absent | NumberTest::OneOf(_) | NumberTest::Bits(_, _) => None,
    };
    if let Some((low, high)) = interval {
        let (least, most) = (i128::from(T::Native::MIN_TOTAL_ORDER), i128::from(T::Native::MAX_TOTAL_ORDER));
        let (Ok(low), Ok(high)) = (T::Native::try_from(low.max(least)), T::Native::try_from(high.min(most))) else {
            return BooleanBuffer::new_unset(candidates.len());
        };
        if i128::from(low) > i128::from(high) {
            return BooleanBuffer::new_unset(candidates.len());
        }
        let inside = BooleanBuffer::collect_bool(values.len(), |row| {
            values.get(row).is_some_and(|value| value.is_ge(low) && value.is_le(high))
        });
        let valid = numbers.nulls().map_or_else(|| inside.clone(), |nulls| &inside & nulls.inner());
        return candidates & &valid;
    }
    select_rows(candidates, |row| {
        test.passes(numbers.is_valid(row).then(|| values.get(row).map(|value| i128::from(*value))).flatten())
    })
}
