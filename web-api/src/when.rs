//! Instants as a person or a program writes them in a parameter.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use hindcast_model::Timestamp;

/// The forms, for messages and documentation.
pub(crate) const FORMS: &str = "RFC 3339 (2026-11-23T08:00:00Z), a date (2026-11-23, midnight UTC), seconds, milliseconds or nanoseconds since 1970, `now`, or a span before now (15m, 2h30m, 7d)";

/// The instant that `text` names, seen from `now`.
pub(crate) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") {
        return Some(now);
    }
    if let Some(instant) = epoch(text) {
        return Some(instant);
    }
    if let Ok(span) = parse_span(text.strip_prefix("now-").or_else(|| text.strip_prefix('-')).unwrap_or(text)) {
        return Some(now.saturating_sub(span));
    }
    rfc3339(text)
}

/// A length of time: `15m`, `2h 30m`, `7d`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// Digits alone: seconds up to the year 5138, milliseconds up to the same, then microseconds, then nanoseconds.
fn epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || !are_digits(digits) || !are_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    let unit: i64 = match number.unsigned_abs() {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    let mut nanos = number.checked_mul(unit)?;
    if !fraction.is_empty() {
        let scaled: i64 = format!("{fraction:0<9}").parse().ok()?;
        let part = scaled / (1_000_000_000 / unit);
        nanos = if whole.starts_with('-') { nanos.checked_sub(part)? } else { nanos.checked_add(part)? };
    }
    Some(Timestamp::from_nanos(nanos))
}

fn rfc3339(text: &str) -> Option<Timestamp> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return naive(date.and_hms_opt(0, 0, 0)?);
    }
    // A form field turns the plus of an offset into a space.
    let unspaced = match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains('T') => format!("{time}+{offset}"),
        _ => text.to_owned(),
    };
    let instant = DateTime::parse_from_rfc3339(&unspaced).ok()?;
    naive(instant.naive_utc())
}

fn naive(instant: NaiveDateTime) -> Option<Timestamp> {
    // A leap second counts as the last nanosecond before it is over.
    let utc = instant.and_utc();
    let nanos = i32::try_from(utc.timestamp_subsec_nanos().min(999_999_999)).ok()?;
    Timestamp::from_parts(utc.timestamp(), nanos).ok()
}

/// RFC 3339 in UTC with all nine digits.
pub(crate) fn format(instant: Timestamp) -> String {
    let mut text = Vec::with_capacity(32);
    write(&mut text, instant.as_nanos());
    String::from_utf8(text).unwrap_or_default()
}

/// Appends RFC 3339 in UTC with all nine digits.
pub(crate) fn write(out: &mut Vec<u8>, nanos: i64) {
    let (seconds, below) = Timestamp::from_nanos(nanos).to_parts();
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second_of_day = seconds.rem_euclid(86_400);
    let fields = [(year, 4, b'-'), (month, 2, b'-'), (day, 2, b'T')];
    let clock = [(second_of_day / 3600, 2, b':'), (second_of_day / 60 % 60, 2, b':'), (second_of_day % 60, 2, b'.')];
    for (value, width, after) in fields.into_iter().chain(clock) {
        digits(out, value, width);
        out.push(after);
    }
    digits(out, i64::from(below), 9);
    out.push(b'Z');
}

/// The proleptic Gregorian date of a day since 1970-01-01 (Hinnant's `civil_from_days`).
const fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day_of_month)
}

/// Appends the last `width` decimal digits of a number that is not negative.
fn digits(out: &mut Vec<u8>, value: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10_i64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests;
