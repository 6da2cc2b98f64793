//! Flow logs that clouds and NetObserv write to files: AWS, Google Cloud, Azure, and NetObserv's JSON.
//!
//! A record becomes a row; what of it has no column is kept in `rest` as JSON. A line that is no record is counted
//! with its reason and the rest is read. Files are lines, or one JSON document, which is then read as a whole up to
//! a bound.

mod aws;
mod azure;
mod detect;
mod fields;
mod gcp;
mod netobserv;

use std::io::{BufRead, BufReader, Read};

use hindcast_model::{Batch, Kind, SchemaError, SourceKind};
use serde_json::Value;

use crate::Malformed;
use crate::rows::{Origin, Rows};

/// A longer line is passed over.
const MOST_LINE: usize = 1 << 20;
/// A JSON document is read to this length. An hour of Azure's busiest networks stays below it.
const MOST_DOCUMENT: usize = 256 << 20;
/// Rows of a batch; a document's rows may be more.
const ROWS_PER_BATCH: usize = 8192;

/// Who wrote the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowLogFormat {
    /// AWS VPC: words separated by spaces. A first line of field names tells a custom format; without one it is the
    /// default of version 2.
    Aws,
    /// Google Cloud VPC: log entries in JSON.
    Gcp,
    /// Azure: JSON documents of network security groups (versions 1 and 2) and of virtual networks (version 4).
    Azure,
    /// NetObserv: flow records in JSON, or the answer of a log store that holds them.
    NetObserv,
}

/// Why a record made no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Not JSON, or not as many words as there are fields.
    Malformed,
    /// A line longer than any record.
    TooLong,
    /// No time in it.
    NoTime,
    /// No addresses in it: ARP and the like.
    NoAddresses,
    /// JSON that is no record of this format.
    NotARecord,
}

impl Refused {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 5] = [Self::Malformed, Self::TooLong, Self::NoTime, Self::NoAddresses, Self::NotARecord];

    /// The reason as metrics and reports name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::NoTime => "no_time",
            Self::NoAddresses => "no_addresses",
            Self::NotARecord => "not_a_record",
        }
    }
}

/// What became of a log so far. `records = rows + no_data + skipped + refused{reason}` at every moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowLogCounts {
    /// Records, and lines that were taken for one.
    pub records: u64,
    /// Rows.
    pub rows: u64,
    /// Records that say that there was no traffic.
    pub no_data: u64,
    /// Records that say that the log itself lacks some: a loss before us.
    pub skipped: u64,
    /// Records that made no row, by reason, in the order of [`Refused::ALL`].
    pub refused: [u64; Refused::ALL.len()],
    /// The first line or document that was refused as malformed: which one, and where in it.
    pub first_fault: Option<(u64, Malformed)>,
}

impl FlowLogCounts {
    fn refuse(&mut self, reason: Refused) {
        for (known, count) in Refused::ALL.iter().zip(&mut self.refused) {
            *count += u64::from(*known == reason);
        }
    }

    /// How many records were refused for a reason.
    #[must_use]
    pub fn of(&self, reason: Refused) -> u64 {
        let counts = Refused::ALL.iter().zip(&self.refused);
        counts.filter(|(known, _)| **known == reason).map(|(_, count)| *count).sum()
    }

    /// Whether every record is where it has to be (AC-1).
    #[must_use]
    pub fn add_up(&self) -> bool {
        self.records == self.rows + self.no_data + self.skipped + self.refused.iter().sum::<u64>()
    }

    /// Counts what became of one record.
    fn count(&mut self, outcome: Result<Kept, Refused>) {
        self.records += 1;
        match outcome {
            Ok(Kept::Row) => self.rows += 1,
            Ok(Kept::NoData) => self.no_data += 1,
            Ok(Kept::Skipped) => self.skipped += 1,
            Err(reason) => self.refuse(reason),
        }
    }
}

/// What became of a record that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Row,
    NoData,
    Skipped,
}

/// A log that cannot be made into rows.
#[derive(Debug, thiserror::Error)]
pub enum FlowLogError {
    /// The reader failed.
    #[error("reading the flow log failed after {records} records")]
    Read {
        /// Records read before.
        records: u64,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The document is longer than is read.
    #[error("the flow log is one document of more than {most} bytes")]
    TooLong {
        /// How much is read.
        most: usize,
    },
    /// The rows do not have the table's form: a fault of ours.
    #[error("rows of a flow log do not fit their table")]
    Rows(#[source] SchemaError),
}

impl FlowLogError {
    /// Who has to act on it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } => Kind::Unavailable,
            Self::TooLong { .. } => Kind::Invalid,
            Self::Rows(_) => Kind::Internal,
        }
    }
}

/// Reads a flow log and gives its rows, batch by batch.
#[derive(Debug)]
pub struct FlowLogImport<R> {
    reader: BufReader<R>,
    format: FlowLogFormat,
    aws: aws::Names,
    rows: Rows,
    counts: FlowLogCounts,
    n_lines: u64,
    is_at_end: bool,
}

/// The next line, if it is not too long.
enum Line {
    Whole(Vec<u8>),
    /// So much of a line that is too long; the rest of it has not been read.
    Begun(Vec<u8>),
    End,
}

impl<R: Read> FlowLogImport<R> {
    /// An import of a log of a format.
    #[must_use]
    pub fn new(reader: R, format: FlowLogFormat, origin: Origin) -> Self {
        let kind = match format {
            FlowLogFormat::NetObserv => SourceKind::Netobserv,
            FlowLogFormat::Aws | FlowLogFormat::Gcp | FlowLogFormat::Azure => SourceKind::FlowLog,
        };
        Self {
            reader: BufReader::new(reader),
            format,
            aws: aws::Names::default(),
            rows: Rows::new(kind, origin),
            counts: FlowLogCounts::default(),
            n_lines: 0,
            is_at_end: false,
        }
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// The log cannot be read any further.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, FlowLogError> {
        while !self.is_at_end && self.rows.len() < ROWS_PER_BATCH {
            match self.line()? {
                Line::End => self.is_at_end = true,
                Line::Whole(line) if self.format == FlowLogFormat::Aws => {
                    let text = String::from_utf8_lossy(&line);
                    if let Some(outcome) = self.aws.line(&text, &mut self.rows) {
                        self.counts.count(outcome);
                    }
                }
                Line::Begun(_) if self.format == FlowLogFormat::Aws => self.pass_over()?,
                Line::Whole(line) => self.json(line, true)?,
                Line::Begun(line) => self.json(line, false)?,
            }
        }
        self.rows.finish().map_err(FlowLogError::Rows)
    }

    fn read_fault(&self, source: std::io::Error) -> FlowLogError {
        FlowLogError::Read { records: self.counts.records, source }
    }

    fn line(&mut self) -> Result<Line, FlowLogError> {
        let mut line = Vec::new();
        let most = u64::try_from(MOST_LINE).unwrap_or(u64::MAX);
        let result = self.reader.by_ref().take(most).read_until(b'\n', &mut line);
        result.map_err(|source| self.read_fault(source))?;
        self.n_lines += 1;
        let is_whole = line.last() == Some(&b'\n') || line.len() < MOST_LINE;
        Ok(if line.is_empty() {
            Line::End
        } else if is_whole {
            Line::Whole(line)
        } else {
            Line::Begun(line)
        })
    }

    /// Passes over the rest of a line that is too long.
    fn pass_over(&mut self) -> Result<(), FlowLogError> {
        self.counts.count(Err(Refused::TooLong));
        loop {
            let held = self.reader.fill_buf().map_err(|source| FlowLogError::Read { records: 0, source })?;
            let end = held.iter().position(|byte| *byte == b'\n');
            let n_bytes = end.map_or(held.len(), |end| end + 1);
            let is_over = end.is_some() || held.is_empty();
            self.reader.consume(n_bytes);
            if is_over {
                return Ok(());
            }
        }
    }

    /// A line of JSON; or the first one of a document, which goes on to the end of the input.
    fn json(&mut self, line: Vec<u8>, is_whole: bool) -> Result<(), FlowLogError> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let parsed = if is_whole { serde_json::from_slice::<Value>(&line) } else { Ok(Value::Null) };
        match parsed {
            Ok(value) if is_whole => {
                self.document(value);
                return Ok(());
            }
            // Nothing was read as lines yet: the input may be one document.
            Ok(_) | Err(_) if self.counts.records == 0 => {}
            Ok(_) => return self.pass_over(),
            Err(fault) => {
                self.malformed(&fault);
                return Ok(());
            }
        }
        let mut text = line;
        let most = MOST_DOCUMENT.saturating_sub(text.len());
        let result = self.reader.by_ref().take(most as u64).read_to_end(&mut text);
        result.map_err(|source| self.read_fault(source))?;
        if text.len() >= MOST_DOCUMENT {
            return Err(FlowLogError::TooLong { most: MOST_DOCUMENT });
        }
        self.is_at_end = true;
        match serde_json::from_slice::<Value>(&text) {
            Ok(value) => self.document(value),
            // Not one document either: then it is lines, the first of which is no JSON.
            Err(_) => self.lines_of(&text),
        }
        Ok(())
    }

    fn lines_of(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            match serde_json::from_slice::<Value>(line) {
                Ok(value) => self.document(value),
                Err(fault) => self.malformed(&fault),
            }
            self.n_lines += 1;
        }
    }

    fn malformed(&mut self, fault: &serde_json::Error) {
        let fault = Malformed::new("not JSON", fault.column());
        self.counts.first_fault.get_or_insert((self.n_lines, fault));
        self.counts.count(Err(Refused::Malformed));
    }

    /// A JSON value: a record, or several.
    fn document(&mut self, value: Value) {
        match value {
            Value::Array(values) => {
                for value in values {
                    self.document(value);
                }
            }
            Value::Object(record) => {
                let (rows, counts) = (&mut self.rows, &mut self.counts);
                match self.format {
                    FlowLogFormat::Gcp => counts.count(gcp::record(record, rows)),
                    FlowLogFormat::Azure => azure::document(&record, rows, counts),
                    FlowLogFormat::NetObserv => netobserv::document(record, rows, counts),
                    FlowLogFormat::Aws => counts.count(Err(Refused::NotARecord)),
                }
            }
            _ => self.counts.count(Err(Refused::NotARecord)),
        }
    }

    /// What became of the log so far.
    #[must_use]
    pub const fn counts(&self) -> &FlowLogCounts {
        &self.counts
    }
}

#[cfg(test)]
mod tests;
