//! Times as people type them: how long ago, a date, or RFC 3339.
//!
//! Accepted: everything the `hubble` CLI takes (`5m`, `1h30m`, `2006-01-02`, `2006-01-02T15Z`, `2006-01-02T15:04Z`,
//! RFC 3339 with any fraction and zone), days and weeks (`3d`, `2w`), and `now`. A clock time needs a zone.

use hindcast_model::Timestamp;

/// A text that is no time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TimeError {
    /// It has a clock but no zone.
    #[error("{0:?} has no zone: add Z for UTC, or an offset like +02:00")]
    NoZone(String),
    /// It is nothing known.
    #[error(
        "{0:?} is no time: give how long ago (5m, 2h30m, 3d), a date (2026-08-22), or RFC 3339 (2026-08-22T10:00:00Z)"
    )]
    Unknown(String),
    /// It lies outside of what can be recorded.
    #[error("{0:?} is outside 1677-09-21 to 2262-04-11")]
    OutOfRange(String),
}

/// The time that `text` names, seen from `now`.
///
/// # Errors
/// It names none.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(now.saturating_sub(ago));
    }
    let unknown = || TimeError::Unknown(text.to_owned());
    let (date, clock) = match text.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let days = parse_date(date).ok_or_else(unknown)?;
    let Some(clock) = clock else { return instant(text, days * 86_400, 0) };
    let (clock, offset_s) = split_zone(clock).ok_or_else(|| TimeError::NoZone(text.to_owned()))?;
    let (seconds, nanos) = parse_clock(clock).ok_or_else(unknown)?;
    instant(text, days * 86_400 + seconds - offset_s, nanos)
}

fn instant(text: &str, seconds: i64, nanos: i32) -> Result<Timestamp, TimeError> {
    Timestamp::from_parts(seconds, nanos).map_err(|_outside| TimeError::OutOfRange(text.to_owned()))
}

/// Days since the epoch of `YYYY-MM-DD`, by the civil calendar.
fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let (year, month, day): (i64, i64, i64) = (digits(year)?, digits(month)?, digits(day)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    // Years that begin in March put the leap day at the end.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The clock without its zone, and the zone's offset in seconds.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let sign_at = text.rfind(['+', '-'])?;
    let (clock, zone) = text.split_at_checked(sign_at)?;
    let (sign, zone) = zone.split_at_checked(1)?;
    let (hours, minutes) = zone.split_once(':').or_else(|| zone.split_at_checked(2))?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = hours * 3600 + minutes * 60;
    Some((clock, if sign == "-" { -offset } else { offset }))
}

/// Seconds and nanoseconds of `HH`, `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fraction`.
fn parse_clock(text: &str) -> Option<(i64, i32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let hours = digits(parts.next()?)?;
    let minutes = parts.next().map_or(Some(0), digits)?;
    let seconds = parts.next().map_or(Some(0), digits)?;
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 || fraction.len() > 9 {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { digits(&format!("{fraction:0<9}"))? };
    Some((hours * 3600 + minutes * 60 + seconds, i32::try_from(nanos).ok()?))
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
