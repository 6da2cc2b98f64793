//! Numbers, sizes, times and spans as people read them.

use hindcast_model::Timestamp;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// `1 234 567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `12.3 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).copied().unwrap_or_default())
}

/// `2026-08-22T10:00:00.123Z`.
pub(crate) fn time(at: Timestamp) -> String {
    let parts = Parts::of(at);
    let (year, month, day) = parts.date;
    let (hours, minutes, seconds) = parts.clock;
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", parts.millis)
}

/// `2026-08-22T10:00:00.123456789Z`.
pub(crate) fn exact(at: Timestamp) -> String {
    let parts = Parts::of(at);
    let (year, month, day) = parts.date;
    let (hours, minutes, seconds) = parts.clock;
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:09}Z", at.to_parts().1)
}

/// `Aug 22 10:00:00.123`, as `hubble observe` prints it, UTC.
pub(crate) fn stamp(at: Timestamp) -> String {
    let parts = Parts::of(at);
    let (_, month, day) = parts.date;
    let (hours, minutes, seconds) = parts.clock;
    let month = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
    format!("{month} {day:>2} {hours:02}:{minutes:02}:{seconds:02}.{:03}", parts.millis)
}

struct Parts {
    date: (i64, i64, i64),
    clock: (i64, i64, i64),
    millis: i32,
}

impl Parts {
    fn of(at: Timestamp) -> Self {
        let (seconds, nanos) = at.to_parts();
        let clock = seconds.rem_euclid(86_400);
        Self {
            date: civil(seconds.div_euclid(86_400)),
            clock: (clock / 3600, clock / 60 % 60, clock % 60),
            millis: nanos / 1_000_000,
        }
    }
}

/// Year, month and day of a day since the epoch, by the civil calendar.
const fn civil(days: i64) -> (i64, i64, i64) {
    // Years that begin in March put the leap day at the end.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests;
