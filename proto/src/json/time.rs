//! RFC 3339 instants and durations in seconds, as proto JSON writes them.

use super::JsonError;

/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, the range of a `google.protobuf.Timestamp`.
pub(super) const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// About 10,000 years, the range of a `google.protobuf.Duration`.
const DURATION_SECONDS: i64 = 315_576_000_000;
const DAY: i64 = 86_400;

/// Seconds and nanoseconds since the epoch of an RFC 3339 text.
pub(super) fn parse_instant(text: &str) -> Result<(i64, i32), JsonError> {
    instant(text.as_bytes())
        .filter(|(seconds, _)| SECONDS.contains(seconds))
        .ok_or(JsonError::field("a time (RFC 3339)"))
}

fn instant(text: &[u8]) -> Option<(i64, i32)> {
    let (fixed, rest) = text.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T' | b't' | b' ', h0, h1, b':', mi0, mi1, b':', s0, s1] =
        *fixed
    else {
        return None;
    };
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let (month, day) = (two(mo0, mo1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(mi0, mi1)?, two(s0, s1)?);
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, zone) = match rest {
        [b'.', digits @ ..] => fraction(digits)?,
        _ => (0, rest),
    };
    let offset = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if sign == b'+' { 1 } else { -1 }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    Some((seconds, nanos))
}

/// Up to nine digits as nanoseconds, and what follows them.
fn fraction(digits: &[u8]) -> Option<(i32, &[u8])> {
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let (digits, rest) = digits.split_at_checked(length)?;
    let value = digits.iter().fold(0_i32, |value, digit| value * 10 + i32::from(digit - b'0'));
    let scale = 10_i32.pow(u32::try_from(9 - length).ok()?);
    Some((value * scale, rest))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since the epoch of a date in the proleptic Gregorian calendar.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Appends an instant as RFC 3339 with 0, 3, 6 or 9 decimals. Requires: `seconds` in [`SECONDS`].
pub(super) fn put_instant(out: &mut Vec<u8>, seconds: i64, nanos: u32) {
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    put_two(out, year / 100);
    put_two(out, year % 100);
    out.push(b'-');
    put_two(out, month);
    out.push(b'-');
    put_two(out, day);
    out.push(b'T');
    put_two(out, second / 3600);
    out.push(b':');
    put_two(out, second / 60 % 60);
    out.push(b':');
    put_two(out, second % 60);
    put_fraction(out, nanos);
    out.push(b'Z');
}

fn put_two(out: &mut Vec<u8>, number: i64) {
    let number = u8::try_from(number.rem_euclid(100)).unwrap_or(0);
    out.push(b'0' + number / 10);
    out.push(b'0' + number % 10);
}

/// Appends `.` and 3, 6 or 9 digits, or nothing.
pub(super) fn put_fraction(out: &mut Vec<u8>, nanos: u32) {
    let (mut value, n_digits) = match nanos {
        0 => return,
        _ if nanos.is_multiple_of(1_000_000) => (nanos / 1_000_000, 3),
        _ if nanos.is_multiple_of(1000) => (nanos / 1000, 6),
        _ => (nanos, 9),
    };
    out.push(b'.');
    let mut digits = [b'0'; 9];
    for place in digits.iter_mut().take(n_digits).rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
    out.extend(digits.iter().take(n_digits));
}

/// Seconds and nanoseconds, of the same sign, of a text like `-1.5s`.
pub(super) fn parse_duration(text: &str) -> Result<(i64, i32), JsonError> {
    duration(text).ok_or(JsonError::field("a duration in seconds, as in 1.5s"))
}

fn duration(text: &str) -> Option<(i64, i32)> {
    let text = text.strip_suffix('s')?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (seconds, nanos) = match text.split_once('.') {
        Some((seconds, digits)) => match fraction(digits.as_bytes())? {
            (nanos, []) => (seconds, nanos),
            _ => return None,
        },
        None => (text, 0),
    };
    if !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    (seconds <= DURATION_SECONDS).then_some((seconds * sign, nanos * if sign < 0 { -1 } else { 1 }))
}

/// Appends a duration; `false` if its parts are none.
pub(super) fn put_duration(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> bool {
    let in_range = seconds.unsigned_abs() <= DURATION_SECONDS.unsigned_abs() && nanos.unsigned_abs() < 1_000_000_000;
    if !in_range || (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0) {
        return false;
    }
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(seconds.unsigned_abs().to_string().as_bytes());
    put_fraction(out, nanos.unsigned_abs());
    out.push(b's');
    true
}
