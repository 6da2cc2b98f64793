//! Policies as YAML, as a person would apply them again: without what the API server adds on its own.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::Kind;

/// Members of the metadata that the author of a policy wrote.
const WRITTEN: [&str; 4] = ["name", "namespace", "labels", "annotations"];
/// kubectl's copy of the whole manifest inside of the manifest.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Depth to which a tree is written; the JSON parser refuses deeper ones.
const MAX_DEPTH: usize = 128;

/// The manifest of a policy. The same object gives the same text: members are in order of their names.
pub(super) fn manifest(kind: Kind, tree: &Value) -> String {
    let mut text = format!("apiVersion: {}\nkind: {}\n", kind.api_version(), kind.name());
    let mut metadata = Map::new();
    for name in WRITTEN {
        if let Some(value) = tree.pointer("/metadata").and_then(|it| it.get(name)) {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(APPLIED);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    write_member(&mut text, "metadata", &Value::Object(metadata), 0);
    // Cilium has policies with several specs.
    for name in ["spec", "specs"] {
        if let Some(value) = tree.get(name) {
            write_member(&mut text, name, value, 0);
        }
    }
    text
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// `name: value`, at the place the text has reached.
fn write_member(text: &mut String, name: &str, value: &Value, depth: usize) {
    write_scalar(text, name);
    text.push(':');
    if is_short(value, depth) {
        text.push(' ');
        write_short(text, value);
        text.push('\n');
    } else {
        text.push('\n');
        write_block(text, value, depth + 1, false);
    }
}

/// A tree that has members. `is_placed`: the first line is already indented, after a dash.
fn write_block(text: &mut String, value: &Value, depth: usize, mut is_placed: bool) {
    let mut place = |text: &mut String| {
        if !std::mem::take(&mut is_placed) {
            indent(text, depth);
        }
    };
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in members {
                place(text);
                write_member(text, name, value, depth);
            }
        }
        Value::Array(values) => {
            for value in values {
                place(text);
                text.push_str("- ");
                if is_short(value, depth) {
                    write_short(text, value);
                    text.push('\n');
                } else {
                    write_block(text, value, depth + 1, true);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => write_short(text, value),
    }
}

fn is_short(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(members) => members.is_empty() || depth > MAX_DEPTH,
        Value::Array(values) => values.is_empty() || depth > MAX_DEPTH,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// On one line. JSON is YAML, so what has no plainer form is written as that.
fn write_short(text: &mut String, value: &Value) {
    match value {
        Value::String(value) => write_scalar(text, value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Array(_) => {
            let _infallible = write!(text, "{value}");
        }
    }
}

/// A text: plain where nobody can take it for anything else.
fn write_scalar(text: &mut String, value: &str) {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'_' | b'-');
    let begins = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    // Words that some reader takes for a truth value, for nothing, or for a number.
    let is_taken = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word));
    if begins && !is_taken && value.bytes().all(is_word) {
        text.push_str(value);
    } else {
        let _infallible = write!(text, "{}", Value::String(value.to_owned()));
    }
}
