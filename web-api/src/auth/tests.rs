//! Which headers open the doors.

use http::{HeaderMap, HeaderValue};

use super::Auth;
use crate::config::AuthConfig;
use crate::secret::Secret;

fn auth(token: Option<&str>, basic: Option<(&str, &str)>) -> Auth {
    Auth::new(&AuthConfig {
        token: token.map(Secret::new),
        user: basic.map(|(user, _)| user.to_owned()),
        password: basic.map(|(_, password)| Secret::new(password)),
    })
}

fn admits(auth: &Auth, header: &str) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(header).expect("a header"));
    auth.admits(&headers)
}

#[test]
fn an_open_door_admits_everyone() {
    assert!(auth(None, None).admits(&HeaderMap::new()));
    assert!(admits(&auth(None, None), "Bearer anything"));
}

#[test]
fn a_token_admits_its_bearer_only() {
    let auth = auth(Some("s3cret"), None);
    assert!(admits(&auth, "Bearer s3cret"));
    assert!(admits(&auth, "bearer s3cret"));
    for wrong in ["Bearer s3cre", "Bearer s3cretx", "s3cret", "Basic s3cret", "Bearer "] {
        assert!(!admits(&auth, wrong), "{wrong}");
    }
    assert!(!auth.admits(&HeaderMap::new()));
}

#[test]
fn basic_auth_admits_and_its_session_token_too() {
    let auth = auth(None, Some(("ann", "pa:ss")));
    assert!(admits(&auth, "Basic YW5uOnBhOnNz"));
    assert!(!admits(&auth, "Basic YW5uOnBhOnN0"));
    assert!(!admits(&auth, "Basic !!!"));
    assert!(admits(&auth, &format!("Bearer {}", auth.session_token())));
}
