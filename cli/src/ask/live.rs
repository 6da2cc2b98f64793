//! Events of a running server, and then new ones as they arrive.
//!
//! The stream of new ones is opened before the recorded ones are read, so that nothing falls between; what both hold
//! is shown once.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hindcast_model::{ColumnDef, ColumnKind, TableId, Timestamp, event_id, list};
use serde_json::{Map, Value};

use super::{Pick, Question, Rows, rest};
use crate::server::{Event, Events, Server};
use crate::time_input;

/// New events that are shown together, when they have arrived together.
const MAX_BATCH_ROWS: usize = 256;
/// Recorded events that are remembered to tell a repeat.
const MAX_REMEMBERED: usize = 100_000;

/// Recorded events, then new ones.
#[derive(Debug)]
pub(crate) struct Live {
    table: TableId,
    recorded: Option<Box<Rows>>,
    shown: HashSet<u64>,
    order: VecDeque<u64>,
    events: Events,
}

/// Opens both.
pub(super) async fn follow(server: &Server, question: &Question) -> anyhow::Result<Rows> {
    let mut query = vec![("table", question.table.name().to_owned()), ("columns", rest::columns(question.table))];
    if !question.filter.is_empty() {
        query.push(("filter", question.filter.clone()));
    }
    let opened = server.events("/api/v1/live", &query).await;
    let events = opened.map_err(|error| rest::wrong(&question.filter, error))?;
    let recorded = match question.pick {
        Pick::Newest(0) => None,
        Pick::Newest(_) | Pick::Oldest(_) | Pick::All => Some(Box::new(rest::events(server, question).await?)),
    };
    let table = question.table;
    Ok(Rows::Live(Box::new(Live { table, recorded, shown: HashSet::new(), order: VecDeque::new(), events })))
}

impl Live {
    pub(super) fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        if let Some(recorded) = &mut self.recorded {
            // Boxed: rows may be of this kind themselves.
            if let Some(records) = Box::pin(recorded.next()).await? {
                self.remember(&records);
                return Ok(Some(records));
            }
            self.recorded = None;
        }
        loop {
            let Some(first) = self.events.next().await? else { return Ok(None) };
            let mut rows = vec![row(&first)?];
            while rows.len() < MAX_BATCH_ROWS
                && let Some(event) = self.events.buffered()
            {
                rows.push(row(&event)?);
            }
            let records = self.without_shown(&records(self.table, &rows)?)?;
            if records.num_rows() > 0 {
                return Ok(Some(records));
            }
        }
    }

    fn remember(&mut self, records: &RecordBatch) {
        for id in event_id::event_ids(self.table, records) {
            if self.shown.insert(id) {
                self.order.push_back(id);
            }
        }
        while self.order.len() > MAX_REMEMBERED {
            if let Some(id) = self.order.pop_front() {
                self.shown.remove(&id);
            }
        }
    }

    fn without_shown(&mut self, records: &RecordBatch) -> anyhow::Result<RecordBatch> {
        if self.shown.is_empty() {
            return Ok(records.clone());
        }
        let ids = event_id::event_ids(self.table, records);
        let is_new: BooleanArray = ids.iter().map(|id| Some(!self.shown.remove(id))).collect();
        Ok(arrow::compute::filter_record_batch(records, &is_new)?)
    }
}

/// The row of an event, unless it says that the stream is broken.
fn row(event: &Event) -> anyhow::Result<Map<String, Value>> {
    if event.name == "problem" {
        bail!("the server ended the stream: {}", event.text);
    }
    serde_json::from_str(&event.text).context("the server sent no JSON object")
}

/// Rows of JSON objects as a batch of the table: the columns' own types, without dictionaries.
fn records(table: TableId, rows: &[Map<String, Value>]) -> anyhow::Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for column in table.columns() {
        let array = array(column, rows).with_context(|| format!("column {}", column.name))?;
        fields.push(Field::new(column.name, array.data_type().clone(), true));
        columns.push(array);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn array(column: &ColumnDef, rows: &[Map<String, Value>]) -> anyhow::Result<ArrayRef> {
    let values = rows.iter().map(|row| row.get(column.name).filter(|value| !value.is_null()));
    macro_rules! numbers {
        ($array:ty, $number:ty) => {{
            let number = |value: &Value| -> anyhow::Result<$number> {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                text.parse().with_context(|| format!("{text} is no number of this column"))
            };
            let values = values.map(|value| value.map(number).transpose());
            Arc::new(values.collect::<anyhow::Result<$array>>()?) as ArrayRef
        }};
    }
    Ok(match column.kind {
        ColumnKind::Bool => Arc::new(values.map(|value| value.and_then(Value::as_bool)).collect::<BooleanArray>()),
        ColumnKind::U8 => numbers!(UInt8Array, u8),
        ColumnKind::U16 => numbers!(UInt16Array, u16),
        ColumnKind::U32 => numbers!(UInt32Array, u32),
        ColumnKind::U64 => numbers!(UInt64Array, u64),
        ColumnKind::I32 => numbers!(Int32Array, i32),
        ColumnKind::I64 => numbers!(Int64Array, i64),
        ColumnKind::Time => {
            let times = values.map(|value| value.map(instant).transpose());
            let times = times.collect::<anyhow::Result<TimestampNanosecondArray>>()?;
            Arc::new(times.with_timezone("UTC"))
        }
        ColumnKind::Dict | ColumnKind::Text => {
            Arc::new(values.map(|value| value.and_then(text)).collect::<StringArray>())
        }
        ColumnKind::Bytes | ColumnKind::DictBytes => {
            let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default());
            let bytes = values.map(|value| value.map(decode).transpose());
            let bytes = bytes.collect::<Result<Vec<_>, _>>().context("it is no base64")?;
            Arc::new(bytes.iter().map(Option::as_deref).collect::<BinaryArray>())
        }
    })
}

fn instant(value: &Value) -> anyhow::Result<i64> {
    let text = value.as_str().ok_or_else(|| anyhow!("{value} is no time"))?;
    Ok(time_input::parse(text, Timestamp::MIN)?.as_nanos())
}

/// The text, or the list, of a column.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => list::join(items.iter().filter_map(Value::as_str)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
