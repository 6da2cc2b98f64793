//! What the sensors handed over, as rows of text.

use std::collections::{BTreeMap, HashSet};

use arrow::array::Array as _;
use arrow::util::display::array_value_to_string;
use base64::Engine as _;
use hindcast_model::{Batch, TableId, event_id};

/// The columns of a row that have a value.
#[derive(Debug)]
pub(crate) struct Row(BTreeMap<String, String>);

impl Row {
    /// The value of a column; empty for none.
    pub(crate) fn text(&self, column: &str) -> String {
        self.0.get(column).cloned().unwrap_or_default()
    }

    pub(crate) fn number(&self, column: &str) -> u64 {
        self.text(column).parse().unwrap_or_else(|_error| panic!("{column} of {self:?}"))
    }
}

/// Rows by table.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) runtime: Vec<Row>,
    pub(crate) flows: Vec<Row>,
    losses: Vec<Row>,
    /// The runtime events as they came.
    pub(crate) batches: Vec<Batch>,
}

impl Recorded {
    pub(crate) fn new(batches: impl Iterator<Item = Batch>) -> Self {
        let mut recorded = Self::default();
        let mut known = HashSet::new();
        for batch in batches {
            assert_apart(&batch, &mut known);
            let schema = batch.records.schema();
            let columns = || schema.fields().iter().zip(batch.records.columns());
            let rows = (0..batch.n_rows()).map(|row| {
                let values = columns().filter(|(_field, column)| !column.is_null(row));
                Row(values
                    .map(|(field, column)| (field.name().clone(), array_value_to_string(column, row).unwrap()))
                    .collect())
            });
            match batch.table {
                TableId::RuntimeEvents => {
                    recorded.runtime.extend(rows);
                    recorded.batches.push(batch.clone());
                }
                TableId::Flows => recorded.flows.extend(rows),
                _ => recorded.losses.extend(rows),
            }
        }
        recorded
    }

    /// The one event of a kind that a process has.
    pub(crate) fn one(&self, kind: &str, pid: u32) -> &Row {
        let rows: Vec<&Row> =
            self.runtime.iter().filter(|row| row.text("kind") == kind && row.text("pid") == pid.to_string()).collect();
        assert_eq!(rows.len(), 1, "{kind} of {pid}: {rows:?}");
        rows[0]
    }

    /// Hooks of a function that a process reached.
    pub(crate) fn hooks(&self, function: &str, pid: u32) -> Vec<&Row> {
        self.runtime
            .iter()
            .filter(|row| row.text("function") == function && row.text("pid") == pid.to_string())
            .collect()
    }

    /// Flows with a process at one end.
    pub(crate) fn flows_of(&self, column: &str, pid: u32) -> Vec<&Row> {
        self.flows.iter().filter(|row| decoded(&row.text(column)).ends_with(&pid_of(pid))).collect()
    }

    /// How many events of a kind the kernel had no room for.
    pub(crate) fn lost_in_kernel(&self, detail: &str) -> u64 {
        let rows = self.losses.iter().filter(|row| row.text("stage") == "kernel" && row.text("detail") == detail);
        rows.map(|row| row.number("count")).sum()
    }

    pub(crate) fn losses(&self) -> Vec<String> {
        self.losses.iter().map(|row| format!("{row:?}")).collect()
    }
}

/// No row is taken for another one of the same events where they are recorded.
fn assert_apart(batch: &Batch, known: &mut HashSet<(TableId, u64, String, String)>) {
    let text = |name: &str, row: usize| {
        let column = batch.records.column_by_name(name).filter(|column| !column.is_null(row));
        column.map(|column| array_value_to_string(column, row).unwrap()).unwrap_or_default()
    };
    for (row, id) in event_id::event_ids(batch.table, &batch.records).into_iter().enumerate() {
        let is_new = known.insert((batch.table, id, text("time", row), text("uuid", row)));
        assert!(is_new, "row {row} of {} is there twice: {}", batch.table, text("http_url", row));
    }
}

/// How the exec id of a process ends.
pub(crate) fn pid_of(pid: u32) -> String {
    format!(":{pid}")
}

/// An exec id in clear.
pub(crate) fn decoded(exec_id: &str) -> String {
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(exec_id).unwrap()).unwrap()
}
