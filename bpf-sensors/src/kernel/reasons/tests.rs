//! The numbers of two kernels.

use super::{first_reason, parse_reasons};

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
