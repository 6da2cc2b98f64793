//! Defaults that hold, and problems that are told at once.

use std::time::Duration;

use super::Config;

#[test]
fn the_defaults_are_right_and_survive_toml() {
    let config = Config::default();
    assert_eq!(config.problems(), Vec::<String>::new());
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
}

#[test]
fn an_unknown_knob_is_refused() {
    assert!(toml::from_str::<Config>("[sockets]\nsweeps = 3\n").is_err());
}

#[test]
fn every_problem_is_told_at_once() {
    let mut config = Config { batch_rows: 0, drain_interval: Duration::from_secs(7), ..Config::default() };
    config.files.watch = vec!["etc/shadow".to_owned(), "/".to_owned()];
    config.redaction.patterns = vec!["(".to_owned()];
    let problems = config.problems();
    assert_eq!(problems.len(), 6, "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("batch_rows")));
}
