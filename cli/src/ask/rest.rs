//! Events of a running server, page by page over REST.

use std::collections::VecDeque;

use anyhow::{anyhow, bail};
use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use hindcast_model::{TableId, Timestamp};

use super::{Pick, Question};
use crate::server::{self, Refused, Server};
use crate::{caret, exit, human};

/// Events of one page at most.
const PAGE_ROWS: u64 = 100_000;

/// Events as they come, page after page.
#[derive(Debug)]
pub(crate) struct Pages {
    server: Server,
    path: &'static str,
    query: Vec<(&'static str, String)>,
    filter: String,
    /// Events that may still come; `None` for all.
    left: Option<u64>,
    page: Option<server::Rows>,
    schema: Option<SchemaRef>,
    cut: Option<String>,
}

impl Pages {
    pub(super) async fn begin(
        server: &Server,
        question: &Question,
        order: &str,
        left: Option<u64>,
    ) -> anyhow::Result<Self> {
        let mut query = vec![("order", order.to_owned()), ("columns", columns(question.table))];
        if !question.filter.is_empty() {
            query.push(("filter", question.filter.clone()));
        }
        query.extend(question.since.map(|since| ("from", human::exact(since))));
        // The door does not include the end, the question does.
        let after = |until: Timestamp| human::exact(Timestamp::from_nanos(until.as_nanos().saturating_add(1)));
        query.extend(question.until.map(|until| ("to", after(until))));
        let mut pages = Self {
            server: server.clone(),
            path: path(question.table)?,
            query,
            filter: question.filter.clone(),
            left,
            page: None,
            schema: None,
            cut: None,
        };
        if left != Some(0) {
            pages.turn(None).await?;
        }
        Ok(pages)
    }

    /// Asks for the next page.
    async fn turn(&mut self, cursor: Option<String>) -> anyhow::Result<()> {
        let limit = self.left.map_or(PAGE_ROWS, |left| left.min(PAGE_ROWS));
        let mut query: Vec<(&str, String)> = self.query.clone();
        query.push(("limit", limit.to_string()));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page = self.server.rows(self.path, &query).await.map_err(|error| wrong(&self.filter, error))?;
        self.schema = page.schema();
        self.page = Some(page);
        Ok(())
    }

    pub(super) fn schema(&self) -> Option<SchemaRef> {
        self.schema.clone()
    }

    pub(super) fn cut(&self) -> Option<&str> {
        self.cut.as_deref()
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        loop {
            let Some(page) = &mut self.page else { return Ok(None) };
            if let Some(records) = page.next().await? {
                let n_rows = u64::try_from(records.num_rows()).unwrap_or(u64::MAX);
                self.left = self.left.map(|left| left.saturating_sub(n_rows));
                return Ok(Some(records));
            }
            let (cursor, cut) = (page.next_cursor().map(str::to_owned), page.cut().map(str::to_owned));
            self.page = None;
            match cursor {
                Some(cursor) if self.left != Some(0) => self.turn(Some(cursor)).await?,
                Some(_) => return Ok(None),
                None => self.cut = cut,
            }
        }
    }
}

/// Events, oldest first.
pub(super) async fn events(server: &Server, question: &Question) -> anyhow::Result<super::Rows> {
    match question.pick {
        Pick::All => Ok(super::Rows::Pages(Box::new(Pages::begin(server, question, "asc", None).await?))),
        Pick::Oldest(n) => Ok(super::Rows::Pages(Box::new(Pages::begin(server, question, "asc", Some(n)).await?))),
        Pick::Newest(n) => {
            // The door gives the newest first.
            let mut pages = Pages::begin(server, question, "desc", Some(n)).await?;
            let mut turned = VecDeque::new();
            while let Some(records) = pages.next().await? {
                turned.push_front(reversed(&records)?);
            }
            Ok(super::Rows::Held { schema: pages.schema, rows: turned, cut: pages.cut })
        }
    }
}

fn reversed(records: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let n_rows = u64::try_from(records.num_rows()).unwrap_or(u64::MAX);
    let backwards: UInt64Array = (0..n_rows).rev().collect::<Vec<_>>().into();
    Ok(take_record_batch(records, &backwards)?)
}

fn path(table: TableId) -> anyhow::Result<&'static str> {
    match table {
        TableId::Flows => Ok("/api/v1/flows"),
        TableId::RuntimeEvents => Ok("/api/v1/runtime"),
        TableId::Losses => Ok("/api/v1/losses"),
        TableId::AgentEvents
        | TableId::Edges1m
        | TableId::Edges1h
        | TableId::Workloads
        | TableId::Policies
        | TableId::Ingested => {
            bail!("a server gives flows, runtime_events and losses by filter; ask for {table} with `hindcast sql`")
        }
    }
}

/// All columns: raw bytes are given only to who names them.
pub(super) fn columns(table: TableId) -> String {
    table.columns().iter().map(|column| column.name).collect::<Vec<_>>().join(",")
}

/// A filter that the server refuses, with the place at fault.
pub(super) fn wrong(filter: &str, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Refused>() {
        Some(Refused { detail, parameter: Some(parameter), span: Some(span) }) if parameter == "filter" => {
            exit::usage(format!("in the filter: {detail}\n{}", caret::point_at(filter, *span)))
        }
        Some(Refused { detail, parameter: Some(parameter), .. }) => anyhow!("{parameter}: {detail}"),
        _ => error,
    }
}
