//! The filter language against the recorded answers of Hubble's own filter code, and against itself.

use std::path::PathBuf;

use arrow::array::{Array as _, RecordBatch};
use hindcast_model::column::TextView;
use hindcast_model::{SourceKind, TableId, Timestamp};
use hindcast_proto::flow::FlowFilter;
use hindcast_proto::json::{self, Message};
use hindcast_proto::{EventBuilders, Origin, line};
use proptest::prelude::*;

use super::prune::Statistics;
use super::*;

#[expect(unreachable_pub, reason = "public to the integration tests, which own it")]
#[path = "../../../tests/harness/skip.rs"]
mod skip;

fn shared(file: &str) -> Option<String> {
    let root = std::env::var("HINDCAST_SHARED").unwrap_or_else(|_unset| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared").to_string_lossy().into_owned()
    });
    let path = PathBuf::from(root).join(file);
    let text = std::fs::read_to_string(&path);
    if text.is_err() {
        skip::skip("query::filter::tests", &format!("{} is not there", path.display()));
    }
    text.ok()
}

pub(super) fn decode(lines: &str) -> EventBuilders {
    let origin = Origin { kind: SourceKind::Hubble, source: "test", recorded_at: Timestamp::from_nanos(1) };
    let mut builders = EventBuilders::default();
    for line in lines.lines() {
        let mut bytes = line.as_bytes().to_vec();
        line::decode_line(&mut bytes, &origin, &mut builders).unwrap();
    }
    builders
}

pub(super) fn selected(filter: &Filter, records: &RecordBatch) -> Vec<String> {
    let rows = filter.evaluate(records).unwrap();
    let uuids = TextView::of(records.column_by_name("uuid")).unwrap();
    (0..records.num_rows()).filter(|row| rows.value(*row)).map(|row| uuids.get(row).unwrap().to_owned()).collect()
}

#[test]
fn every_recorded_answer_of_hubbles_own_filters_is_given_here_too() {
    let Some(flows) = shared("data/hubble/filter-oracle-flows.jsonl") else { return };
    let cases = shared("data/hubble/filter-oracle.tsv").unwrap();
    let records = decode(&flows).flows.finish().unwrap();
    let mut wrong = Vec::new();
    let mut n_cases = 0;
    for case in cases.lines().skip(1) {
        n_cases += 1;
        let mut columns = case.split('\t');
        let text = columns.next().unwrap();
        let expected = columns.next().unwrap().split(',').filter(|uuid| !uuid.is_empty()).collect::<Vec<_>>();
        let error = columns.next().unwrap_or_default();
        // An error while a program runs is no error of the request.
        let is_refused = !error.is_empty() && !error.starts_with("time=");
        let outcome = json::parse::<FlowFilter>(Message::FlowFilter, text)
            .map_err(|error| error.to_string())
            .and_then(|wanted| hubble::from_request(&[wanted], &[]).map_err(|error| error.to_string()));
        match outcome {
            Err(message) if is_refused => println!("{text}: {message}"),
            Err(message) => wrong.push(format!("{text}: refused: {message}")),
            Ok(_) if is_refused => wrong.push(format!("{text}: should be refused: {error}")),
            Ok(filter) => {
                let found = selected(&filter, &records);
                if found != expected {
                    wrong.push(format!("{text}:\n  found    {found:?}\n  expected {expected:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {n_cases}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(n_cases >= 80, "{n_cases} cases");
}

#[test]
fn a_deny_list_removes_what_it_matches_and_an_empty_filter_matches_all() {
    let Some(flows) = shared("data/hubble/filter-oracle-flows.jsonl") else { return };
    let records = decode(&flows).flows.finish().unwrap();
    let all = FlowFilter::default();
    let tcp = FlowFilter { protocol: vec!["tcp".to_owned()], ..FlowFilter::default() };
    let count = |allow: &[FlowFilter], deny: &[FlowFilter]| {
        selected(&hubble::from_request(allow, deny).unwrap(), &records).len()
    };
    assert_eq!(count(&[], &[]), records.num_rows());
    assert_eq!(count(&[], std::slice::from_ref(&all)), 0);
    assert_eq!(count(&[all], std::slice::from_ref(&tcp)) + count(&[tcp], &[]), records.num_rows());
}

#[test]
fn hostile_patterns_are_refused_and_not_compiled() {
    for pattern in ["(", "a{1000}{1000}{1000}", "(?P<x", &"(".repeat(3000), &"a".repeat(5000), "[z-a]", "\\8"] {
        assert!(Pattern::re2(pattern).is_err(), "{pattern:.20}");
    }
    for (pattern, text, found) in [
        ("^\\d+$", "12", true),
        ("^\\d+$", "١٢", false),
        ("[[:alpha:]]x", "bx", true),
        ("[a&&b]", "&", true),
        ("\\Qa.b\\E", "a.b", true),
        ("\\Qa.b\\E", "axb", false),
        ("[\\w-]+@", "a-b@", true),
        ("\\bfoo\\b", "a foo b", true),
        ("[]a]", "]", true),
    ] {
        assert_eq!(Pattern::re2(pattern).unwrap().is_match(text), found, "{pattern} in {text}");
    }
}

#[test]
fn selectors_are_read_as_kubernetes_does() {
    let check = |selector: &str, labels: &str| Selector::parse(selector).unwrap().selects_list(labels);
    assert!(check("app in (web, db), !old", "k8s:app=web"));
    assert!(!check("app in (web, db), !old", "k8s:app=web,k8s:old="));
    assert!(check("k8s:app!=web", ""));
    assert!(check("replicas > 2", "k8s:replicas=3"));
    assert!(check("app notin (a)", "k8s:app=b"));
    assert!(check("app", "reserved:app"));
    assert!(!check("reserved:app", "k8s:app=x"));
    for bad in ["app in", "app in (", "=x", "app=a b", "app,", "-app", "app in (a b)", "app > x", "a/b/"] {
        assert!(Selector::parse(bad).is_err(), "{bad}");
    }
}

/// Statistics worked out from the rows themselves.
struct Exact<'a>(&'a RecordBatch);

impl Exact<'_> {
    fn texts(&self, column: &str) -> Option<Vec<Option<String>>> {
        let view = TextView::of(self.0.column_by_name(column))?;
        Some((0..self.0.num_rows()).map(|row| view.get(row).map(str::to_owned)).collect())
    }
}

impl Statistics for Exact<'_> {
    fn n_rows(&self) -> u64 {
        self.0.num_rows() as u64
    }
    fn nulls(&self, column: &str) -> Option<u64> {
        self.0.column_by_name(column).map(|array| array.logical_null_count() as u64)
    }
    fn text_bounds(&self, _column: &str) -> Option<(&str, &str)> {
        None
    }
    fn number_bounds(&self, column: &str) -> Option<(i128, i128)> {
        let array = self.0.column_by_name(column)?;
        let array = arrow::compute::cast(array, &arrow::datatypes::DataType::Int64).ok()?;
        let array = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&array);
        Some((i128::from(arrow::compute::min(array)?), i128::from(arrow::compute::max(array)?)))
    }
    fn may_hold(&self, column: &str, text: &str) -> bool {
        self.texts(column).is_none_or(|texts| texts.iter().flatten().any(|known| known == text))
    }

    fn may_pass(&self, column: &str, test: &TextTest) -> bool {
        self.texts(column).is_none_or(|texts| texts.iter().flatten().any(|known| test.passes(Some(known))))
    }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let text = prop_oneof![Just("a"), Just("b"), Just("ab"), Just("")];
    let column = prop_oneof![Just("src_pod"), Just("dst_pod"), Just("verdict"), Just("summary")];
    let leaf = prop_oneof![
        Just(Filter::True),
        (column.clone(), text.clone()).prop_map(|(column, text)| Filter::one_of(column, [text])),
        column.clone().prop_map(Filter::absent),
        (column.clone(), text.clone())
            .prop_map(|(column, text)| Filter::Text { column, test: TextTest::Prefix(text.to_owned()) }),
        (column, text).prop_map(|(column, text)| Filter::Text { column, test: TextTest::Family(text.to_owned()) }),
        (0_i128..4, 0_i128..4)
            .prop_map(|(low, high)| Filter::Number { column: "src_port", test: NumberTest::Between(low, high) }),
        (0_i128..4).prop_map(|port| Filter::number("dst_port", [port])),
        any::<bool>().prop_map(|value| Filter::Bool { column: "is_reply", value }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::all),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::any),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(Filter::negate),
        ]
    })
}

type Row = (Option<&'static str>, Option<&'static str>, Option<u16>, Option<u16>, Option<bool>);

fn any_row() -> impl Strategy<Value = Row> {
    let text = proptest::option::of(prop_oneof![Just("a"), Just("b"), Just("ab")]);
    (
        text.clone(),
        text,
        proptest::option::of(0_u16..4),
        proptest::option::of(0_u16..4),
        proptest::option::of(any::<bool>()),
    )
}

fn batch(rows: &[Row]) -> RecordBatch {
    let mut builder = hindcast_model::tables::flows::Builder::default();
    for (source, destination, source_port, destination_port, reply) in rows {
        let row = builder.row();
        builder.time.set(row, 1);
        builder.recorded_at.set(row, 1);
        builder.source_kind.set(row, "generated");
        builder.flow_count.set(row, 1);
        if let Some(source) = source {
            builder.src_pod.set(row, source);
            builder.summary.set(row, source);
        }
        if let Some(destination) = destination {
            builder.dst_pod.set(row, destination);
        }
        if let Some(port) = source_port {
            builder.src_port.set(row, *port);
        }
        if let Some(port) = destination_port {
            builder.dst_port.set(row, *port);
        }
        if let Some(reply) = reply {
            builder.is_reply.set(row, *reply);
        }
        builder.commit();
    }
    builder.finish().unwrap()
}

/// The filter, asked row by row.
fn slow(filter: &Filter, records: &RecordBatch, row: usize) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| slow(part, records, row)),
        Filter::Or(parts) => parts.iter().any(|part| slow(part, records, row)),
        Filter::Not(inner) => !slow(inner, records, row),
        leaf => leaf.evaluate(&records.slice(row, 1)).unwrap().value(0),
    }
}

proptest! {
    #[test]
    fn evaluation_is_two_valued_logic_and_pruning_never_removes_a_match(
        filter in any_filter(),
        rows in proptest::collection::vec(any_row(), 1..20),
    ) {
        let records = batch(&rows);
        let found = filter.evaluate(&records).unwrap();
        prop_assert_eq!(found.null_count(), 0);
        for row in 0..records.num_rows() {
            prop_assert_eq!(found.value(row), slow(&filter, &records, row));
        }
        if found.true_count() > 0 {
            prop_assert!(filter.may_match(&Exact(&records)));
        }
        let negated = filter.clone().negate();
        prop_assert_eq!(negated.evaluate(&records).unwrap().true_count(), records.num_rows() - found.true_count());
    }
}

#[test]
fn a_filter_knows_its_columns() {
    let filter = text::parse("ns:a port:80").unwrap();
    assert!(filter.fits(TableId::Flows));
    assert!(!filter.fits(TableId::Ingested));
}
