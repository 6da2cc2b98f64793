//! Tests of carets.

use super::*;

#[test]
fn a_caret_stands_below_the_fault() {
    assert_eq!(point_at("ns:a verdct:x", Span { start: 5, end: 11 }), "  ns:a verdct:x\n       ^^^^^^");
    assert_eq!(point_at("ns:ä x:1", Span { start: 6, end: 7 }), "  ns:ä x:1\n       ^", "characters, not bytes");
    assert_eq!(point_at("SELECT\n  a FORM b", Span { start: 11, end: 15 }), "    a FORM b\n      ^^^^");
    assert_eq!(point_at("ns:(", Span { start: 4, end: 4 }), "  ns:(\n      ^", "the end of the text");
    assert_eq!(point_at("", Span { start: 0, end: 9 }), "  \n  ^");
}

#[test]
fn a_line_and_a_column_name_a_word() {
    let text = "SELECT ä,\nFORM flows";
    assert_eq!(of_place(text, 2, 6), Some(Span { start: 16, end: 21 }));
    assert_eq!(of_place(text, 1, 8), Some(Span { start: 7, end: 9 }));
    assert_eq!(of_place(text, 0, 1), None, "lines are counted from 1");
}
