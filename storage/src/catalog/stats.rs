//! Statistics and times in the catalogue's text forms.

use hindcast_model::Timestamp;

/// What the catalogue keeps of one column of one file.
#[derive(Clone, Debug)]
pub(crate) struct ColumnStats {
    /// Position among the table's columns.
    pub(crate) column: usize,
    pub(crate) n_bytes: u64,
    pub(crate) n_values: u64,
    pub(crate) n_nulls: u64,
    pub(crate) min: Option<String>,
    pub(crate) max: Option<String>,
}

/// What the catalogue keeps of the columns of one file.
pub(crate) type SegmentStats = Vec<ColumnStats>;

/// An instant as DuckDB writes a `timestamptz`: microseconds, cut as DuckDB cuts nanoseconds when it reads them.
/// Six digits always, so that texts sort as their times do.
pub(crate) fn time_text(time: Timestamp) -> String {
    let (seconds, nanos) = time.to_parts();
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:06}+00", nanos / 1000)
}

/// The date of a day counted from 1970-01-01, by the era arithmetic of the proleptic Gregorian calendar.
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    //! Dates against known ones.

    use super::*;

    #[test]
    fn times_read_as_duckdb_writes_them() {
        let text = |nanos| time_text(Timestamp::from_nanos(nanos));
        assert_eq!(text(0), "1970-01-01 00:00:00.000000+00");
        assert_eq!(text(-1), "1969-12-31 23:59:59.999999+00");
        assert_eq!(text(1_780_002_000_123_456_789), "2026-05-28 21:00:00.123456+00");
        assert_eq!(text(951_782_400_000_000_000), "2000-02-29 00:00:00.000000+00");
    }
}
