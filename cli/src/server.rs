//! A running server, asked over HTTP: rows come as an Arrow stream, read as they arrive.
//!
//! One connection a request. What the server cut is in the trailers of the answer and never dropped.

mod connection;

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde::Deserialize;
use url::Url;

use crate::args::{Access, DEFAULT_SERVER};

/// The media type of an Arrow stream.
const ARROW: &str = "application/vnd.apache.arrow.stream";
/// The longest error text that is read from a server.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    url: Url,
    token: Option<Token>,
    trust: connection::Trust,
}

/// A token; not printed.
#[derive(Clone)]
pub(crate) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl Token {
    /// The token of a file, or of the variable HINDCAST_TOKEN; `None` where neither is given.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Option<Self>> {
        match file {
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Ok(Some(Self(text.trim().to_owned())))
            }
            None => Ok(std::env::var("HINDCAST_TOKEN").ok().filter(|text| !text.is_empty()).map(Self)),
        }
    }

    /// `Bearer …`.
    #[must_use]
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

/// What a server says when it does not answer (RFC 9457).
#[derive(Debug, Deserialize)]
struct Problem {
    detail: String,
    parameter: Option<String>,
    span: Option<Span>,
}

/// A part of a parameter's text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Span {
    /// Where it begins.
    pub(crate) start: usize,
    /// Where it has ended.
    pub(crate) end: usize,
}

/// A request that the server refused, perhaps with the place at fault.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refused {
    /// What the server says.
    pub(crate) detail: String,
    /// The parameter at fault.
    pub(crate) parameter: Option<String>,
    /// Where in it.
    pub(crate) span: Option<Span>,
}

impl Server {
    /// The server at `url`, or the default one.
    ///
    /// # Errors
    /// The URL is none, or the token or certificates cannot be read.
    pub(crate) fn new(url: Option<&str>, access: &Access) -> anyhow::Result<Self> {
        let named = std::env::var("HINDCAST_SERVER").ok().filter(|name| !name.is_empty());
        let text = url.or(named.as_deref()).unwrap_or(DEFAULT_SERVER);
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).with_context(|| format!("{text} is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            bail!("{url}: a server's URL begins with http:// or https://");
        }
        if url.host_str().is_none() {
            bail!("{url}: the URL names no host");
        }
        let token = Token::read(access.token_file.as_deref())?;
        let trust = connection::Trust::new(url.scheme() == "https", access.tls_ca.as_deref())?;
        Ok(Self { url, token, trust })
    }

    /// Its URL.
    #[must_use]
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Asks with GET for rows.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub(crate) async fn rows(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Rows> {
        Rows::begin(self.send(Method::GET, path, query, ARROW, None).await?).await
    }

    /// Asks with POST for rows.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub(crate) async fn rows_of_post(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<Rows> {
        Rows::begin(self.send(Method::POST, path, &[], ARROW, Some(body.to_string())).await?).await
    }

    /// Asks with GET for JSON.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or answers something else.
    pub(crate) async fn json(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<serde_json::Value> {
        let body = self.send(Method::GET, path, query, "application/json", None).await?;
        let bytes = body.collect().await.context("the answer broke off")?.to_bytes();
        serde_json::from_slice(&bytes).with_context(|| format!("{} did not answer JSON", self.url))
    }

    /// Asks with GET for server-sent events.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub(crate) async fn events(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Events> {
        let body = self.send(Method::GET, path, query, "text/event-stream", None).await?;
        Ok(Events { body, buffer: Vec::new() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        accept: &str,
        body: Option<String>,
    ) -> anyhow::Result<Incoming> {
        let mut url = self.url.join(path).with_context(|| format!("{path} is no path"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let authority = url.authority();
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, authority)
            .header(ACCEPT, accept)
            .header(USER_AGENT, concat!("hindcast/", env!("CARGO_PKG_VERSION")))
            .header("te", "trailers");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default()))).context("the request is wrong")?;
        let response = connection::send(&self.url, &self.trust, request)
            .await
            .with_context(|| format!("no answer from {}{}", self.url, self.hint()))?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(refusal(response).await)
    }

    /// What to try where nothing listens.
    fn hint(&self) -> &'static str {
        let is_local = self.url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127."));
        if is_local { " (start one with `hindcast up`, or read a data directory with --data-dir DIR)" } else { "" }
    }
}

async fn refusal(response: http::Response<Incoming>) -> anyhow::Error {
    let status = response.status();
    let mut text = Vec::new();
    let mut body = response.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(part) = frame.data_ref() {
            text.extend_from_slice(part);
        }
        if text.len() > MAX_PROBLEM_BYTES {
            break;
        }
    }
    if status == http::StatusCode::UNAUTHORIZED {
        return anyhow!("the server asks for a credential: give --token-file FILE or HINDCAST_TOKEN");
    }
    match serde_json::from_slice::<Problem>(&text) {
        Ok(problem) => Refused { detail: problem.detail, parameter: problem.parameter, span: problem.span }.into(),
        Err(_) => anyhow!("the server answered {status}"),
    }
}

/// Rows as they arrive.
pub(crate) struct Rows {
    body: Incoming,
    decoder: StreamDecoder,
    buffer: Buffer,
    ready: VecDeque<RecordBatch>,
    cut: Option<String>,
    next_cursor: Option<String>,
    is_ended: bool,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Rows").field("cut", &self.cut).finish_non_exhaustive()
    }
}

impl Rows {
    async fn begin(body: Incoming) -> anyhow::Result<Self> {
        let mut rows = Self {
            body,
            decoder: StreamDecoder::new(),
            buffer: Buffer::from(Vec::<u8>::new()),
            ready: VecDeque::new(),
            cut: None,
            next_cursor: None,
            is_ended: false,
        };
        while rows.decoder.schema().is_none() && !rows.is_ended {
            rows.advance().await?;
        }
        Ok(rows)
    }

    /// The columns, once known.
    #[must_use]
    pub(crate) fn schema(&self) -> Option<SchemaRef> {
        self.decoder.schema()
    }

    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// The answer broke off or is no Arrow stream.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        loop {
            if let Some(records) = self.ready.pop_front() {
                return Ok(Some(records));
            }
            if self.is_ended {
                return Ok(None);
            }
            self.advance().await?;
        }
    }

    /// Why the answer is shorter than the question; known after the last row.
    #[must_use]
    pub(crate) fn cut(&self) -> Option<&str> {
        self.cut.as_deref()
    }

    /// Where the next page begins; known after the last row.
    pub(crate) fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }

    async fn advance(&mut self) -> anyhow::Result<()> {
        let Some(frame) = self.body.frame().await else {
            self.is_ended = true;
            self.decoder.finish().context("the server broke the answer off")?;
            return Ok(());
        };
        match frame.context("the answer broke off")?.into_data() {
            Ok(part) => {
                self.buffer = Buffer::from_vec(part.to_vec());
                while !self.buffer.is_empty() {
                    match self.decoder.decode(&mut self.buffer).context("the answer is no Arrow stream")? {
                        Some(records) => self.ready.push_back(records),
                        None => break,
                    }
                }
            }
            Err(frame) => {
                let trailers: HeaderMap = frame.into_trailers().unwrap_or_default();
                let text = |name| trailers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
                self.cut = text("x-hindcast-cut");
                self.next_cursor = text("x-hindcast-next-cursor");
            }
        }
        Ok(())
    }
}

/// Server-sent events as they arrive.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// Its name; `message` where the server gave none.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

impl Events {
    /// The next event; `None` when the server has ended.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if let Some(event) = self.buffered() {
                return Ok(Some(event));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(part) = frame.context("the stream broke off")?.into_data() {
                        self.buffer.extend(part.iter().filter(|byte| **byte != b'\r'));
                    }
                }
            }
        }
    }

    /// The next event, if it has arrived already.
    pub(crate) fn buffered(&mut self) -> Option<Event> {
        loop {
            let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            if let Some(event) = parse_event(&String::from_utf8_lossy(&block)) {
                return Some(event);
            }
        }
    }
}

/// The event of a block of lines; `None` for a comment that only keeps the connection open.
fn parse_event(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut lines = Vec::new();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.name),
            "data" => lines.push(value),
            _ => {}
        }
    }
    if lines.is_empty() {
        return None;
    }
    if event.name.is_empty() {
        "message".clone_into(&mut event.name);
    }
    event.text = lines.join("\n");
    Some(event)
}

#[cfg(test)]
mod tests;
