//! Every filter of the oracle selects what the reference implementation selected, through `GetFlows`.

use std::collections::BTreeSet;

use hindcast_proto::flow::FlowFilter;
use hindcast_tests::Server;
use hindcast_tests::repository::shared;
use prost::Message as _;
use tempfile::tempdir;
use tonic::Code;

use crate::doors::{everything, flows};
use crate::import::import;
use crate::recordings::message;
use crate::tiers::Home;

/// One line of the oracle.
struct Case {
    filter: String,
    selected: BTreeSet<String>,
    /// Whether the filter itself is refused.
    is_refused: bool,
}

fn cases(table: &str) -> Vec<Case> {
    let lines = table.lines().skip(1).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mut columns = line.split('\t');
            let filter = columns.next().unwrap().to_owned();
            let selected: BTreeSet<String> =
                columns.next().unwrap().split(',').filter(|uuid| !uuid.is_empty()).map(ToOwned::to_owned).collect();
            // A filter that selected something ran: what stands in the last column then went to its log.
            let is_refused = selected.is_empty() && columns.next().is_some_and(|error| !error.is_empty());
            Case { filter, selected, is_refused }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_selects_what_the_reference_selects() {
    const TEST: &str = "oracle::every_filter_selects_what_the_reference_selects";
    let Some(recording) = shared(TEST, "data/hubble/filter-oracle-flows.jsonl") else { return };
    let Some(table) = shared(TEST, "data/hubble/filter-oracle.tsv") else { return };
    let folder = tempdir().unwrap();
    let data_dir = folder.path().join("data");
    assert_eq!(import(&data_dir, &[&recording])["recorded"], 34);
    let cases = cases(&std::fs::read_to_string(table).unwrap());
    assert!(cases.len() >= 88, "only {} cases", cases.len());
    for home in Home::each(TEST, folder.path()) {
        let server = home.serve(&data_dir);
        let complaints = complaints(&server, &cases).await;
        assert!(complaints.is_empty(), "{home:?}\n{}", complaints.join("\n"));
        server.stop().unwrap();
    }
}

/// What is wrong with the answers.
async fn complaints(server: &Server, cases: &[Case]) -> Vec<String> {
    let mut complaints = Vec::new();
    for Case { filter, selected, is_refused } in cases {
        let document = serde_json::from_str(filter).unwrap();
        let wire = message("flow.FlowFilter", &document).unwrap().encode_to_vec();
        let mut request = everything();
        request.whitelist.push(FlowFilter::decode(wire.as_slice()).unwrap());
        match flows(server, request).await {
            Ok(answers) if !*is_refused => {
                let uuid = |answer: &prost_reflect::DynamicMessage| {
                    let flow = answer.get_field_by_name("flow")?.as_message()?.get_field_by_name("uuid")?.into_owned();
                    flow.as_str().map(ToOwned::to_owned)
                };
                let found: BTreeSet<String> = answers.iter().filter_map(uuid).collect();
                let added: Vec<_> = found.difference(selected).collect();
                let lacking: Vec<_> = selected.difference(&found).collect();
                if !added.is_empty() || !lacking.is_empty() {
                    complaints.push(format!("{filter}: selects {added:?} too, and lacks {lacking:?}"));
                }
            }
            Ok(_) => complaints.push(format!("{filter}: should be refused")),
            Err(status) if *is_refused && status.code() == Code::InvalidArgument => {}
            Err(status) => complaints.push(format!("{filter}: {status}")),
        }
    }
    complaints
}
