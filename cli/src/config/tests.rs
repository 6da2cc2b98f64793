//! Tests of composition: which layer wins, and that every problem is named with its place.

use serde::Deserialize;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    depth: usize,
    name: Option<String>,
    inner: Inner,
    source: Vec<Source>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inner {
    #[serde(with = "humantime_serde")]
    wait: std::time::Duration,
    level: u8,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    path: String,
}

fn read(text: &str, more: &[(&[&str], &str)]) -> (Sample, Vec<String>) {
    let mut tree = layers::of_file("c.toml", text).expect("it is TOML");
    for (path, value) in more {
        layers::set(&mut tree, path, layers::readings(value), Origin::Variable("V".to_owned()));
    }
    let mut problems = Vec::new();
    let sample = section::read("sample", &mut tree, &mut problems);
    section::name_unknown(&tree, &["sample"], &mut problems);
    (sample, problems)
}

#[test]
fn the_types_themselves_say_which_options_there_are() {
    assert_eq!(known::fields::<Sample>(&[]), Some(["depth", "name", "inner", "source"].as_slice()));
    assert_eq!(known::fields::<Sample>(&["inner"]), Some(["wait", "level"].as_slice()));
    assert_eq!(known::fields::<Sample>(&["source", known::ELEMENT]), Some(["path"].as_slice()));
    assert_eq!(known::fields::<Sample>(&["name"]), None);
    let leaves: Vec<String> = known::leaves::<Sample>().iter().map(|path| path.join(".")).collect();
    assert_eq!(leaves, ["depth", "name", "inner.wait", "inner.level", "source.[].path"]);
}

#[test]
fn a_later_layer_wins_and_texts_find_their_type() {
    let file = "[sample]\ndepth = 1\ninner = { level = 2, wait = '5s' }\n";
    let (sample, problems) =
        read(file, &[(&["sample", "depth"], "7"), (&["sample", "name"], "007"), (&["sample", "inner", "level"], "3")]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((sample.depth, sample.name.as_deref(), sample.inner.level), (7, Some("007"), 3));
    assert_eq!(sample.inner.wait.as_secs(), 5);
}

#[test]
fn every_problem_is_named_with_its_place() {
    let file = "\
[sample]
depht = 3
depth = 'deep'
inner.level = 300
inner.wait = 'soon'

[[sample.source]]
path = 'a'
[[sample.source]]
pth = 'b'

[smaple]
x = 1
";
    let (sample, problems) = read(file, &[(&["sample", "name"], "[1]")]);
    let problems = problems.join("\n");
    for expected in [
        "c.toml:2: there is no option sample.depht; did you mean depth?",
        "c.toml:3: sample.depth: invalid type: string \"deep\", expected usize",
        "c.toml:4: sample.inner.level: invalid value: integer `300`, expected u8",
        "c.toml:5: sample.inner.wait: ",
        "[[sample.source]] number 2: ",
        "did you mean path?",
        "c.toml:12: there is no section [smaple]; did you mean sample?",
    ] {
        assert!(problems.contains(expected), "{expected}\n---\n{problems}");
    }
    assert_eq!(sample.source, [Source { path: "a".to_owned() }], "the good part is read");
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let errors = layers::of_file("c.toml", "[sample]\ndepth = \nname = 'x'\n").unwrap_err();
    assert!(errors.iter().any(|error| error.starts_with("c.toml:2: ")), "{errors:?}");
}

#[test]
fn kubernetes_service_links_are_no_options() {
    for name in
        ["HINDCAST_SERVICE_HOST", "HINDCAST_PORT", "HINDCAST_PORT_7171_TCP_ADDR", "HINDCAST_WEB_SERVICE_PORT_HTTP"]
    {
        assert!(is_kubernetes_link(name), "{name}");
    }
    assert!(!is_kubernetes_link("HINDCAST_WEB_HTTP"));
}

#[test]
fn an_unknown_variable_is_a_warning_with_a_suggestion() {
    let inputs = Inputs { variables: vec![("HINDCAST_LOG_LEVLE".to_owned(), "debug".to_owned())], ..Inputs::default() };
    let loaded = load(inputs).expect("not an error");
    assert_eq!(loaded.warnings, ["variable HINDCAST_LOG_LEVLE names no option; did you mean HINDCAST_LOG_LEVEL?"]);
}

#[test]
fn the_reference_is_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, REFERENCE).unwrap();
    let loaded = load(Inputs { file: Some(file), ..Inputs::default() }).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(format!("{:#?}", loaded.settings), format!("{:#?}", Settings::default()));
}

#[test]
fn the_reference_names_every_option() {
    for (variable, path) in variables() {
        let option = path.last().copied().unwrap_or_default();
        let is_list = path.first() == Some(&"ingest") && path.len() == 2;
        let is_named = REFERENCE.lines().map(|line| line.trim_start_matches(['#', ' '])).any(|line| match is_list {
            true => line == format!("[[ingest.{option}]]"),
            false => [" =", "."].iter().any(|after| line.starts_with(&format!("{option}{after}"))),
        });
        assert!(is_named, "{variable}: {}", path.join("."));
    }
    let listed = known::leaves::<hindcast_ingest::Config>();
    for path in listed.iter().filter(|path| path.contains(&known::ELEMENT)) {
        let option = path.last().copied().unwrap_or_default();
        assert!(REFERENCE.contains(&format!("{option} =")), "{path:?}");
    }
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("token");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let file = |name: &str| (name.to_owned(), secret.display().to_string());
    let loaded = load(Inputs { variables: vec![file("HINDCAST_WEB_AUTH_TOKEN_FILE")], ..Inputs::default() }).unwrap();
    assert!(loaded.settings.web.auth.token.is_some());
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
    let wrong = folder.path().join("config.toml");
    std::fs::write(&wrong, "[web.auth]\ntoken = 4711\n[[ingest.hubble]]\nconnect.auth.password = 4712\n").unwrap();
    let problems = load(Inputs { file: Some(wrong), ..Inputs::default() }).unwrap_err().to_string();
    assert!(problems.contains("web.auth.token") && problems.contains("ingest.hubble"), "{problems}");
    assert!(!problems.contains("4711") && !problems.contains("4712"), "{problems}");
}

#[test]
fn problems_of_all_sections_come_together() {
    let variables = [
        ("HINDCAST_WEB_HTTP", "0.0.0.0:7171"),
        ("HINDCAST_STORAGE_LOG_QUEUE_LEN", "0"),
        ("HINDCAST_INGEST_PIPELINE_QUEUE_LEN", "0"),
        ("HINDCAST_LOG_FORMAT", "xml"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let problems = load(Inputs { variables, ..Inputs::default() }).unwrap_err().to_string();
    for expected in ["web.http", "log.queue_len", "ingest.pipeline.queue_len", "HINDCAST_LOG_FORMAT"] {
        assert!(problems.contains(expected), "{expected}\n{problems}");
    }
}
