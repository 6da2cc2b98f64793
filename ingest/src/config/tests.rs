//! Settings are read strictly, checked all at once, and secrets do not show.
use super::Config;

fn problems(toml: &str) -> Vec<String> {
    let config: Config = toml::from_str(toml).expect("readable settings");
    config.validate().err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_valid_and_come_back() {
    assert_eq!(problems(""), Vec::<String>::new());
    let text = toml::to_string(&Config::default()).expect("a text");
    assert_eq!(toml::from_str::<Config>(&text).expect("own text"), Config::default());
    toml::from_str::<Config>("[pipeline]\nqueue = 3").expect_err("an unknown setting");
}

#[test]
fn every_problem_is_named() {
    let found = problems(
        r#"
        pipeline.queue_len = 0
        import.block_size = "1B"
        [[follow]]
        paths = ["-"]
        [[hubble]]
        connect.address = "relay"
        connect.auth.bearer_token = "x"
        allow_list = ["{\"verdict\":[\"DROPPED\"]}", "{"]
        [[hubble]]
        connect.address = "relay:443"
        connect.tls.enabled = true
        [[tetragon]]
        connect.address = "10.0.0.1:54321"
        connect.tls.server_name = "x"
        deny_list = ["[]"]
        "#,
    );
    let fields: Vec<&str> =
        found.iter().filter_map(|problem| problem.split_once(": ").map(|(field, _)| field)).collect();
    assert_eq!(
        fields,
        [
            "ingest.pipeline.queue_len",
            "ingest.import.block_size",
            "ingest.follow[0].paths",
            "ingest.hubble[0].connect.address",
            "ingest.hubble[0].connect.auth",
            "ingest.hubble[0].allow_list[1]",
            "ingest.hubble[1].connect.tls.ca_file",
            "ingest.tetragon[0].connect.tls.enabled",
            "ingest.tetragon[0].deny_list[0]",
        ],
        "{found:#?}"
    );
}

#[test]
fn secrets_do_not_show() {
    let toml = "[[hubble]]\nconnect.address = \"localhost:4245\"\nconnect.auth.bearer_token = \"swordfish\"";
    let config: Config = toml::from_str(toml).expect("readable settings");
    let shown = format!("{config:?} {}", toml::to_string(&config).expect("a text"));
    assert!(!shown.contains("swordfish"), "{shown}");
    config.validate().expect("credentials may go to this machine in the clear");
}
