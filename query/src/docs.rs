//! The parts of the documents that lists in the code say better than people: written here, checked in, compared.

use std::fmt::Write as _;
use std::path::PathBuf;

use hindcast_model::{ColumnKind, TableId};

use crate::filter::text::{Columns, Key, Values, keys};
use crate::sql::FUNCTIONS;

/// Compares the part of a document between two marks; `UPDATE=1` writes it anew.
fn check(file: &str, mark: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let (open, close) = (format!("<!-- {mark}: generated -->\n"), format!("<!-- /{mark} -->\n"));
    let parts = text.split_once(&open).and_then(|(before, rest)| Some((before, rest.split_once(&close)?)));
    let (before, (found, after)) = parts.unwrap_or_else(|| panic!("{file} has no part {mark}"));
    let expected = format!("\n{expected}\n");
    if found == expected {
        return;
    }
    assert!(std::env::var_os("UPDATE").is_some(), "docs/{file} is out of date: run the tests with UPDATE=1");
    std::fs::write(path, format!("{before}{open}{expected}{close}{after}")).unwrap();
}

const fn values(values: Values) -> &'static str {
    match values {
        Values::Text => "text",
        Values::Word => "word, case aside",
        Values::Pod => "`name` or `namespace/name`",
        Values::Program => "path, or its last part",
        Values::Part => "part of the text, case aside",
        Values::Domain | Values::Domains => "DNS name, case aside",
        Values::Items => "one of a list; `name` also means `…/name`",
        Values::Labels => "label selector",
        Values::Address => "address or network",
        Values::Number => "number",
        Values::Identity => "number or reserved name",
        Values::Duration => "time: `10ms`, `1.5s`",
        Values::Size => "size: `1500`, `64KiB`",
        Values::Truth => "`true` or `false`",
        Values::Direction => "`in` or `out`",
        Values::Protocol => "protocol, case aside",
        Values::UrlPath => "path",
        Values::EventKind => "kind of event",
        Values::Capability => "capability",
    }
}

fn key_table(keys: &[Key]) -> String {
    let mut out = "| Key | Value | Sides | Columns | Means |\n|---|---|---|---|---|\n".to_owned();
    for key in keys {
        let names = key.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let (sides, columns) = match key.columns {
            Columns::Any(columns) => ("", columns.to_vec()),
            Columns::Sides(source, destination) => ("yes", vec![source, destination]),
        };
        let columns = columns.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        writeln!(out, "| {names} | {} | {sides} | {columns} | {} |", values(key.values), key.doc).unwrap();
    }
    out
}

const fn sql_type(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Time => "timestamp",
        ColumnKind::Bool => "boolean",
        ColumnKind::U8 => "unsigned, 8 bits",
        ColumnKind::U16 => "unsigned, 16 bits",
        ColumnKind::U32 => "unsigned, 32 bits",
        ColumnKind::U64 => "unsigned, 64 bits",
        ColumnKind::I32 => "integer, 32 bits",
        ColumnKind::I64 => "integer, 64 bits",
        ColumnKind::Dict | ColumnKind::Text => "text",
        ColumnKind::Bytes | ColumnKind::DictBytes => "bytes",
    }
}

fn tables() -> String {
    let mut out = String::new();
    for table in TableId::ALL {
        writeln!(out, "### {}\n\n| Column | Type | Null | Holds |\n|---|---|---|---|", table.name()).unwrap();
        for column in table.columns() {
            let null = if column.required { "no" } else { "yes" };
            let doc = column.doc.trim().replace('|', "\\|");
            writeln!(out, "| `{}` | {} | {null} | {doc} |", column.name, sql_type(column.kind)).unwrap();
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn functions() -> String {
    let mut out = "| Function | Gives |\n|---|---|\n".to_owned();
    for (name, arguments, means) in FUNCTIONS {
        writeln!(out, "| `{name}{arguments}` | {means} |").unwrap();
    }
    out
}

#[test]
fn the_keys_of_the_filter_language_are_documented() {
    check("filter-language.md", "keys of flows", &key_table(keys(TableId::Flows)));
    check("filter-language.md", "keys of runtime events", &key_table(keys(TableId::RuntimeEvents)));
}

#[test]
fn tables_and_functions_of_sql_are_documented() {
    check("sql.md", "functions", &functions());
    check("sql.md", "tables", &tables());
}

/// Every example in the documents is one that works.
#[test]
fn examples_of_filters_are_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/filter-language.md");
    let text = std::fs::read_to_string(path).unwrap();
    let examples = text.split("```filter\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut n_examples = 0;
    for line in examples.flat_map(str::lines) {
        n_examples += 1;
        let table =
            if line.contains("binary:") || line.contains("kind:") { TableId::RuntimeEvents } else { TableId::Flows };
        let parsed = crate::filter::text::parse_for(table, line);
        assert!(parsed.is_ok(), "{line}: {parsed:?}");
    }
    assert!(n_examples >= 10, "{n_examples}");
}

/// The examples of SQL are answered.
#[tokio::test(flavor = "multi_thread")]
async fn examples_of_sql_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let engine = crate::engine::tests::engine(dir.path()).await;
    crate::engine::tests::append(&engine, &[(1, 80), (2, 443)]).await;
    engine.store().seal_all().await.unwrap();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/sql.md");
    let text = std::fs::read_to_string(path).unwrap();
    let examples = text.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut n_examples = 0;
    for statement in examples {
        n_examples += 1;
        let stream = engine.sql(statement, crate::Limits::default()).await;
        let answer = stream.unwrap_or_else(|error| panic!("{statement}: {error}")).collect_all().await;
        assert!(answer.is_ok(), "{statement}: {answer:?}");
    }
    assert!(n_examples >= 4, "{n_examples}");
}
