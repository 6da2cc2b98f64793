//! Tests of text tables.

use super::*;

fn print(rows: &[&[&str]]) -> String {
    let columns = vec![("name".to_owned(), Align::Left), ("n".to_owned(), Align::Right)];
    let mut table = Table::new(columns, "  ", Palette::PLAIN);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
    let mut out = Vec::new();
    table.write(&rows, &mut out).unwrap();
    table.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn numbers_stand_right_and_texts_left() {
    assert_eq!(print(&[&["größe", "5"], &["b", "1000"]]), "name      n\ngröße     5\nb      1000\n");
}

#[test]
fn a_table_without_rows_has_its_titles() {
    assert_eq!(print(&[]), "name  n\n");
}

#[test]
fn colours_take_no_place() {
    assert_eq!(visible_width("\u{1b}[31mDROPPED\u{1b}[0m"), 7);
}
