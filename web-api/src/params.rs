//! Query parameters: every one is known, each is given once, and what is wrong is named.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The query parameters of a request, as `T` declares them (`deny_unknown_fields`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(explain(&rejection.body_text())),
        }
    }
}

/// The problem behind the text of a rejection: `Failed to …: limit: invalid digit found in string`.
fn explain(text: &str) -> Problem {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    let text = text.replace(" field `", " parameter `");
    let quoted = text.split('`').nth(1).filter(|_| text.contains(" parameter `"));
    let before = text.split_once(": ").map(|(name, _)| name);
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match before.filter(is_name).or(quoted) {
        Some(name) => Problem::parameter(name, text.clone()),
        None => Problem::invalid(text),
    }
}

#[cfg(test)]
mod tests {
    //! What a wrong parameter is told.

    use axum::extract::FromRequestParts as _;
    use http::Request;
    use serde::Deserialize;

    use super::Params;
    use crate::problem::Problem;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Some {
        #[serde(default)]
        limit: Option<u64>,
    }

    async fn read(query: &str) -> Result<Option<u64>, Problem> {
        let request = Request::builder().uri(format!("/x?{query}")).body(()).expect("a request");
        let (mut parts, ()) = request.into_parts();
        Params::<Some>::from_request_parts(&mut parts, &()).await.map(|Params(some)| some.limit)
    }

    #[tokio::test]
    async fn a_wrong_parameter_is_named() {
        assert_eq!(read("limit=5").await, Ok(Some(5)));
        assert_eq!(read("").await, Ok(None));
        for (query, name) in
            [("limit=x", "limit"), ("limt=5", "limt"), ("limit=1&limit=2", "limit"), ("limit=-1", "limit")]
        {
            let problem = read(query).await.expect_err(query);
            assert_eq!((problem.status, problem.parameter.as_deref()), (400, Some(name)), "{}", problem.detail);
        }
    }
}
