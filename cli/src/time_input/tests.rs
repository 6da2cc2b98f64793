//! Tests of typed times.

use super::*;

const NOW: Timestamp = Timestamp::from_nanos(1_755_856_800_000_000_000); // 2025-08-22T10:00:00Z

fn seconds(text: &str) -> i64 {
    parse(text, NOW).expect(text).as_nanos() / 1_000_000_000
}

#[test]
fn durations_count_back_from_now() {
    assert_eq!(seconds("now"), 1_755_856_800);
    assert_eq!(seconds("5m"), 1_755_856_500);
    assert_eq!(seconds("1h30m"), 1_755_851_400);
    assert_eq!(seconds("2d"), 1_755_684_000);
}

#[test]
fn dates_and_clocks_are_read() {
    assert_eq!(seconds("1970-01-01"), 0);
    assert_eq!(seconds("2024-02-29"), 1_709_164_800);
    assert_eq!(seconds("2025-08-22T10Z"), 1_755_856_800);
    assert_eq!(seconds("2025-08-22T10:00Z"), 1_755_856_800);
    assert_eq!(seconds("2025-08-22 12:00:00+02:00"), 1_755_856_800);
    assert_eq!(seconds("2025-08-22T02:30:00-0730"), 1_755_856_800);
    assert_eq!(seconds("1969-12-31T23:59:59Z"), -1);
    assert_eq!(parse("2025-08-22T10:00:00.000000001Z", NOW).unwrap().as_nanos(), NOW.as_nanos() + 1);
    assert_eq!(parse("2025-08-22T10:00:00.5Z", NOW).unwrap().as_nanos(), NOW.as_nanos() + 500_000_000);
}

#[test]
fn a_clock_needs_a_zone() {
    assert_eq!(parse("2025-08-22T10:00:00", NOW), Err(TimeError::NoZone("2025-08-22T10:00:00".to_owned())));
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "yesterday",
        "2025-13-01",
        "2025-02-29",
        "2025-8-1",
        "2025-08-22T25:00Z",
        "2025-08-22T10:00:00.1234567890Z",
    ] {
        assert!(matches!(parse(text, NOW), Err(TimeError::Unknown(_))), "{text}");
    }
    assert!(matches!(parse("9999-01-01", NOW), Err(TimeError::OutOfRange(_))));
}
