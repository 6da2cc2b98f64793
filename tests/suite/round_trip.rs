//! What went in comes back, field by field, through gRPC and through `observe -o json`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use hindcast_tests::Server;
use hindcast_tests::repository::shared;
use hindcast_tests::tool::run_hindcast;
use prost_reflect::{DynamicMessage, ReflectMessage as _, SerializeOptions};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::doors::{everything, flows, runtime_events, with_flow};
use crate::import::import;
use crate::recordings::{Document, documents, message, missing};
use crate::tiers::Home;

struct Imported {
    server: Server,
    documents: Vec<Document>,
    // Dropped last: the server's rows are in them.
    _home: Home,
    _folder: Rc<TempDir>,
}

/// A recording in a server whose rows are in the lake, then in one whose rows are in ClickHouse.
fn imported(test: &str, path: &str) -> impl Iterator<Item = Imported> {
    let recordings: Option<PathBuf> = shared(test, path);
    let folder = Rc::new(tempdir().unwrap());
    let homes = recordings.as_ref().map(|_| Home::each(test, folder.path())).unwrap_or_default();
    homes.into_iter().enumerate().map(move |(number, home)| {
        let recordings = recordings.as_ref().unwrap();
        let data_dir = folder.path().join(format!("data-{number}"));
        import(&data_dir, &[recordings]);
        let mut documents = documents(recordings);
        documents.retain(Document::is_good);
        Imported { server: home.serve(&data_dir), documents, _home: home, _folder: Rc::clone(&folder) }
    })
}

/// A message as one text that equal messages share.
fn canonical(message: &DynamicMessage) -> String {
    let options = SerializeOptions::new().use_proto_field_name(true);
    let value = message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
    // Through a sorted map: the order of members must not matter.
    sorted(&value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let ordered: BTreeMap<&String, Value> = members.iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(ordered.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}

/// Complaints where what was found differs from what was given; what was given twice may be found once.
fn compare(given: &[DynamicMessage], found: &[DynamicMessage]) -> Vec<String> {
    let given: BTreeMap<String, ()> = given.iter().map(|message| (canonical(message), ())).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for message in found {
        *counts.entry(canonical(message)).or_default() += 1;
    }
    let lacking = given.keys().filter(|text| !counts.contains_key(*text)).map(|text| format!("lacking: {text}"));
    let added = counts.keys().filter(|text| !given.contains_key(*text)).map(|text| format!("instead: {text}"));
    let twice = counts.iter().filter(|(_, n)| **n > 1).map(|(text, n)| format!("{n} times: {text}"));
    lacking.chain(added).chain(twice).collect()
}

fn expect_none(complaints: &[String]) {
    let shown: Vec<&str> = complaints.iter().take(20).map(String::as_str).collect();
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), shown.join("\n"));
}

fn flow_of(response: &DynamicMessage) -> DynamicMessage {
    response.get_field_by_name("flow").unwrap().as_message().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flow_comes_back_through_grpc() {
    for imported in imported("round_trip::every_flow_comes_back_through_grpc", "data/hubble") {
        let given: Vec<DynamicMessage> = imported
            .documents
            .iter()
            .map(|document| message("flow.Flow", &document.value.as_ref().unwrap()["flow"]).unwrap())
            .collect();
        let answers = with_flow(flows(&imported.server, everything()).await.unwrap());
        let found: Vec<DynamicMessage> = answers.iter().map(flow_of).collect();
        expect_none(&compare(&given, &found));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_envelope_comes_back_through_grpc() {
    for imported in imported("round_trip::every_envelope_comes_back_through_grpc", "data/hubble") {
        // An envelope that says nothing of its own gets the flow's time and node, as a live server sends them.
        let with_envelope =
            imported.documents.iter().filter(|document| document.value.as_ref().unwrap()["time"].is_string());
        let given: Vec<DynamicMessage> = with_envelope
            .map(|document| message("observer.GetFlowsResponse", document.value.as_ref().unwrap()).unwrap())
            .collect();
        let answers = with_flow(flows(&imported.server, everything()).await.unwrap());
        let lacking = compare(&given, &answers).into_iter().filter(|complaint| complaint.starts_with("lacking"));
        expect_none(&lacking.collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_come_in_exact_order_of_time() {
    for imported in imported("round_trip::flows_come_in_exact_order_of_time", "data/hubble") {
        let answers = with_flow(flows(&imported.server, everything()).await.unwrap());
        let time = |answer: &DynamicMessage| {
            let time = flow_of(answer).get_field_by_name("time").unwrap().into_owned();
            let time = time.as_message().unwrap().clone();
            let part = |name: &str| time.get_field_by_name(name).unwrap().into_owned();
            (part("seconds").as_i64().unwrap(), part("nanos").as_i32().unwrap())
        };
        let times: Vec<_> = answers.iter().map(time).collect();
        assert!(times.is_sorted());
        assert!(times.len() > 1000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_runtime_event_comes_back_through_grpc() {
    const TEST: &str = "round_trip::every_runtime_event_comes_back_through_grpc";
    for imported in imported(TEST, "data/tetragon") {
        // Kinds that agents of today do not have would end the `tetra` of today: they come back as JSON only.
        let is_current = |value: &Value| {
            ["process_connect", "process_listen", "process_close"].iter().all(|kind| value[kind].is_null())
        };
        let given: Vec<DynamicMessage> = imported
            .documents
            .iter()
            .filter_map(|document| document.value.as_ref().filter(|value| is_current(value)))
            .map(|value| message("tetragon.GetEventsResponse", value).unwrap())
            .collect();
        let (since, until) = ("2000-01-01T00:00:00Z", "2030-01-01T00:00:00Z");
        let distinct: BTreeMap<String, ()> = given.iter().map(|message| (canonical(message), ())).collect();
        let found = runtime_events(&imported.server, since, until, distinct.len()).await.unwrap();
        expect_none(&compare(&given, &found));
    }
}

/// The lines that `hindcast observe` prints for everything there is.
fn observed(server: &Server, more: &[&str]) -> Vec<Value> {
    let url = server.url("");
    let mut arguments = vec!["observe", "--all", "-o", "json", "--server", url.as_str()];
    arguments.extend(more);
    let printed = run_hindcast(arguments).unwrap().success().unwrap();
    printed.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Compares documents, unknown members included: every document given must be a part of one found with its time.
fn compare_documents(
    given: &[Document],
    found: &[Value],
    kind: impl Fn(&Value) -> Option<DynamicMessage>,
) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut by_content: BTreeMap<String, &Value> = BTreeMap::new();
    for value in found {
        match kind(value) {
            Some(message) => drop(by_content.insert(canonical(&message), value)),
            None => complaints.push(format!("printed, but not readable: {value}")),
        }
    }
    for document in given {
        let value = document.value.as_ref().unwrap();
        let Some(message) = kind(value) else { continue };
        match by_content.get(&canonical(&message)) {
            Some(other) => missing(value, other, message.descriptor().name(), &mut complaints),
            None => complaints.push(format!("lacking: {}", canonical(&message))),
        }
    }
    complaints
}

#[test]
fn every_flow_comes_back_as_json() {
    for imported in imported("round_trip::every_flow_comes_back_as_json", "data/hubble") {
        let found = observed(&imported.server, &[]);
        let kind = |value: &Value| message("flow.Flow", &value["flow"]).ok();
        expect_none(&compare_documents(&imported.documents, &found, kind));
    }
}

#[test]
fn every_runtime_event_comes_back_as_json() {
    const TEST: &str = "round_trip::every_runtime_event_comes_back_as_json";
    for imported in imported(TEST, "data/tetragon") {
        let found = observed(&imported.server, &["--runtime"]);
        let kind = |value: &Value| message("tetragon.GetEventsResponse", value).ok();
        expect_none(&compare_documents(&imported.documents, &found, kind));
    }
}
