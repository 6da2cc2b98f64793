//! The numbers of two kernels.

use super::{bits_of, first_reason, parse_reasons};

#[test]
fn reasons_are_read_from_the_tracepoints_format() {
    let format = r#"print fmt: "reason: %s", __print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 3, "NO_SOCKET" },
 { 104, "QUEUE_PURGE" })"#;
    let reasons = parse_reasons(format);
    assert_eq!(reasons.len(), 3);
    assert_eq!(reasons[&3], "NO_SOCKET");
    assert!(parse_reasons("field:unsigned short common_type; { broken").is_empty());
}

#[test]
fn the_first_reason_is_after_the_one_that_is_none() {
    let older = parse_reasons(r#"{ 1, "NOT_SPECIFIED" }, { 2, "NO_SOCKET" }"#);
    let newer = parse_reasons(r#"{ 1, "CONSUMED" }, { 2, "NOT_SPECIFIED" }, { 3, "NO_SOCKET" }"#);
    assert_eq!([&older, &newer, &parse_reasons("")].map(first_reason), [2, 3, 3]);
}

#[test]
fn reasons_nobody_wants_to_hear_of_are_bits() {
    let reasons = parse_reasons(r#"{ 3, "NO_SOCKET" }, { 63, "A" }, { 64, "B" }, { 300, "OF_A_SUBSYSTEM" }"#);
    let names = ["A", "B", "OF_A_SUBSYSTEM", "UNKNOWN"].map(str::to_owned);
    assert_eq!(bits_of(&reasons, &names), [1 << 63, 1, 0, 0]);
}
