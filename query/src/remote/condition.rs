//! A filter as a condition of ClickHouse.

use hindcast_model::{ColumnKind, TableId};

use super::literal;
use crate::filter::{BitsTest, Filter, NumberTest, TextTest};

/// A condition that holds for every row that a filter matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// In ClickHouse's SQL; `None` for every row.
    pub(crate) text: Option<String>,
    /// Whether it holds for no other row.
    pub(crate) is_exact: bool,
}

/// The condition of a filter on a table.
pub(crate) fn condition(table: TableId, filter: &Filter) -> Condition {
    let over = wide(table, filter);
    Condition { text: (over.text != ALL).then_some(over.text), is_exact: over.is_exact }
}

const ALL: &str = "1";
const NOTHING: &str = "0";

/// A condition without a third truth value, and whether it says just what the filter says.
struct Said {
    text: String,
    is_exact: bool,
}

impl Said {
    fn exact(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_exact: true }
    }

    fn about(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_exact: false }
    }
}

/// A condition that holds for every match, and perhaps for more.
fn wide(table: TableId, filter: &Filter) -> Said {
    match filter {
        Filter::And(parts) => joined(parts.iter().map(|part| wide(table, part)), " AND ", ALL),
        Filter::Or(parts) => joined(parts.iter().map(|part| wide(table, part)), " OR ", NOTHING),
        Filter::Not(inner) => negated(narrow(table, inner)),
        other => leaf(table, other, ALL),
    }
}

/// A condition that holds for matches only, and perhaps not for all.
fn narrow(table: TableId, filter: &Filter) -> Said {
    match filter {
        Filter::And(parts) => joined(parts.iter().map(|part| narrow(table, part)), " AND ", ALL),
        Filter::Or(parts) => joined(parts.iter().map(|part| narrow(table, part)), " OR ", NOTHING),
        Filter::Not(inner) => negated(wide(table, inner)),
        other => leaf(table, other, NOTHING),
    }
}

fn negated(inner: Said) -> Said {
    let text = match inner.text.as_str() {
        ALL => NOTHING.to_owned(),
        NOTHING => ALL.to_owned(),
        text => format!("NOT ifNull({text}, 0)"),
    };
    Said { text, is_exact: inner.is_exact }
}

/// Conditions joined; one that decides nothing is left out, one that decides all is all.
fn joined(parts: impl Iterator<Item = Said>, word: &str, neutral: &str) -> Said {
    let deciding = if neutral == ALL { NOTHING } else { ALL };
    let parts = parts.collect::<Vec<_>>();
    let is_exact = parts.iter().all(|part| part.is_exact);
    if parts.iter().any(|part| part.text == deciding) {
        let is_sure = parts.iter().any(|part| part.text == deciding && part.is_exact);
        return Said { text: deciding.to_owned(), is_exact: is_exact || is_sure };
    }
    let texts = parts.iter().filter(|part| part.text != neutral).map(|part| format!("({})", part.text));
    let texts = texts.collect::<Vec<_>>();
    Said { text: if texts.is_empty() { neutral.to_owned() } else { texts.join(word) }, is_exact }
}

/// A single predicate; `unknown` is said where the server cannot decide it.
fn leaf(table: TableId, filter: &Filter, unknown: &str) -> Said {
    match filter {
        Filter::True => Said::exact(ALL),
        Filter::Text { column, test } => text(column, test, unknown),
        Filter::Number { column, test } => {
            let kind = table.columns().iter().find(|known| known.name == *column).map(|known| known.kind);
            kind.map_or_else(|| Said::about(unknown), |kind| number(column, kind, test))
        }
        Filter::Bool { column, value } => Said::exact(format!("{column} = {value}")),
        Filter::BytesPresent { column } => Said::exact(format!("isNotNull({column})")),
        Filter::Rows(_) | Filter::And(_) | Filter::Or(_) | Filter::Not(_) => Said::about(unknown),
    }
}

fn text(column: &str, test: &TextTest, unknown: &str) -> Said {
    match test {
        TextTest::Absent => Said::exact(format!("ifNull({column} = '', 1)")),
        TextTest::OneOf(values) | TextTest::OneOfIgnoringCase(values) if values.is_empty() => Said::exact(NOTHING),
        TextTest::OneOf(values) => {
            Said::exact(format!("{column} IN ({})", literal::texts(values.iter().map(String::as_str))))
        }
        TextTest::OneOfIgnoringCase(values) => {
            Said::exact(format!("lower({column}) IN ({})", literal::texts(values.iter().map(String::as_str))))
        }
        TextTest::Prefix(prefix) => Said::exact(format!("startsWith({column}, {})", literal::text(prefix))),
        TextTest::Family(name) => Said::exact(format!(
            "{column} = {} OR startsWith({column}, {})",
            literal::text(name),
            literal::text(&format!("{name}-"))
        )),
        // The server folds the case of ASCII only; of other texts it says what the question can bear.
        TextTest::Contains(part) if part.is_ascii() => {
            let found = format!("positionCaseInsensitive({column}, {}) > 0", literal::text(part));
            match unknown {
                ALL => Said::about(format!("{found} OR length({column}) != lengthUTF8({column})")),
                _ => Said::about(format!("{found} AND length({column}) = lengthUTF8({column})")),
            }
        }
        // An absent text may pass.
        TextTest::MatchesOrAbsent(_) | TextTest::Labels(_) => Said::about(unknown),
        TextTest::Contains(_)
        | TextTest::Matches(_)
        | TextTest::InNetwork(_)
        | TextTest::UrlPath(_)
        | TextTest::AnyItem(_)
        | TextTest::Pair(_, _) => match unknown {
            ALL => Said::about(format!("isNotNull({column})")),
            _ => Said::about(NOTHING),
        },
    }
}

/// Least and greatest number of a column.
const fn bounds(kind: ColumnKind) -> Option<(i128, i128)> {
    Some(match kind {
        ColumnKind::U8 => (0, u8::MAX as i128),
        ColumnKind::U16 => (0, u16::MAX as i128),
        ColumnKind::U32 => (0, u32::MAX as i128),
        ColumnKind::U64 => (0, u64::MAX as i128),
        ColumnKind::I32 => (i32::MIN as i128, i32::MAX as i128),
        ColumnKind::I64 | ColumnKind::Time => (i64::MIN as i128, i64::MAX as i128),
        ColumnKind::Bool | ColumnKind::Dict | ColumnKind::DictBytes | ColumnKind::Text | ColumnKind::Bytes => {
            return None;
        }
    })
}

fn number(column: &str, kind: ColumnKind, test: &NumberTest) -> Said {
    let Some((least, most)) = bounds(kind) else { return Said::about(ALL) };
    let value = |number: i128| match kind {
        ColumnKind::Time => literal::time(i64::try_from(number).unwrap_or(0)),
        _ => number.to_string(),
    };
    match test {
        NumberTest::Absent => Said::exact(format!("isNull({column})")),
        NumberTest::OneOf(values) => {
            let known = values.range(least..=most).map(|number| value(*number)).collect::<Vec<_>>();
            match known.as_slice() {
                [] => Said::exact(NOTHING),
                known => Said::exact(format!("{column} IN ({})", known.join(", "))),
            }
        }
        NumberTest::Between(low, high) => {
            if low > high || *low > most || *high < least {
                return Said::exact(NOTHING);
            }
            let mut all = Vec::new();
            if *low > least {
                all.push(format!("{column} >= {}", value(*low)));
            }
            if *high < most {
                all.push(format!("{column} <= {}", value(*high)));
            }
            match all.as_slice() {
                [] => Said::exact(format!("isNotNull({column})")),
                all => Said::exact(all.join(" AND ")),
            }
        }
        NumberTest::Bits(test, mask) => {
            let bits = match kind {
                ColumnKind::Time => {
                    format!("toUInt64(if(toUnixTimestamp64Nano({column}) < 0, 0, toUnixTimestamp64Nano({column})))")
                }
                ColumnKind::I32 | ColumnKind::I64 => format!("toUInt64(if({column} < 0, 0, {column}))"),
                _ => format!("toUInt64({column})"),
            };
            let masked = format!("bitAnd({bits}, toUInt64({mask}))");
            Said::exact(match test {
                BitsTest::All => format!("{masked} = {mask}"),
                BitsTest::Any => format!("{masked} != 0"),
                BitsTest::None => format!("{masked} = 0"),
                BitsTest::Exactly => format!("{bits} = {mask}"),
            })
        }
    }
}

#[cfg(test)]
mod tests;
