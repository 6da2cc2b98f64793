//! What goes and what stays.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// Compiled once: a property asks it hundreds of times.
static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::default);

#[test]
fn every_well_known_rule_compiles() {
    assert_eq!(Redactor::default().n_rules(), well_known::RULES.len());
}

#[test]
fn secrets_of_urls_go() {
    let redactor = Redactor::default();
    for (url, left) in [
        ("/login?user=eva&password=s3cret&next=/", "/login?user=eva&password=[redacted]&next=/"),
        ("https://eva:s3cret@example.org/x", "https://eva:[redacted]@example.org/x"),
        ("/cb?code=4%2F0A&state=1", "/cb?code=[redacted]&state=1"),
        ("access_token=abc#x", "access_token=[redacted]#x"),
        (
            "/s3/k?X-Amz-Signature=0ab&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F2024",
            "/s3/k?X-Amz-Signature=[redacted]&X-Amz-Credential=[redacted]",
        ),
        ("/u/AKIAIOSFODNN7EXAMPLE/x", "/u/[redacted]/x"),
        ("/a?client_secret=a&client_secret=b", "/a?client_secret=[redacted]&client_secret=[redacted]"),
    ] {
        assert_eq!(redactor.url(url), left);
    }
}

#[test]
fn what_is_no_secret_stays() {
    let redactor = Redactor::default();
    for url in ["/items?id=7&sort=name", "/passwords/reset", "http://shop.example:8080/a@b", "/tokenize?text=abc", "/"]
    {
        assert!(matches!(redactor.url(url), Cow::Borrowed(_)), "{url}");
    }
    assert_eq!(redactor.header("Content-Type", "text/html"), "text/html");
    assert_eq!(redactor.header("X-Request-Id", "7f3"), "7f3");
    for arguments in ["-c 'sleep 1'", "ls -la /etc/passwd", "--tls-min-version=1.2 -p 8080", "-u postgres -d shop"] {
        assert_eq!(redactor.arguments(arguments), arguments);
    }
}

#[test]
fn secrets_of_headers_go() {
    let redactor = Redactor::default();
    assert_eq!(redactor.header("Authorization", "Bearer abc.def"), "Bearer [redacted]");
    assert_eq!(redactor.header("authorization", "opaque"), "[redacted]");
    assert_eq!(redactor.header("Cookie", "sid=1; theme=dark"), "[redacted]");
    assert_eq!(redactor.header("Set-Cookie", "sid=1; HttpOnly"), "[redacted]");
    assert_eq!(redactor.header("X-Api-Key", "k"), "[redacted]");
    assert_eq!(redactor.header("Referer", "https://a/?token=x&y=1"), "https://a/?token=[redacted]&y=1");
}

#[test]
fn secrets_of_commands_and_variables_go() {
    let redactor = Redactor::default();
    for (arguments, left) in [
        ("mysql -u root -ps3cret shop", "mysql -u root -p[redacted] shop"),
        ("curl -u eva:s3cret https://x", "curl -u eva:[redacted] https://x"),
        ("curl -H 'Authorization: Bearer abc' x", "curl -H 'Authorization: Bearer [redacted]' x"),
        ("app --db-password s3cret --port 1", "app --db-password [redacted] --port 1"),
        ("app --token='a b' x", "app --token=[redacted] x"),
        ("env AWS_SECRET_ACCESS_KEY=abc/def aws s3 ls", "env AWS_SECRET_ACCESS_KEY=[redacted] aws s3 ls"),
        ("psql postgres://eva:s3cret@db/shop", "psql postgres://eva:[redacted]@db/shop"),
        ("sshpass -p s3cret ssh a", "sshpass -p [redacted] ssh a"),
        (r#"curl -d {"password":"x","a":1} b"#, r#"curl -d {"password":[redacted],"a":1} b"#),
    ] {
        assert_eq!(redactor.arguments(arguments), left);
    }
    assert_eq!(redactor.environment("DB_PASSWORD=s3cret"), "DB_PASSWORD=[redacted]");
    assert_eq!(redactor.environment("PATH=/bin"), "PATH=/bin");
}

#[test]
fn a_users_rules_come_after_and_may_stand_alone() {
    let rule = Rule::new(&[Place::Url], r"/customers/(\d+)(?:/orders/(\d+))?").unwrap();
    let redactor = Redactor::default().with([rule.clone()]);
    assert_eq!(
        redactor.url("/customers/7/orders/8?token=x"),
        "/customers/[redacted]/orders/[redacted]?token=[redacted]"
    );
    assert_eq!(Redactor::new(vec![rule]).url("/customers/7?token=x"), "/customers/[redacted]?token=x");
    assert_eq!(Redactor::none().header("Cookie", "a"), "a");
    assert!(Rule::new(&[Place::Url], "(").is_err());
    assert!(Rule::new(&[Place::Url], r"\w{5000}").is_err());
}

#[test]
fn a_rule_that_takes_the_name_takes_the_value() {
    let redactor = Redactor::new(vec![Rule::new(&[Place::Header], "(?i)x-note").unwrap()]);
    assert_eq!(redactor.header("X-Note", "a"), MARK);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_a_secret_never_stays(before in "\\PC{0,40}", secret in "[a-z0-9]{12,20}") {
        for place in Place::ALL {
            let _text = REDACTOR.text(place, &before);
        }
        let url = format!("/{}?password={secret}", before.replace(['?', '#'], ""));
        prop_assert!(!REDACTOR.url(&url).contains(&secret));
        prop_assert!(!REDACTOR.header("Authorization", &secret).contains(&secret));
    }

    #[test]
    fn what_was_redacted_stays_as_it_is(text in "[a-z=&?:/ -]{0,40}") {
        let once = REDACTOR.url(&text).into_owned();
        prop_assert_eq!(REDACTOR.url(&once).into_owned(), once);
    }
}
