//! Conditions as texts; that they mean what the filter means is shown against an engine.

use super::*;
use crate::filter::Pattern;

fn said(filter: &Filter) -> (String, bool) {
    let found = condition(TableId::Flows, filter);
    (found.text.unwrap_or_else(|| ALL.to_owned()), found.is_exact)
}

#[test]
fn a_text_of_the_user_stays_a_literal() {
    let filter = Filter::one_of("src_pod", ["x') OR ('1'='1"]);
    assert_eq!(said(&filter), (r"src_pod IN ('x\x27\x29 OR \x28\x271\x27=\x271')".to_owned(), true));
}

#[test]
fn what_the_server_cannot_decide_leaves_no_match_out() {
    let pattern = Filter::Text { column: "dns_query", test: TextTest::Matches(Pattern::re2("a.*b").unwrap()) };
    assert_eq!(said(&pattern), ("isNotNull(dns_query)".to_owned(), false));
    assert_eq!(said(&pattern.clone().negate()), (ALL.to_owned(), false));
    let port = Filter::number("dst_port", [443, 70_000]);
    let both = Filter::all([port.clone(), pattern.clone()]);
    assert_eq!(said(&both), ("(dst_port IN (443)) AND (isNotNull(dns_query))".to_owned(), false));
    assert_eq!(said(&both.negate()), (ALL.to_owned(), false));
    assert_eq!(said(&Filter::any([port, pattern.negate()])), (ALL.to_owned(), false));
}

#[test]
fn not_is_the_exact_complement_of_an_absent_value_too() {
    let port = Filter::number("dst_port", [443]).negate();
    assert_eq!(said(&port), ("NOT ifNull(dst_port IN (443), 0)".to_owned(), true));
    assert_eq!(said(&Filter::nothing()), (NOTHING.to_owned(), true));
    assert_eq!(said(&Filter::nothing().negate()), (ALL.to_owned(), true));
}
