//! Tests of negated terms on the command line.

use clap::Parser as _;

use super::*;
use crate::args::{Cli, Command};

#[test]
fn negated_terms_are_told_from_options() {
    for term in
        ["-dns:*.internal", "-(ns:a or ns:b)", "-\"free text\"", "-http.status>=500", "-from:pod:x", "-to.port=80"]
    {
        assert!(is_negated_term(term), "{term}");
    }
    for option in ["-f", "-o", "-ojson", "-o=json", "--last", "--since=5m", "-n=payments", "-", "--", "ns:a"] {
        assert!(!is_negated_term(option), "{option}");
    }
}

#[test]
fn options_may_follow_terms() {
    let line = ["hindcast", "observe", "ns:a", "-dns:x", "-f", "--since", "5m", "-o", "json"];
    let cli = Cli::try_parse_from(shield(line.map(OsString::from))).expect("it is a command line");
    let Command::Observe(observe) = cli.command else { panic!("another command") };
    assert_eq!(observe.filter, ["ns:a", " -dns:x"]);
    assert!(observe.follow);
    assert_eq!(observe.since.as_deref(), Some("5m"));
}
