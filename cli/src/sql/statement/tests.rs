//! Tests of splitting scripts.

use super::*;

#[test]
fn statements_end_at_semicolons_outside_of_quotes() {
    assert_eq!(split("SELECT 1; SELECT ';' ;\n"), ["SELECT 1", "SELECT ';'"]);
    assert_eq!(split("SELECT 'it''s; fine'"), ["SELECT 'it''s; fine'"]);
    assert_eq!(split("SELECT 1 -- a; b\n; SELECT /* ; */ 2"), ["SELECT 1 -- a; b", "SELECT /* ; */ 2"]);
    assert_eq!(split(" ; -- nothing\n;"), Vec::<&str>::new());
}

#[test]
fn a_prompt_waits_for_the_semicolon() {
    assert!(is_whole("SELECT 1;"));
    assert!(is_whole("SELECT 1; -- done"));
    assert!(is_whole(""));
    assert!(!is_whole("SELECT 1"));
    assert!(!is_whole("SELECT ';"));
}
