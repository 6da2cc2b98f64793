//! What may be served and what may not.

use super::{Config, ConfigError};

fn problems(toml: serde_json::Value) -> Vec<ConfigError> {
    let config: Config = serde_json::from_value(toml).expect("a readable configuration");
    config.validate().err().unwrap_or_default()
}

#[test]
fn loopback_needs_nothing() {
    assert_eq!(problems(serde_json::json!({})), vec![]);
    assert_eq!(problems(serde_json::json!({"http": "[::1]:7171"})), vec![]);
}

#[test]
fn another_address_needs_tls_and_a_credential() {
    let found = problems(serde_json::json!({"grpc": "0.0.0.0:4245"}));
    assert!(matches!(found[0], ConfigError::NeedsTls { option: "web.grpc", .. }), "{found:?}");
    assert!(matches!(found[1], ConfigError::NeedsCredential { option: "web.grpc", .. }), "{found:?}");
    assert!(found[1].to_string().contains("web.auth.token"), "{}", found[1]);
    let open = serde_json::json!({
        "grpc": "0.0.0.0:4245",
        "tls": {"cert_file": "/c", "key_file": "/k"},
        "auth": {"token": "t"},
    });
    assert_eq!(problems(open), vec![]);
}

#[test]
fn halves_and_zeros_are_named() {
    let found = problems(serde_json::json!({
        "tls": {"key_file": "/k"},
        "auth": {"user": "a"},
        "limits": {"max_rows": 0},
    }));
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "web.tls.key_file is set but web.tls.cert_file is not: they go together",
            "web.auth.user is set but web.auth.password is not: they go together",
            "web.limits.max_rows must not be 0",
        ]
    );
}

#[test]
fn a_secret_is_never_printed() {
    let config: Config = serde_json::from_value(serde_json::json!({"auth": {"token": "hunter2"}})).expect("readable");
    assert!(!format!("{config:?}").contains("hunter2"));
}
