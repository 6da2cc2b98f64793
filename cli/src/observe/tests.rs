//! Tests of what a command line of `observe` asks.

use std::ffi::OsString;

use clap::Parser as _;

use super::*;
use crate::args::{Cli, Command, terms};

const NOW: Timestamp = Timestamp::from_nanos(1_755_856_800_000_000_000);

fn asked(line: &str) -> anyhow::Result<Question> {
    let arguments = ["hindcast", "observe"].into_iter().chain(line.split_whitespace()).map(OsString::from);
    let cli = Cli::try_parse_from(terms::shield(arguments)).expect(line);
    let Command::Observe(args) = cli.command else { panic!("another command") };
    question(&args, NOW)
}

#[test]
fn how_many_are_shown_follows_the_hubble_cli() {
    for (line, pick) in [
        ("", Pick::Newest(20)),
        ("--last 3", Pick::Newest(3)),
        ("--first 3", Pick::Oldest(3)),
        ("--all", Pick::All),
        ("--since 5m", Pick::All),
        ("--until 5m", Pick::All),
        ("--since 5m --last 7", Pick::Newest(7)),
        ("-f", Pick::Newest(0)),
        ("-f --last 4", Pick::Newest(4)),
        ("-f --since 1h", Pick::All),
    ] {
        assert_eq!(asked(line).unwrap().pick, pick, "{line}");
    }
}

#[test]
fn flags_become_terms_of_the_filter() {
    let question = asked("port:80 -dns:x -n shop -n pay --verdict DROPPED --runtime").unwrap();
    assert_eq!(question.filter, "port:80 -dns:x ns:shop,pay verdict:DROPPED");
    assert_eq!(question.table, TableId::RuntimeEvents);
}

#[test]
fn wrong_times_are_usage_errors() {
    for line in ["--since yesterday", "--since 5m --until 10m"] {
        let error = asked(line).expect_err(line);
        assert!(error.is::<exit::UsageError>(), "{line}: {error}");
    }
}
