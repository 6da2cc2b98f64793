//! A node that goes on where it was proves that nothing is missing; one that does not leaves a gap.
use std::collections::BTreeMap;

use hindcast_model::Timestamp;

use super::{Continuity, Gap};

fn nodes(seen: &[(&str, i64, i64)]) -> BTreeMap<String, (Timestamp, Timestamp)> {
    let at = Timestamp::from_nanos;
    seen.iter().map(|(node, first, last)| ((*node).to_owned(), (at(*first), at(*last)))).collect()
}

fn gap(node: Option<&str>, from: i64, to: i64) -> Gap {
    Gap { node: node.map(str::to_owned), from: Timestamp::from_nanos(from), to: Timestamp::from_nanos(to) }
}

#[test]
fn only_the_node_that_lost_events_has_a_gap() {
    let mut continuity = Continuity::new(None);
    assert_eq!(continuity.observe(&nodes(&[("a", 1, 9), ("b", 1, 5)]), true), []);
    assert_eq!(continuity.resume_at(), Some(Timestamp::from_nanos(5)));
    continuity.disconnected();
    assert_eq!(continuity.observe(&nodes(&[("a", 9, 12)]), true), [], "a replays its last event");
    assert_eq!(continuity.observe(&nodes(&[("a", 13, 14), ("b", 8, 10)]), true), [gap(Some("b"), 5, 8)]);
    assert_eq!(continuity.observe(&nodes(&[("a", 20, 21), ("b", 20, 21)]), true), [], "without a break no gap");
}

#[test]
fn an_earlier_run_is_gone_on_from() {
    let mut continuity = Continuity::new(Some(Timestamp::from_nanos(7)));
    assert_eq!(continuity.resume_at(), Some(Timestamp::from_nanos(7)));
    assert_eq!(continuity.observe(&nodes(&[("a", 6, 9)]), true), []);
    let mut continuity = Continuity::new(Some(Timestamp::from_nanos(7)));
    assert_eq!(continuity.observe(&nodes(&[("a", 8, 9)]), true), [gap(None, 7, 8)]);
}

#[test]
fn a_wire_without_history_always_has_a_gap() {
    let mut continuity = Continuity::new(None);
    assert_eq!(continuity.observe(&nodes(&[("a", 1, 9)]), false), []);
    continuity.disconnected();
    assert_eq!(continuity.observe(&nodes(&[("a", 11, 12)]), false), [gap(Some("a"), 9, 11)]);
}
