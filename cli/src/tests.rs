//! Tests of the command line: its help as checked in, and what wrong lines are told.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser as _};

use crate::args::Cli;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// Every command with its name, subcommands with their parent's.
fn commands(command: &clap::Command, name: &str, found: &mut Vec<(String, clap::Command)>) {
    found.push((name.to_owned(), command.clone()));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        commands(inner, &format!("{name}-{}", inner.get_name()), found);
    }
}

#[test]
fn help_is_as_checked_in() {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut found = Vec::new();
    commands(&root, "hindcast", &mut found);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("help");
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut different = Vec::new();
    for (name, mut command) in found {
        let text = command.render_long_help().to_string();
        let text: String = text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
        let file = folder.join(format!("{name}.txt"));
        if is_update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &text).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != text {
            different.push(name);
        }
    }
    assert!(different.is_empty(), "help changed: {different:?}; UPDATE_EXPECT=1 writes the files anew");
}

#[test]
fn every_command_shows_examples() {
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    commands(&root, "hindcast", &mut found);
    for (name, mut command) in found.into_iter().filter(|(name, _)| name != "hindcast-config") {
        assert!(command.render_long_help().to_string().contains("Example"), "{name} has no examples");
    }
}

#[test]
fn wrong_lines_are_refused_with_a_reason() {
    let lines = [
        ("", "Usage: hindcast"),
        ("import", "<PATH>..."),
        ("observe --first 3 -f", "--first"),
        ("observe --last 3 --all", "--last"),
        ("observe --server http://a --data-dir b", "--data-dir"),
        ("import x --server http://a --data-dir b", "--data-dir"),
        ("observe -o yaml", "compact"),
        ("demo --days 0", "--days"),
        ("up --http nowhere", "--http"),
        ("imprt x", "import"),
    ];
    for (line, expected) in lines {
        let arguments = ["hindcast"].into_iter().chain(line.split_whitespace()).map(OsString::from);
        let error = Cli::try_parse_from(arguments).expect_err(line);
        let text = error.to_string();
        assert!(error.use_stderr() && text.contains(expected), "{line}: {text}");
    }
}
