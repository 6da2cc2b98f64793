//! Who may come in: one check of the `authorization` header for every door.
//!
//! Either credential opens every door. A Flight client that logs in with basic auth gets a bearer token back; where
//! no token is configured that token is the basic credential itself, so nothing has to be remembered between calls.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::config::AuthConfig;
use crate::secret::Secret;

/// The credentials that open the doors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Auth {
    token: Option<Secret>,
    basic: Option<Basic>,
}

#[derive(Clone, Debug)]
struct Basic {
    /// `user:password`.
    pair: Secret,
    /// The same in base64, as a bearer token.
    token: Secret,
}

impl Auth {
    /// The check that a configuration asks for.
    pub(crate) fn new(config: &AuthConfig) -> Self {
        let basic = config.user.as_ref().zip(config.password.as_ref()).map(|(user, password)| {
            let pair = format!("{user}:{}", password.reveal());
            Basic { token: Secret::new(STANDARD.encode(&pair)), pair: Secret::new(pair) }
        });
        Self { token: config.token.clone(), basic }
    }

    /// Whether everyone may come in.
    pub(crate) const fn is_open(&self) -> bool {
        self.token.is_none() && self.basic.is_none()
    }

    /// Whether a request with these headers may come in.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        self.is_open() || headers.get_all(AUTHORIZATION).iter().any(|value| value.to_str().is_ok_and(|v| self.knows(v)))
    }

    fn knows(&self, value: &str) -> bool {
        let Some((scheme, credential)) = value.split_once(' ') else { return false };
        let credential = credential.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            let by_token = self.token.as_ref().is_some_and(|token| token.matches(credential));
            let by_basic = self.basic.as_ref().is_some_and(|basic| basic.token.matches(credential));
            return by_token || by_basic;
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        let Some(basic) = &self.basic else { return false };
        let pair = STANDARD.decode(credential).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        pair.is_some_and(|pair| basic.pair.matches(&pair))
    }

    /// The token that a client which has logged in may use from now on; any text will do where nothing is asked for.
    pub(crate) fn session_token(&self) -> &str {
        match (&self.token, &self.basic) {
            (Some(token), _) => token.reveal(),
            (None, Some(basic)) => basic.token.reveal(),
            (None, None) => "open",
        }
    }

    /// The `www-authenticate` challenge.
    pub(crate) const fn challenge(&self) -> &'static str {
        if self.basic.is_some() { "Basic realm=\"hindcast\", charset=\"UTF-8\"" } else { "Bearer realm=\"hindcast\"" }
    }
}

#[cfg(test)]
mod tests;
