//! An answer with rows: pieces from the engine, rendered as the client reads them.
//!
//! The body is pulled: while a client does not read, nothing is rendered and the scan behind it stands still. The
//! status is decided by the first piece; what goes wrong later is said in the body, or breaks it off.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hindcast_model::{Kind, report};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, TRAILER, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;

use crate::doors::{Doors, Permit};
use crate::fault::Fault;
use crate::problem::Problem;
use crate::render::{Ending, Format, RenderError, Renderer, Style};

/// The trailer that says why an answer is shorter than the question.
const CUT: HeaderName = HeaderName::from_static("x-hindcast-cut");
/// The trailer that says where the next page begins.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-hindcast-next-cursor");
/// Rows rendered in one go as text; more would keep other tasks waiting.
const TEXT_SLICE_ROWS: usize = 256;
/// Rows rendered in one go as columns.
const BINARY_SLICE_ROWS: usize = 8 * 1024;
/// Bytes that are worth sending before more is rendered.
const CHUNK_BYTES: usize = 64 * 1024;

/// A part of an answer.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Some rows.
    Rows(RecordBatch),
    /// The last piece.
    End(Ending),
}

/// An answer: rows of one schema, then an ending.
pub(crate) struct Answer {
    /// The columns.
    pub(crate) schema: SchemaRef,
    /// The rows, then one [`Piece::End`].
    pub(crate) pieces: BoxStream<'static, Piece>,
}

/// The ending of an answer that failed.
pub(crate) fn failed(fault: Fault) -> Piece {
    Piece::End(Ending { fault: Some(fault), ..Ending::default() })
}

impl From<RenderError> for Fault {
    fn from(error: RenderError) -> Self {
        let kind = match &error {
            RenderError::Type { .. } => Kind::Invalid,
            RenderError::Arrow(_) | RenderError::Parquet(_) => Kind::Internal,
        };
        Self::new(kind, report(&error))
    }
}

impl Answer {
    /// The answer as a response, or the problem that its first piece is.
    pub(crate) async fn respond(
        mut self,
        format: Format,
        style: Style,
        doors: Arc<Doors>,
        permit: Permit,
    ) -> Result<Response, Problem> {
        let mut out = Vec::new();
        let mut renderer = Renderer::new(format, &self.schema, style, &mut out).map_err(Fault::from)?;
        let mut waiting = VecDeque::new();
        let mut ending = None;
        let slice_rows = if format.is_binary() { BINARY_SLICE_ROWS } else { TEXT_SLICE_ROWS };
        match self.pieces.next().await {
            Some(Piece::Rows(records)) => {
                slices(&records, slice_rows, &mut waiting);
                // Rows that cannot be written in this form are found before the status is sent.
                if let Some(first) = waiting.pop_front() {
                    renderer.write(&first, &mut out).map_err(Fault::from)?;
                    doors.metrics.rows.inc_by(u64::try_from(first.num_rows()).unwrap_or(0));
                }
            }
            Some(Piece::End(Ending { fault: Some(fault), .. })) => return Err(fault.into()),
            Some(Piece::End(whole)) => ending = Some(whole),
            None => {}
        }
        let renderer = Some(renderer);
        let body = Writing { out, renderer, slice_rows, waiting, ending, pieces: self.pieces, doors, _permit: permit };
        let frames = futures::stream::unfold(body, |mut body| async move { Some((body.next().await?, body)) });
        let mut response = Response::new(Body::new(StreamBody::new(frames)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("accept"));
        headers.insert(TRAILER, HeaderValue::from_static("x-hindcast-cut, x-hindcast-next-cursor"));
        Ok(response)
    }
}

/// Puts the rows of a batch into the queue, in slices.
fn slices(records: &RecordBatch, slice_rows: usize, waiting: &mut VecDeque<RecordBatch>) {
    let mut at = 0;
    while at < records.num_rows() {
        let n_rows = slice_rows.min(records.num_rows() - at);
        waiting.push_back(records.slice(at, n_rows));
        at += n_rows;
    }
}

/// A body under way.
struct Writing {
    out: Vec<u8>,
    /// `None` once the end is written.
    renderer: Option<Renderer>,
    slice_rows: usize,
    waiting: VecDeque<RecordBatch>,
    ending: Option<Ending>,
    pieces: BoxStream<'static, Piece>,
    doors: Arc<Doors>,
    _permit: Permit,
}

type BodyError = Box<dyn std::error::Error + Send + Sync>;

impl Writing {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        loop {
            if !self.out.is_empty() && (self.waiting.is_empty() || self.out.len() > CHUNK_BYTES) {
                return Some(Ok(Frame::data(std::mem::take(&mut self.out).into())));
            }
            if self.renderer.is_none() {
                let ending = self.ending.take()?;
                return trailers(&ending).map(|trailers| Ok(Frame::trailers(trailers)));
            }
            if let Err(fault) = self.advance().await {
                tracing::warn!(error = %fault, "an answer broke off");
                return Some(Err(fault.into()));
            }
        }
    }

    /// Renders the next slice, takes the next piece, or writes the end.
    async fn advance(&mut self) -> Result<(), Fault> {
        if let Some(records) = self.waiting.pop_front() {
            if let Some(renderer) = &mut self.renderer {
                self.doors.metrics.rows.inc_by(u64::try_from(records.num_rows()).unwrap_or(0));
                renderer.write(&records, &mut self.out)?;
            }
            return Ok(());
        }
        let ending = match self.ending.take() {
            Some(ending) => ending,
            None => match self.pieces.next().await {
                Some(Piece::Rows(records)) => {
                    slices(&records, self.slice_rows, &mut self.waiting);
                    return Ok(());
                }
                Some(Piece::End(ending)) => ending,
                None => Ending::default(),
            },
        };
        let is_ended = match self.renderer.take() {
            Some(renderer) => renderer.end(&ending, &mut self.out)?,
            None => true,
        };
        if !is_ended {
            return Err(ending.fault.unwrap_or_else(|| Fault::new(Kind::Internal, "the answer broke off")));
        }
        self.ending = Some(ending);
        Ok(())
    }
}

fn trailers(ending: &Ending) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    if let Some(cut) = &ending.cut
        && let Ok(value) = HeaderValue::from_str(&format!("{}: {}", cut.reason, cut.detail))
    {
        trailers.insert(CUT, value);
    }
    if let Some(cursor) = &ending.next_cursor
        && let Ok(value) = HeaderValue::from_str(cursor)
    {
        trailers.insert(NEXT_CURSOR, value);
    }
    (!trailers.is_empty()).then_some(trailers)
}
