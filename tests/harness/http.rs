//! A small HTTP client: one request, one answer, whatever its status.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Media type, as the header has it.
    pub content_type: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// The status is not a success, or the body is not JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        if !(200..300).contains(&self.status) {
            bail!("status {}: {}", self.status, self.text());
        }
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .into()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer> {
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(Answer {
        status: response.status().as_u16(),
        content_type: content_type.to_owned(),
        body: response.body_mut().with_config().limit(1 << 30).read_to_vec()?,
    })
}

/// GET, asking for that media type.
///
/// # Errors
/// No answer came.
pub fn get(url: &str, accept: &str) -> Result<Answer> {
    let response = agent().get(url).header("accept", accept).call().with_context(|| format!("GET {url}"))?;
    answer(response)
}

/// POST of a text; the text of an answer that is a success.
///
/// # Errors
/// No answer came within ten seconds, or a refusal.
pub fn post_text(url: &str, text: &str) -> Result<String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
    let mut response = agent.post(url).send(text).with_context(|| format!("POST {url}"))?;
    Ok(response.body_mut().read_to_string()?)
}

/// POST of a text.
///
/// # Errors
/// No answer came.
pub fn post_plain(url: &str, text: &str) -> Result<Answer> {
    answer(agent().post(url).send(text).with_context(|| format!("POST {url}"))?)
}

/// POST of a JSON document, asking for that media type.
///
/// # Errors
/// No answer came.
pub fn post(url: &str, accept: &str, document: &serde_json::Value) -> Result<Answer> {
    let response = agent()
        .post(url)
        .header("accept", accept)
        .header("content-type", "application/json")
        .send(document.to_string())
        .with_context(|| format!("POST {url}"))?;
    answer(response)
}
