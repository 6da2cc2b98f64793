//! Tests of readable numbers and times.

use super::*;

#[test]
fn counts_and_sizes_are_grouped() {
    assert_eq!(
        (count(0), count(999), count(1000), count(1_234_567)),
        ("0".into(), "999".into(), "1 000".into(), "1 234 567".into())
    );
    assert_eq!(
        (size(0), size(1023), size(1024), size(1536)),
        ("0 B".into(), "1023 B".into(), "1.0 KiB".into(), "1.5 KiB".into())
    );
    assert_eq!(size(5 << 40), "5.0 TiB");
}

#[test]
fn times_are_utc() {
    let at = Timestamp::from_nanos(1_623_862_333_136_834_446);
    assert_eq!(time(at), "2021-06-16T16:52:13.136Z");
    assert_eq!(stamp(at), "Jun 16 16:52:13.136");
    assert_eq!(time(Timestamp::from_nanos(-1)), "1969-12-31T23:59:59.999Z");
    assert_eq!(time(Timestamp::from_nanos(1_709_164_800_000_000_000)), "2024-02-29T00:00:00.000Z");
}
