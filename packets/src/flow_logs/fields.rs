//! Members of a JSON record, taken one by one; what is left has no column and is kept as it is.

use std::net::IpAddr;

use hindcast_model::rest;
use serde_json::{Map, Value};

use crate::rows::Rows;

/// The members of a record that were not taken yet.
pub(super) type Members = Map<String, Value>;

/// A text that is not empty.
pub(super) fn text(members: &mut Members, name: &str) -> Option<String> {
    match members.remove(name)? {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text),
        other => put_back(members, name, other),
    }
}

/// A number, or a text that is one.
pub(super) fn number(members: &mut Members, name: &str) -> Option<u64> {
    let value = members.remove(name)?;
    let number = match &value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.or_else(|| put_back(members, name, value))
}

/// A number that fits.
pub(super) fn narrow<T: TryFrom<u64>>(members: &mut Members, name: &str) -> Option<T> {
    number(members, name).and_then(|number| T::try_from(number).ok())
}

/// An address.
pub(super) fn ip(members: &mut Members, name: &str) -> Option<IpAddr> {
    let text = text(members, name)?;
    text.parse().ok().or_else(|| put_back(members, name, Value::String(text)))
}

/// An object.
pub(super) fn object(members: &mut Members, name: &str) -> Option<Members> {
    match members.remove(name)? {
        Value::Object(inner) => Some(inner),
        other => put_back(members, name, other),
    }
}

/// An instant of RFC 3339, nanoseconds since 1970.
pub(super) fn instant(members: &mut Members, name: &str) -> Option<i64> {
    let text = text(members, name)?;
    let parsed = chrono::DateTime::parse_from_rfc3339(&text).ok().and_then(|time| time.timestamp_nanos_opt());
    parsed.or_else(|| put_back(members, name, Value::String(text)))
}

/// What has another type than was asked for stays among the members that are kept.
fn put_back<T>(members: &mut Members, name: &str, value: Value) -> Option<T> {
    members.insert(name.to_owned(), value);
    None
}

fn whole(number: f64) -> Option<u64> {
    // Every whole number up to this one has a float of its own.
    const MOST: f64 = 9_007_199_254_740_992.0;
    let is_whole = number.fract() == 0.0 && (0.0..=MOST).contains(&number);
    if is_whole { format!("{number}").parse().ok() } else { None }
}

/// Units since 1970 as nanoseconds.
pub(super) fn nanos(units: u64, per_unit: i64) -> Option<i64> {
    i64::try_from(units).ok()?.checked_mul(per_unit)
}

/// Keeps the members that were not taken, and when the flow was last seen.
pub(super) fn keep_rest(rows: &mut Rows, row: usize, members: Members, (first, last): (i64, Option<i64>)) {
    rows.last_seen(row, first, last.unwrap_or(first));
    let kept: Members = members.into_iter().filter(|(_, value)| !is_nothing(value)).collect();
    if let (false, Ok(text)) = (kept.is_empty(), serde_json::to_vec(&kept)) {
        rows.add_rest(row, rest::UNKNOWN_JSON, &text);
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
