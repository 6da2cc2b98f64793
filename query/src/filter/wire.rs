//! A look into protobuf bytes without a descriptor: for the few predicates on fields that have no column.

use std::borrow::Cow;
use std::fmt;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use hindcast_model::column::BytesView;

use super::evaluate::select_rows;
use super::labels::Selector;
use super::{Pattern, RowTest};
use crate::FilterError;

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wire<'a> {
    /// A varint or a fixed number.
    Number(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message in their order; ends at the first damage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = varint(&mut self.0)?;
        let number = u32::try_from(key >> 3).ok()?;
        let value = match key & 7 {
            0 => Wire::Number(varint(&mut self.0)?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                Wire::Number(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            5 => {
                let (bytes, rest) = self.0.split_first_chunk::<4>()?;
                self.0 = rest;
                Wire::Number(u64::from(u32::from_le_bytes(*bytes)))
            }
            _ => return None,
        };
        Some((number, value))
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The messages or texts under a field number.
pub(crate) fn children(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> + Clone {
    Fields(message).filter_map(move |(found, value)| match value {
        Wire::Bytes(bytes) if found == number => Some(bytes),
        _ => None,
    })
}

/// The text under a field number, the last one where there are several.
pub(crate) fn text(message: &[u8], number: u32) -> Cow<'_, str> {
    String::from_utf8_lossy(children(message, number).last().unwrap_or_default())
}

/// Whether a boolean or number under a field number is other than zero.
pub(crate) fn flag(message: &[u8], number: u32) -> bool {
    let last = Fields(message).filter(|(found, _)| *found == number).last();
    matches!(last, Some((_, Wire::Number(value))) if value != 0)
}

/// What is asked of wire bytes.
pub(crate) enum WireTest {
    /// `flow.Flow.node_labels` in `rest` meets one of the selectors.
    NodeLabels(Vec<Selector>),
    /// A further workload of an endpoint, in `rest` of a flow.
    Workload {
        /// Field of the endpoint in `flow.Flow`.
        endpoint: u32,
        /// Its name, any if empty.
        name: String,
        /// Its kind, any if empty.
        kind: String,
    },
    /// `pod.container.maybe_exec_probe` of a `tetragon.Process` in a column.
    ExecProbe {
        /// The column.
        column: &'static str,
    },
    /// `pid` of a `tetragon.Process` in a column is one of these.
    Pid {
        /// The column.
        column: &'static str,
        /// The numbers.
        pids: Vec<u32>,
    },
    /// The binary of an ancestor of a runtime event matches one of the patterns.
    Ancestor(Vec<Pattern>),
}

const FLOW_NODE_LABELS: u32 = 37;
const ENDPOINT_WORKLOADS: u32 = 6;
const PROCESS_PID: u32 = 2;
const PROCESS_POD: u32 = 10;
const POD_CONTAINER: u32 = 4;
const CONTAINER_MAYBE_EXEC_PROBE: u32 = 13;
const PROCESS_BINARY: u32 = 5;
/// Event kinds of `tetragon.GetEventsResponse` and where they keep ancestors.
const ANCESTORS: &[(u32, u32)] = &[(1, 3), (5, 6), (9, 13), (10, 11), (11, 5), (12, 9), (28, 10), (29, 11)];

impl fmt::Debug for WireTest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeLabels(selectors) => write!(formatter, "node labels {selectors:?}"),
            Self::Workload { name, kind, .. } => write!(formatter, "workload {kind}/{name}"),
            Self::ExecProbe { column } => write!(formatter, "exec probe in {column}"),
            Self::Pid { column, pids } => write!(formatter, "{column} pid {pids:?}"),
            Self::Ancestor(patterns) => write!(formatter, "ancestor {patterns:?}"),
        }
    }
}

impl WireTest {
    fn column(&self) -> &'static str {
        match self {
            Self::NodeLabels(_) | Self::Workload { .. } | Self::Ancestor(_) => "rest",
            Self::ExecProbe { column } | Self::Pid { column, .. } => column,
        }
    }

    fn passes(&self, message: &[u8]) -> bool {
        match self {
            Self::NodeLabels(selectors) => {
                let labels = children(message, FLOW_NODE_LABELS).map(String::from_utf8_lossy).collect::<Vec<_>>();
                selectors.iter().any(|selector| selector.selects(labels.iter().map(AsRef::as_ref)))
            }
            Self::Workload { endpoint, name, kind } => children(message, *endpoint)
                .flat_map(|endpoint| children(endpoint, ENDPOINT_WORKLOADS))
                .any(|workload| {
                    (name.is_empty() || text(workload, 1) == name.as_str())
                        && (kind.is_empty() || text(workload, 2) == kind.as_str())
                }),
            Self::ExecProbe { .. } => children(message, PROCESS_POD)
                .flat_map(|pod| children(pod, POD_CONTAINER))
                .any(|container| flag(container, CONTAINER_MAYBE_EXEC_PROBE)),
            Self::Pid { pids, .. } => children(message, PROCESS_PID).any(|wrapper| {
                // An empty wrapper holds zero.
                let pid = Fields(wrapper).find_map(|(number, value)| match value {
                    Wire::Number(pid) if number == 1 => Some(pid),
                    _ => None,
                });
                pids.iter().any(|wanted| u64::from(*wanted) == pid.unwrap_or(0))
            }),
            Self::Ancestor(patterns) => ANCESTORS
                .iter()
                .flat_map(|(kind, field)| children(message, *kind).map(move |event| (event, *field)))
                .flat_map(|(event, field)| children(event, field))
                .any(|ancestor| {
                    let binary = text(ancestor, PROCESS_BINARY);
                    patterns.iter().any(|pattern| pattern.is_match(&binary))
                }),
        }
    }
}

impl RowTest for WireTest {
    fn columns(&self) -> Vec<&'static str> {
        vec![self.column()]
    }

    fn select(&self, batch: &RecordBatch, candidates: &BooleanBuffer) -> Result<BooleanBuffer, FilterError> {
        let column = self.column();
        let bytes = BytesView::of(batch.column_by_name(column))
            .ok_or_else(|| FilterError::new(format!("column {column} does not hold bytes")))?;
        // Neighbours often share one value of a dictionary: the last answer is kept by address.
        let mut last: Option<(*const u8, usize, bool)> = None;
        Ok(select_rows(candidates, |row| {
            let message = bytes.get(row).unwrap_or_default();
            let (address, length) = (message.as_ptr(), message.len());
            if let Some((known, known_length, answer)) = last
                && known == address
                && known_length == length
            {
                return answer;
            }
            let answer = self.passes(message);
            last = Some((address, length, answer));
            answer
        }))
    }
}
