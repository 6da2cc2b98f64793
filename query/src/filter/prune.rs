//! Whether a part of a segment can hold a match, from its statistics alone. A "no" is certain (QU-2); where nothing
//! is known the answer is "perhaps".

use super::{BitsTest, Filter, NumberTest, TextTest};

/// What is known of one column over a part of a segment.
pub trait Statistics {
    /// How many rows the part has.
    fn n_rows(&self) -> u64;
    /// How many rows have no value in `column`, if known.
    fn nulls(&self, column: &str) -> Option<u64>;
    /// Least and greatest text in `column`, each a bound (may be cut short), if known.
    fn text_bounds(&self, column: &str) -> Option<(&str, &str)>;
    /// Least and greatest number in `column`, if known.
    fn number_bounds(&self, column: &str) -> Option<(i128, i128)>;
    /// Whether `column` may hold `text`, by its bloom filter; true if there is none.
    fn may_hold(&self, column: &str, text: &str) -> bool;
    /// Whether some text in `column` may pass, by its dictionary; true if there is none.
    fn may_pass(&self, column: &str, test: &TextTest) -> bool;
}

impl Filter {
    /// Whether rows described by `statistics` may match.
    #[must_use]
    pub fn may_match(&self, statistics: &dyn Statistics) -> bool {
        match self {
            Self::True | Self::Rows(_) => true,
            Self::And(parts) => parts.iter().all(|part| part.may_match(statistics)),
            Self::Or(parts) => parts.iter().any(|part| part.may_match(statistics)),
            Self::Not(inner) => inner.may_miss(statistics),
            Self::Text { column, test } => text_may_match(column, test, statistics),
            Self::Number { column, test } => number_may_match(column, test, statistics),
            Self::Bool { column, .. } | Self::BytesPresent { column } => !all_null(column, statistics),
        }
    }

    /// Whether rows described by `statistics` may fail to match.
    fn may_miss(&self, statistics: &dyn Statistics) -> bool {
        match self {
            Self::True => false,
            Self::Rows(_) | Self::Bool { .. } => true,
            Self::And(parts) => parts.iter().any(|part| part.may_miss(statistics)),
            Self::Or(parts) => parts.iter().all(|part| part.may_miss(statistics)),
            Self::Not(inner) => inner.may_match(statistics),
            Self::Text { column, test: TextTest::Absent } | Self::Number { column, test: NumberTest::Absent } => {
                !all_null(column, statistics)
            }
            Self::BytesPresent { column } => statistics.nulls(column) != Some(0),
            Self::Text { column, test: TextTest::OneOf(values) } => {
                let all_equal = statistics.nulls(column) == Some(0)
                    && statistics.text_bounds(column).is_some_and(|(least, most)| {
                        // A bound may be cut short, but then it differs from the other one or from the value.
                        least == most && values.contains(least) && least.len() < 32
                    });
                !all_equal
            }
            Self::Number { column, test: NumberTest::Between(low, high) } => {
                let all_inside = statistics.nulls(column) == Some(0)
                    && statistics.number_bounds(column).is_some_and(|(least, most)| *low <= least && most <= *high);
                !all_inside
            }
            Self::Text { .. } | Self::Number { .. } => true,
        }
    }
}

fn all_null(column: &str, statistics: &dyn Statistics) -> bool {
    statistics.nulls(column).is_some_and(|nulls| nulls == statistics.n_rows())
}

fn text_may_match(column: &str, test: &TextTest, statistics: &dyn Statistics) -> bool {
    if all_null(column, statistics) {
        return test.passes(None);
    }
    if test.passes(None) && statistics.nulls(column) != Some(0) {
        return true;
    }
    if !statistics.may_pass(column, test) {
        return false;
    }
    let bounds = statistics.text_bounds(column);
    let one_value = bounds.filter(|(least, most)| least == most && least.len() < 32).map(|(least, _)| least);
    match test {
        // An empty text counts as absent.
        TextTest::Absent => bounds.is_none_or(|(least, _)| least.is_empty()),
        TextTest::OneOf(values) => values.iter().any(|value| {
            bounds.is_none_or(|(least, most)| least <= value.as_str() && value.as_str() <= most)
                && statistics.may_hold(column, value)
        }),
        TextTest::Prefix(prefix) | TextTest::Family(prefix) => bounds.is_none_or(|(least, most)| {
            let least_is_past = least > prefix.as_str() && !least.starts_with(prefix.as_str());
            !least_is_past && (most >= prefix.as_str() || prefix.starts_with(most))
        }),
        TextTest::OneOfIgnoringCase(_)
        | TextTest::Contains(_)
        | TextTest::Matches(_)
        | TextTest::MatchesOrAbsent(_)
        | TextTest::InNetwork(_)
        | TextTest::UrlPath(_)
        | TextTest::AnyItem(_)
        | TextTest::Pair(_, _)
        | TextTest::Labels(_) => one_value.is_none_or(|value| test.passes(Some(value))),
    }
}

fn number_may_match(column: &str, test: &NumberTest, statistics: &dyn Statistics) -> bool {
    if all_null(column, statistics) {
        return test.passes(None);
    }
    let Some((least, most)) = statistics.number_bounds(column) else { return true };
    match test {
        NumberTest::Absent => statistics.nulls(column) != Some(0),
        NumberTest::OneOf(values) => values.range(least..=most.max(least)).next().is_some(),
        NumberTest::Between(low, high) => *low <= most && least <= *high,
        NumberTest::Bits(BitsTest::All | BitsTest::Exactly, mask) => most >= i128::from(*mask),
        NumberTest::Bits(BitsTest::Any | BitsTest::None, _) => true,
    }
}
