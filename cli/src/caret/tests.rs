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
fn the_sql_parsers_line_and_column_are_found() {
    let text = "SELECT a\nFORM flows";
    let message = "sql parser error: Expected: end of statement, found: flows at Line: 2, Column: 6";
    assert_eq!(of_sql_message(text, message), Some(Span { start: 14, end: 19 }));
    assert_eq!(of_sql_message(text, "no place at all"), None);
}
