//! The generator's promises: exact counts, order, repeatability, and the story.

use std::collections::BTreeSet;
use std::time::Duration;

use hindcast_model::tables::flows;
use hindcast_model::{ColumnDef, SourceKind, TableId, Timestamp};
use hindcast_proto::line::decode_line;
use hindcast_proto::{EventBuilders, Origin};

use super::{End, Recipe, Shape, Traffic, columns, json, runtime};

const START: Timestamp = Timestamp::from_nanos(1_780_000_000_000_000_000);

fn recipe(shape: Shape, hours: u64, n_flows: u64) -> Recipe {
    Recipe { seed: 7, start: START, duration: Duration::from_secs(hours * 3600), n_flows, shape, has_uuids: true }
}

const MESH: Shape = Shape::Mesh { n_workloads: 50, n_edges: 200, n_nodes: 5 };

fn lines_of(recipe: &Recipe) -> Vec<u8> {
    let fleet = recipe.fleet();
    let mut out = Vec::new();
    Traffic::new(recipe, &fleet).for_each(|draw| json::write_line(&draw, &mut out));
    out
}

#[test]
fn a_recipe_gives_as_many_flows_as_it_says_in_order_and_in_range() {
    for shape in [MESH, Shape::Shops] {
        let recipe = recipe(shape, 48, 20_000);
        let fleet = recipe.fleet();
        let times: Vec<Timestamp> = Traffic::new(&recipe, &fleet).map(|draw| draw.time).collect();
        assert_eq!(times.len(), 20_000);
        assert!(times.is_sorted());
        assert!(times[0] >= recipe.start && times[times.len() - 1] <= recipe.end());
    }
}

#[test]
fn the_same_recipe_gives_the_same_recording() {
    let recipe = recipe(MESH, 24, 500);
    assert_eq!(lines_of(&recipe), lines_of(&recipe));
    assert_ne!(lines_of(&recipe), lines_of(&Recipe { seed: 8, ..recipe.clone() }));
    let fleet = recipe.fleet();
    assert_eq!(runtime::lines(&recipe, &fleet), runtime::lines(&recipe, &fleet));
}

#[test]
fn every_line_is_a_json_document() {
    for shape in [MESH, Shape::Shops] {
        let recipe = recipe(shape, 24, 2_000);
        let out = lines_of(&recipe);
        let text = std::str::from_utf8(&out).unwrap();
        assert_eq!(text.lines().count(), 2_000);
        for line in text.lines() {
            let document: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(document["flow"]["IP"]["source"].is_string(), "{line}");
        }
        let fleet = recipe.fleet();
        for (_, line) in runtime::lines(&recipe, &fleet) {
            let document: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!(document.get("process_exec").or(document.get("process_exit")).is_some(), "{line}");
        }
    }
}

#[test]
fn rows_hold_what_was_drawn() {
    let recipe = recipe(MESH, 24, 3_000);
    let fleet = recipe.fleet();
    let mut builder = flows::Builder::default();
    let draws: Vec<_> = Traffic::new(&recipe, &fleet).collect();
    draws.iter().for_each(|draw| columns::append(draw, START, &mut builder));
    let records = builder.finish().unwrap();
    let view = flows::View::new(&records).unwrap();
    assert_eq!(records.num_rows(), 3_000);
    for (row, draw) in draws.iter().enumerate() {
        assert_eq!(view.verdict.get(row), Some(if draw.is_denied { "DROPPED" } else { "FORWARDED" }));
        if let End::Pod(workload, pod) = draw.source {
            assert_eq!(view.src_workload.get(row), Some(workload.name.as_str()));
            assert_eq!(view.src_ip.get(row), Some(pod.ip.as_str()));
        }
    }
    let n_denied = draws.iter().filter(|draw| draw.is_denied).count();
    assert!((30..=90).contains(&n_denied), "about 2 % of 3000 are denied, not {n_denied}");
}

#[test]
fn the_shops_have_days_deploys_and_an_incident() {
    let recipe = recipe(Shape::Shops, 72, 60_000);
    let fleet = recipe.fleet();
    let draws: Vec<_> = Traffic::new(&recipe, &fleet).collect();
    let frontends: BTreeSet<&str> = draws
        .iter()
        .filter_map(|draw| match draw.destination {
            End::Pod(workload, pod) if workload.name == "frontend" => Some(pod.name.as_str()),
            _ => None,
        })
        .collect();
    assert!(frontends.len() > 16, "deploys bring new pods, but there are only {}", frontends.len());
    let denied_out = draws.iter().filter(|draw| draw.is_denied && matches!(draw.destination, End::Outside(..)));
    assert!(denied_out.count() > 0, "the stolen pod calls out");
    let typed = runtime::lines(&recipe, &fleet).into_iter().filter(|(_, line)| line.contains("192.0.2.66")).count();
    assert_eq!(typed, 2, "one exec and one exit of curl");
}

#[test]
fn instants_print_as_rfc_3339() {
    let check = |seconds: i64, nanos: i32, text: &str| {
        assert_eq!(json::rfc3339(Timestamp::from_parts(seconds, nanos).unwrap()), text);
    };
    check(0, 0, "1970-01-01T00:00:00.000000000Z");
    check(951_827_696, 5, "2000-02-29T12:34:56.000000005Z");
    check(1_780_000_000, 999_999_999, "2026-05-28T20:26:40.999999999Z");
    check(-1, 0, "1969-12-31T23:59:59.000000000Z");
}

const ORIGIN: Origin<'static> = Origin { kind: SourceKind::Generated, source: columns::SOURCE, recorded_at: START };

#[test]
fn a_row_and_the_line_of_the_same_draw_decode_to_the_same() {
    for shape in [MESH, Shape::Shops] {
        let recipe = recipe(shape, 24, 2_000);
        let fleet = recipe.fleet();
        let (mut rows, mut decoded) = (flows::Builder::default(), EventBuilders::default());
        for draw in Traffic::new(&recipe, &fleet) {
            columns::append(&draw, START, &mut rows);
            let mut line = Vec::new();
            json::write_line(&draw, &mut line);
            let text = String::from_utf8(line.clone()).unwrap();
            decode_line(&mut line, &ORIGIN, &mut decoded).unwrap_or_else(|rejection| panic!("{rejection}: {text}"));
        }
        let (rows, decoded) = (rows.finish().unwrap(), decoded.flows.finish().unwrap());
        // Hubble has no fields for counts of bytes and packets.
        let left_out = ["bytes_sent", "packets_sent"];
        let mut complaints = Vec::new();
        for ColumnDef { name, .. } in flows::COLUMNS.iter().filter(|column| !left_out.contains(&column.name)) {
            let without_dictionary = |records: &arrow::array::RecordBatch| {
                arrow::compute::cast(records.column_by_name(name).unwrap(), &plain(name)).unwrap()
            };
            let (row, line) = (without_dictionary(&rows), without_dictionary(&decoded));
            if let Some(index) = (0..rows.num_rows()).find(|index| row.slice(*index, 1) != line.slice(*index, 1)) {
                complaints.push(format!("{name}: {:?} is {:?}", row.slice(index, 1), line.slice(index, 1)));
            }
        }
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}

/// The type of a column without its dictionary.
fn plain(column: &str) -> arrow::datatypes::DataType {
    match TableId::Flows.schema().field_with_name(column).unwrap().data_type() {
        arrow::datatypes::DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    }
}

#[test]
fn lines_of_programs_are_runtime_events() {
    let recipe = recipe(Shape::Shops, 24, 1);
    let fleet = recipe.fleet();
    let mut builders = EventBuilders::default();
    let lines = runtime::lines(&recipe, &fleet);
    for (_, line) in &lines {
        decode_line(&mut line.clone().into_bytes(), &ORIGIN, &mut builders).unwrap();
    }
    assert_eq!(builders.runtime_events.row(), lines.len());
}
