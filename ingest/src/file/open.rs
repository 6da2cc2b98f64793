//! Opens an input where it was left: finds out whether it is known, and goes to the position.

use std::io::{self, Cursor, Read};

use super::blocks::{BlockLimits, BlockReader, count_lines};
use super::content::{Content, HEAD_LEN, Packing, not_text, read_up_to};
use super::inputs::Place;
use super::known::{Fingerprint, MARK_LEN, Reached, Tail};
use super::pump::Pump;
use super::whole::{Form, Whole};

/// Bytes passed over at once on the way to a position.
const SKIP_LEN: usize = 256 << 10;
/// Some editors start a UTF-8 text with this.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
/// Bytes of a first line shown to a person.
const SHOWN_LEN: usize = 120;

/// The bytes of an input from some position on.
pub(crate) type Text = Box<dyn Read + Send>;

/// An input at the place where reading goes on.
pub(crate) struct Opened {
    /// The text from there on.
    pub(crate) blocks: BlockReader<Text>,
    /// The bytes before it.
    pub(crate) tail: Tail,
    /// What it starts with; `None` for a pipe.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// How far it was read before.
    pub(crate) reached: Option<Reached>,
    /// How it is packed.
    pub(crate) packing: Packing,
    /// Bytes taken so far, as they lie on disk.
    pub(crate) n_packed: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

/// What opening led to.
pub(crate) enum Opening {
    /// There is something to read.
    Ready(Box<Opened>),
    /// There is something to read, by a decoder that needs all of it.
    Whole(Box<Whole>),
    /// There is nothing in it.
    Empty,
    /// It was read to its end before, and is the same.
    Unchanged(Reached),
    /// It is something else.
    Foreign {
        /// What it starts with.
        first_line: String,
        /// What it is.
        hint: &'static str,
    },
}

/// The start of a text, for a person.
pub(crate) fn first_line(text: &[u8]) -> String {
    let line = text.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let shown = line.get(..SHOWN_LEN).unwrap_or(line);
    let dots = if shown.len() < line.len() { "…" } else { "" };
    let shown: String = String::from_utf8_lossy(shown)
        .chars()
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect();
    format!("{shown}{dots}")
}

/// Opens an input; `candidates` gives the inputs that a head may belong to, furthest first.
pub(crate) fn open(
    place: &Place,
    limits: BlockLimits,
    candidates: impl Fn(&[u8]) -> Vec<Reached>,
) -> io::Result<Opening> {
    let mut content = Content::open(place)?;
    let (packing, n_packed) = (content.packing, std::sync::Arc::clone(&content.n_packed));
    if matches!(place, Place::Stdin | Place::Stream(_)) {
        return pipe(content, limits);
    }
    let mut head = Vec::with_capacity(HEAD_LEN);
    let head_result = read_up_to(&mut content, &mut head, HEAD_LEN);
    if head.is_empty() {
        return head_result.map(|()| Opening::Empty);
    }
    let form = Form::of(&head);
    if form.is_none()
        && let Some(hint) = not_text(&head)
    {
        return Ok(Opening::Foreign { first_line: first_line(&head), hint });
    }
    let fingerprint = Fingerprint::of(&head);
    let known = candidates(&head);
    if packing == Packing::Plain
        && let Some(reached) = unchanged(place, &known)?
    {
        return Ok(Opening::Unchanged(reached));
    }
    // A damaged start is met again, after the good part, by who reads on.
    let failure = Failing(head_result.err());
    let mut text: Text = Box::new(Cursor::new(head.clone()).chain(failure).chain(content));
    if let Some(form) = form {
        return Ok(Opening::Whole(Box::new(Whole { form, text, fingerprint, packing, n_packed })));
    }
    let Some(at) = furthest(place, &mut text, &known)? else {
        return Ok(Opening::Ready(Box::new(fresh(reopen(place)?, limits, &head, fingerprint)?)));
    };
    resumed(text, at, limits, fingerprint, packing, n_packed)
}

/// Opens what can be read only once. It waits for a first line, or for what no text begins with: nothing can be done
/// before.
fn pipe(mut content: Content, limits: BlockLimits) -> io::Result<Opening> {
    let (packing, n_packed) = (content.packing, std::sync::Arc::clone(&content.n_packed));
    let mut head = vec![0; HEAD_LEN];
    let mut n = 0;
    let failure = loop {
        let known = head.get(..n).unwrap_or_default();
        if n == HEAD_LEN || known.contains(&b'\n') || Form::of(known) == Some(Form::Capture) {
            break None;
        }
        match content.read(head.get_mut(n..).unwrap_or_default()) {
            Ok(0) => break None,
            Ok(more) => n += more,
            Err(error) => break Some(error),
        }
    };
    head.truncate(n);
    let form = Form::of(&head);
    let text: Text = Box::new(Pump::start(Cursor::new(head).chain(Failing(failure)).chain(content))?);
    if let Some(form) = form {
        return Ok(Opening::Whole(Box::new(Whole { form, text, fingerprint: None, packing, n_packed })));
    }
    let blocks = BlockReader::new(text, limits, 0, 1, Vec::new());
    let opened = Opened { blocks, tail: Tail::default(), fingerprint: None, reached: None, packing, n_packed };
    Ok(Opening::Ready(Box::new(opened)))
}

/// A reader that fails once, if at all.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

fn reopen(place: &Place) -> io::Result<Content> {
    Content::open(place)
}

fn fresh(
    mut content: Content,
    limits: BlockLimits,
    head: &[u8],
    fingerprint: Option<Fingerprint>,
) -> io::Result<Opened> {
    let (packing, n_packed) = (content.packing, std::sync::Arc::clone(&content.n_packed));
    let mut tail = Tail::default();
    let mut position = 0;
    if head.starts_with(BYTE_ORDER_MARK) {
        let mut mark = Vec::new();
        read_up_to(&mut content, &mut mark, BYTE_ORDER_MARK.len())?;
        tail.push(&mark);
        position = mark.len() as u64;
    }
    let blocks = BlockReader::new(Box::new(content) as Text, limits, position, 1, Vec::new());
    Ok(Opened { blocks, tail, fingerprint, reached: None, packing, n_packed })
}

/// A plain input that has exactly the length it had when it was read to its end, and ends alike.
fn unchanged(place: &Place, known: &[Reached]) -> io::Result<Option<Reached>> {
    for reached in known.iter().filter(|it| it.is_complete) {
        let Some((len, bytes)) = place.before(reached.position, MARK_LEN as u64)? else { return Ok(None) };
        let mut tail = Tail::default();
        tail.push(&bytes);
        if reached.position + reached.pending == len && tail.mark() == reached.mark {
            return Ok(Some(reached.clone()));
        }
    }
    Ok(None)
}

/// Passes over bytes; how many there were, and how many lines ended among them.
fn skip(text: &mut Text, n_bytes: u64, tail: &mut Tail, n_lines: &mut u64) -> io::Result<u64> {
    let mut buffer = vec![0; SKIP_LEN];
    let mut left = n_bytes;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(SKIP_LEN).min(SKIP_LEN);
        let n = text.read(buffer.get_mut(..want).unwrap_or_default())?;
        if n == 0 {
            break;
        }
        let bytes = buffer.get(..n).unwrap_or_default();
        tail.push(bytes);
        *n_lines += count_lines(bytes);
        left -= n as u64;
    }
    Ok(n_bytes - left)
}

/// Where reading goes on.
pub(crate) struct Located {
    /// How far the input was read before.
    pub(crate) reached: Reached,
    /// Number of the line there.
    pub(crate) line: u64,
    /// Bytes before it.
    pub(crate) tail: Tail,
}

/// The furthest known position that the content of an input really reaches.
pub(crate) fn locate(place: &Place, mut text: Text, known: &[Reached]) -> io::Result<Option<Located>> {
    furthest(place, &mut text, known)
}

/// The furthest known position that this content really reaches; `text` then stands at it.
fn furthest(place: &Place, text: &mut Text, known: &[Reached]) -> io::Result<Option<Located>> {
    let (mut position, mut n_lines, mut tail) = (0, 0, Tail::default());
    let mut best: Option<Located> = None;
    for reached in known.iter().rev() {
        let distance = reached.position.saturating_sub(position);
        let Ok(skipped) = skip(text, distance, &mut tail, &mut n_lines) else {
            // Somewhere behind the best place; what is damaged is met again by who reads on.
            position = u64::MAX;
            break;
        };
        position += skipped;
        if skipped < distance {
            break;
        }
        if tail.mark() == reached.mark {
            best = Some(Located { reached: reached.clone(), line: n_lines + 1, tail: tail.clone() });
        }
    }
    if let Some(Located { reached, .. }) = &best
        && reached.position < position
    {
        *text = Box::new(reopen(place)?);
        let _skipped = skip(text, reached.position, &mut Tail::default(), &mut 0)?;
    }
    Ok(best)
}

fn resumed(
    mut text: Text,
    at: Located,
    limits: BlockLimits,
    fingerprint: Option<Fingerprint>,
    packing: Packing,
    n_packed: std::sync::Arc<std::sync::atomic::AtomicU64>,
) -> io::Result<Opening> {
    let Located { reached, line, tail } = at;
    let mut ahead = Vec::new();
    let pending = usize::try_from(reached.pending).unwrap_or(usize::MAX).saturating_add(1);
    let result = read_up_to(&mut text, &mut ahead, pending);
    if reached.is_complete && ahead.len() as u64 == reached.pending {
        return Ok(Opening::Unchanged(reached));
    }
    let text: Text = Box::new(Failing(result.err()).chain(text));
    let blocks = BlockReader::new(text, limits, reached.position, line, ahead);
    Ok(Opening::Ready(Box::new(Opened { blocks, tail, fingerprint, reached: Some(reached), packing, n_packed })))
}
