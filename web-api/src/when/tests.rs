//! Every way to write an instant.

use hindcast_model::Timestamp;

use super::{format, parse};

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

fn check(text: &str, nanos: i64) {
    assert_eq!(parse(text, NOW).map(Timestamp::as_nanos), Some(nanos), "{text}");
}

#[test]
fn every_form_is_read() {
    let seconds = 1_700_000_000_000_000_000;
    check("1700000000", seconds);
    check("1700000000.5", seconds + 500_000_000);
    check("1700000000123", seconds + 123_000_000);
    check("1700000000123456", seconds + 123_456_000);
    check("1700000000123456789", seconds + 123_456_789);
    check("-1", -1_000_000_000);
    check("2023-11-14T22:13:20Z", seconds);
    check("2023-11-14T23:13:20.000000001+01:00", seconds + 1);
    check("2023-11-14T23:13:20 01:00", seconds);
    check("2023-11-14", 1_699_920_000_000_000_000);
    check("now", seconds);
    check("15m", seconds - 900_000_000_000);
    check("now-1h 30m", seconds - 5_400_000_000_000);
    check("-7d", seconds - 604_800_000_000_000);
}

#[test]
fn what_is_no_instant_is_refused() {
    for text in ["", "yesterday", "2023-13-01", "2023-11-14T22:13:20", "12:00", "1e9", "99999-01-01T00:00:00Z", "--1"] {
        assert_eq!(parse(text, NOW), None, "{text}");
    }
}

#[test]
fn all_nine_digits_are_written() {
    assert_eq!(format(Timestamp::from_nanos(1_700_000_000_000_000_001)), "2023-11-14T22:13:20.000000001Z");
    assert_eq!(format(Timestamp::from_nanos(0)), "1970-01-01T00:00:00.000000000Z");
    assert_eq!(format(Timestamp::MIN), "1677-09-21T00:12:43.145224192Z");
}
