//! What is in a folder of recordings gets in, once, and what does not is named.

use std::path::Path;

use hindcast_tests::repository::shared;
use hindcast_tests::tool::run_hindcast;
use serde_json::Value;
use tempfile::tempdir;

use crate::recordings::documents;

/// Imports these paths into a data directory; the summary.
pub(crate) fn import(data_dir: &Path, paths: &[&Path]) -> Value {
    let mut arguments = vec!["import".to_owned(), "--summary".to_owned(), "json".to_owned(), "--data-dir".to_owned()];
    arguments.push(data_dir.display().to_string());
    arguments.extend(paths.iter().map(|path| path.display().to_string()));
    let printed = run_hindcast(arguments).unwrap().success().unwrap();
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// One number out of a data directory.
pub(crate) fn number(data_dir: &Path, query: &str) -> u64 {
    let data_dir = data_dir.display().to_string();
    let printed = run_hindcast(["sql", "--data-dir", &data_dir, "-o", "csv", query]).unwrap().success().unwrap();
    let last = printed.lines().last().unwrap_or_default();
    last.parse().unwrap_or_else(|error| panic!("{query}: {error}: {printed}"))
}

#[test]
fn everything_good_is_recorded_and_everything_bad_is_named() {
    const TEST: &str = "import::everything_good_is_recorded_and_everything_bad_is_named";
    let (Some(hubble), Some(tetragon)) = (shared(TEST, "data/hubble"), shared(TEST, "data/tetragon")) else { return };
    let folder = tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let all = [documents(&hubble), documents(&tetragon)].concat();
    let good: Vec<_> = all.iter().filter(|document| document.is_good()).collect();
    let bad: Vec<_> = all.iter().filter(|document| !document.is_good()).collect();
    assert!(good.len() > 4000 && bad.len() == 1, "{} good, {bad:?} bad", good.len());

    let first = import(&data_dir, &[&hubble, &tetragon]);
    let of = |summary: &Value, name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {summary}"));
    assert_eq!(of(&first, "recorded") + of(&first, "deduplicated"), good.len() as u64, "{first}");
    assert_eq!(of(&first, "rejected"), bad.len() as u64, "{first}");
    let named = first.to_string();
    for document in bad {
        let place = format!("{}:{}", document.file.file_name().unwrap().to_string_lossy(), document.line);
        assert!(named.contains(&place), "{place} is not named in {first}");
    }
    let recorded = number(&data_dir, "SELECT (SELECT count(*) FROM flows) + (SELECT count(*) FROM runtime_events)");
    assert_eq!(recorded, of(&first, "recorded"));

    let second = import(&data_dir, &[&hubble, &tetragon]);
    assert_eq!(of(&second, "recorded"), 0, "{second}");
    let again = number(&data_dir, "SELECT (SELECT count(*) FROM flows) + (SELECT count(*) FROM runtime_events)");
    assert_eq!(again, recorded);
}

#[test]
fn what_two_routes_bring_is_recorded_once() {
    const TEST: &str = "import::what_two_routes_bring_is_recorded_once";
    let Some(hubble) = shared(TEST, "data/hubble") else { return };
    let folder = tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let original = hubble.join("small.jsonl");
    assert_eq!(import(&data_dir, &[&original])["recorded"], 3);
    // The same file in another packing is known by its content.
    assert_eq!(import(&data_dir, &[&hubble.join("small.jsonl.gz")])["recorded"], 0);
    // The same events in another order are not; each is recognised by itself.
    let other = folder.path().join("other.jsonl");
    let text = std::fs::read_to_string(original).unwrap();
    std::fs::write(&other, text.lines().rev().collect::<Vec<_>>().join("\n")).unwrap();
    let again = import(&data_dir, &[&other]);
    assert_eq!((&again["recorded"], &again["deduplicated"]), (&Value::from(0), &Value::from(3)), "{again}");
    assert_eq!(number(&data_dir, "SELECT count(*) FROM flows"), 3);
}
