//! Inputs whose rows need what came before them: captures of packets, and flow logs of clouds. They are read from their
//! start to their end, whenever they are read.
//!
//! Until the end nothing is noted of how far such an input was read: after a stop it is read again, and repeats are told
//! by the events' ids.

use std::io::{self, Read};
use std::sync::Arc;

use hindcast_model::{Batch, SourceKind, report};
use hindcast_packets::capture::{CaptureError, looks_like};
use hindcast_packets::flow_logs::{FlowLogError, FlowLogFormat, FlowLogImport, Refused};
use hindcast_packets::import::{ImportConfig, ImportError};
use hindcast_packets::layers::NotUnderstood;
use hindcast_packets::{Origin, PcapImport};
use hindcast_proto::RejectReason;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::content::Packing;
use super::known::{Fingerprint, Tail};
use super::open::Text;
use super::summary::{FileState, Rejected};

/// Rows of a batch from a file.
const FILE_ROWS: usize = 8192;
/// The same from a pipe: whoever looks on wants to see what has come.
const PIPE_ROWS: usize = 256;

/// What an input holds, if not lines of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// pcap or pcapng.
    Capture,
    /// A log of flows.
    FlowLog(FlowLogFormat),
}

impl Form {
    /// What content that begins with `head` holds; `None` for lines of events, and for what is not known.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        if looks_like(head) { Some(Self::Capture) } else { FlowLogFormat::detect(head).map(Self::FlowLog) }
    }

    const fn kind(self) -> SourceKind {
        match self {
            Self::Capture => SourceKind::Pcap,
            Self::FlowLog(FlowLogFormat::NetObserv) => SourceKind::Netobserv,
            Self::FlowLog(FlowLogFormat::Aws | FlowLogFormat::Gcp | FlowLogFormat::Azure) => SourceKind::FlowLog,
        }
    }
}

/// An input that is read as a whole, opened.
pub(crate) struct Whole {
    /// What it holds.
    pub(crate) form: Form,
    /// All of it.
    pub(crate) text: Text,
    /// What it starts with; `None` for a pipe.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// How it is packed.
    pub(crate) packing: Packing,
    /// Bytes taken so far, as they lie on disk.
    pub(crate) n_packed: Arc<std::sync::atomic::AtomicU64>,
}

/// How far the content was read.
#[derive(Debug, Default)]
struct Passed {
    n_bytes: u64,
    tail: Tail,
}

/// Content on its way to a decoder: noted as it passes, and ended early when nobody wants more of it.
struct Passing {
    text: Text,
    passed: Arc<Mutex<Passed>>,
    cancel: CancellationToken,
}

impl Read for Passing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.cancel.is_cancelled() {
                return Ok(0);
            }
            match self.text.read(into) {
                // A pipe that is silent.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(n) => {
                    let mut passed = self.passed.lock();
                    passed.n_bytes += n as u64;
                    passed.tail.push(into.get(..n).unwrap_or_default());
                    return Ok(n);
                }
            }
        }
    }
}

enum Decoder {
    Capture(Box<PcapImport<Passing>>),
    FlowLog(Box<FlowLogImport<Passing>>),
}

/// Reads an input as a whole.
pub(crate) struct WholeReader {
    decoder: Decoder,
    passed: Arc<Mutex<Passed>>,
    packing: Packing,
    /// Why reading ended early.
    failure: Option<String>,
    is_done: bool,
    pub(crate) kind: SourceKind,
}

impl WholeReader {
    /// A reader of an input; `source` is its name in the rows. Cancelling ends the input where it is.
    pub(crate) fn new(whole: Whole, source: &str, cancel: CancellationToken) -> Self {
        let Whole { form, text, fingerprint, packing, .. } = whole;
        let passed = Arc::new(Mutex::new(Passed::default()));
        let passing = Passing { text, passed: Arc::clone(&passed), cancel };
        let origin = Origin { source: Some(source.to_owned()), ..Origin::default() };
        let decoder = match form {
            Form::Capture => {
                let rows_per_batch = if fingerprint.is_some() { FILE_ROWS } else { PIPE_ROWS };
                let config = ImportConfig { origin, rows_per_batch, ..ImportConfig::default() };
                Decoder::Capture(Box::new(PcapImport::with_config(passing, config)))
            }
            Form::FlowLog(format) => Decoder::FlowLog(Box::new(FlowLogImport::new(passing, format, origin))),
        };
        Self { decoder, passed, packing, failure: None, is_done: false, kind: form.kind() }
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        if self.is_done {
            return None;
        }
        let result = match &mut self.decoder {
            Decoder::Capture(import) => match import.next_batch() {
                Err(error) => {
                    self.failure = Some(capture_fault(&error));
                    self.is_done = true;
                    // What was understood before the damage is good.
                    import.finish().map_err(|error| capture_fault(&error))
                }
                Ok(batch) => Ok(batch),
            },
            Decoder::FlowLog(import) => import.next_batch().map_err(|error| log_fault(&error)),
        };
        match result {
            Ok(batch) => {
                self.is_done |= batch.is_none();
                batch
            }
            Err(error) => {
                self.is_done = true;
                self.failure = Some(error);
                None
            }
        }
    }

    /// Bytes of the unpacked content that were read, and the mark of that place.
    pub(crate) fn place(&self) -> (u64, u64) {
        let passed = self.passed.lock();
        (passed.n_bytes, passed.tail.mark())
    }

    /// How it ended.
    pub(crate) fn state(&mut self) -> FileState {
        match (self.failure.take(), self.packing) {
            (None, _) => FileState::Complete,
            (Some(error), Packing::Plain) => FileState::Failed { error },
            (Some(error), Packing::Gzip | Packing::Zstd) => FileState::Truncated { line: 0, error },
        }
    }

    /// What made no row, by reason.
    pub(crate) fn rejected(&self) -> Rejected {
        match &self.decoder {
            Decoder::Capture(import) => of_capture(import),
            Decoder::FlowLog(import) => of_log(import),
        }
    }
}

fn capture_fault(error: &ImportError) -> String {
    match error {
        ImportError::Capture(CaptureError::Read { offset, source }) => format!("at byte {offset}: {source}"),
        other => report(other),
    }
}

fn log_fault(error: &FlowLogError) -> String {
    match error {
        FlowLogError::Read { records, source } => format!("after {records} records: {source}"),
        other => report(other),
    }
}

/// Counts some of a kind as rejected; `detail` is for a person.
fn reject(rejected: &mut Rejected, reason: RejectReason, count: u64, detail: impl Into<String>) {
    if count > 0 {
        rejected.entry(reason).or_default().add_unnumbered(count, detail.into());
    }
}

const fn reason_of(reason: NotUnderstood) -> RejectReason {
    match reason {
        NotUnderstood::NoTime => RejectReason::MissingTime,
        NotUnderstood::Cut => RejectReason::Truncated,
        NotUnderstood::Malformed => RejectReason::BadField,
        NotUnderstood::TooDeep => RejectReason::TooLarge,
        NotUnderstood::LinkType | NotUnderstood::NotIp | NotUnderstood::Transport | NotUnderstood::Fragment => {
            RejectReason::Unsupported
        }
    }
}

fn of_capture(import: &PcapImport<Passing>) -> Rejected {
    let mut rejected = Rejected::new();
    let counts = import.counts();
    for reason in NotUnderstood::ALL {
        let n = counts.of(reason);
        reject(&mut rejected, reason_of(reason), n, format!("{n} packets: {}", reason.as_str()));
    }
    let damage = import.damage();
    if let Some((offset, what)) = damage.first.first() {
        let detail =
            format!("{} damaged blocks, {} bytes; the first at byte {offset}: {what}", damage.n_blocks, damage.n_bytes);
        reject(&mut rejected, RejectReason::Truncated, damage.n_blocks, detail);
    }
    for (count, what) in [
        (counts.dns_faults, "messages of DNS"),
        (counts.http_faults, "places in HTTP"),
        (counts.tls_faults, "handshakes of TLS"),
    ] {
        reject(&mut rejected, RejectReason::BadField, count, format!("{count} {what} that were not understood"));
    }
    let n = counts.given_up;
    let detail = format!("applications of {n} connections, to keep to the bound on memory");
    reject(&mut rejected, RejectReason::TooLarge, n, detail);
    rejected
}

fn of_log(import: &FlowLogImport<Passing>) -> Rejected {
    let mut rejected = Rejected::new();
    let counts = import.counts();
    for reason in Refused::ALL {
        let n = counts.of(reason);
        let place = match (reason, counts.first_fault) {
            (Refused::Malformed, Some((line, fault))) => format!("; the first in line {line}: {fault}"),
            _ => String::new(),
        };
        let known_as = match reason {
            Refused::Malformed => RejectReason::BadField,
            Refused::TooLong => RejectReason::TooLarge,
            Refused::NoTime => RejectReason::MissingTime,
            Refused::NoAddresses => RejectReason::Unsupported,
            Refused::NotARecord => RejectReason::UnknownKind,
        };
        reject(&mut rejected, known_as, n, format!("{n} records: {}{place}", reason.as_str()));
    }
    let n = counts.skipped;
    reject(&mut rejected, RejectReason::Unsupported, n, format!("{n} records that say that the log itself lacks some"));
    rejected
}

#[cfg(test)]
mod tests;
