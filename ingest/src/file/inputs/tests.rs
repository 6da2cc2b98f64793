//! Each file is found once, in a stable order, and what cannot be read is named.
use std::fs;
use std::os::unix::fs::symlink;

use super::{Inputs, Place};

#[test]
fn directories_are_walked_once_in_order_and_loops_end() {
    let root = tempfile::tempdir().expect("a directory");
    let path = |name: &str| root.path().join(name);
    fs::create_dir_all(path("b/c")).expect("directories");
    for name in ["b/c/2.jsonl", "b/1.jsonl", "a.jsonl"] {
        fs::write(path(name), "{}").expect("a file");
    }
    symlink(root.path(), path("b/loop")).expect("a loop");
    symlink(path("a.jsonl"), path("z.jsonl")).expect("a second name");
    symlink(path("nowhere"), path("dangling")).expect("a dangling link");
    let named = root.path().display().to_string();
    let inputs = Inputs::expand(&[named.clone(), named.clone(), format!("{named}/*.jsonl"), "-".to_owned()]);
    let found: Vec<_> = inputs.found.iter().map(|input| input.place.clone()).collect();
    let file = |name: &str| Place::File(path(name));
    assert_eq!(found, [file("a.jsonl"), file("b/1.jsonl"), file("b/c/2.jsonl"), Place::Stdin]);
    let errors: Vec<String> = inputs.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, [format!("cannot look at {}", path("dangling").display())]);
}

#[test]
fn what_is_not_there_is_named() {
    let root = tempfile::tempdir().expect("a directory");
    let missing = root.path().join("missing").display().to_string();
    let pattern = root.path().join("*.gz").display().to_string();
    let inputs = Inputs::expand(&[missing.clone(), pattern.clone(), "[".to_owned()]);
    let errors: Vec<String> = inputs.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            format!("cannot look at {missing}"),
            format!("no file matches {pattern}"),
            "[ is not a pattern of paths".into()
        ]
    );
}
