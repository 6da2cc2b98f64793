//! The recordings to test on, read without any of our own decoders: documents of a file, and messages from them by
//! `prost-reflect` and the public descriptors.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use flate2::read::MultiGzDecoder;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde_json::Value;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(hindcast_proto::FILE_DESCRIPTOR_SET).unwrap());

/// The descriptor of a message by its full name.
pub(crate) fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"))
}

/// A message from its JSON form; members that the descriptors do not know are ignored.
pub(crate) fn message(name: &str, document: &Value) -> Result<DynamicMessage, String> {
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    DynamicMessage::deserialize_with_options(descriptor(name), document, &options).map_err(|error| error.to_string())
}

/// One document of a file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// The file.
    pub(crate) file: PathBuf,
    /// Its line, where every document has one line.
    pub(crate) line: usize,
    /// What it holds; `None` where it is not JSON.
    pub(crate) value: Option<Value>,
}

impl Document {
    /// Whether it is one event that has a time. A program's start is the time of the event that tells of it, where
    /// an old agent gave no other.
    pub(crate) fn is_good(&self) -> bool {
        let has_time = |value: &Value| {
            let started = &value["process_exec"]["process"]["start_time"];
            [&value["time"], &value["flow"]["time"], started].into_iter().any(Value::is_string)
        };
        self.value.as_ref().is_some_and(has_time)
    }
}

/// Every document of the files in a folder: one on each line, or one document over all lines.
pub(crate) fn documents(folder: &Path) -> Vec<Document> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        path.extension().is_some_and(|extension| ["json", "jsonl", "gz"].iter().any(|name| extension == *name))
    });
    files.sort();
    files.iter().flat_map(|file| documents_of(file)).collect()
}

/// Every document of one file.
pub(crate) fn documents_of(file: &Path) -> Vec<Document> {
    let mut text = String::new();
    let mut opened = File::open(file).unwrap();
    if file.extension().is_some_and(|extension| extension == "gz") {
        MultiGzDecoder::new(opened).read_to_string(&mut text).unwrap();
    } else {
        opened.read_to_string(&mut text).unwrap();
    }
    if let Ok(value) = serde_json::from_str(&text) {
        return vec![Document { file: file.to_path_buf(), line: 1, value: Some(value) }];
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| Document {
            file: file.to_path_buf(),
            line: index + 1,
            value: serde_json::from_str(line).ok(),
        })
        .collect()
}

/// Complaints where a part of `given` is not in `found`. A member may be missing if its value is what protobuf does
/// not send (zero, false, empty); numbers equal their text; instants are compared without trailing zeros.
pub(crate) fn missing(given: &Value, found: &Value, path: &str, complaints: &mut Vec<String>) {
    match (given, found) {
        (Value::Object(members), Value::Object(others)) => {
            for (name, value) in members {
                let below = format!("{path}.{name}");
                match others.get(name) {
                    Some(other) => missing(value, other, &below, complaints),
                    None if is_default(value) => {}
                    None => complaints.push(format!("{below} is missing: {value}")),
                }
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (position, (item, other)) in items.iter().zip(others).enumerate() {
                missing(item, other, &format!("{path}[{position}]"), complaints);
            }
        }
        _ if scalar(given) == scalar(found) => {}
        _ => complaints.push(format!("{path} is {found} instead of {given}")),
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0" || text.contains("UNKNOWN"),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_default),
    }
}

fn scalar(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    match text.strip_suffix('Z') {
        Some(instant) if instant.contains('.') && instant.contains('T') => {
            instant.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Some(instant) if instant.contains('T') => instant.to_owned(),
        _ => text,
    }
}
