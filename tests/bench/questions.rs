//! The questions, each in the form that a user of either side would ask it.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use arrow::ipc::reader::StreamReader;
use hindcast_tests::{Server, http};
use serde_json::json;

use crate::peer::Peer;
use crate::rows::{Rows, START_SECONDS};

const ARROW: &str = "application/vnd.apache.arrow.stream";

/// How Hindcast is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A path with parameters.
    Get(String),
    /// A query in SQL.
    Sql(String),
}

/// One question to both.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) ask: Ask,
    pub(crate) peer: String,
    /// The same of a plain table in ClickHouse.
    pub(crate) plain: String,
    /// What was hoped for, milliseconds.
    pub(crate) aim_ms: Option<f64>,
    /// Whether both must give the same number of rows.
    pub(crate) same_rows: bool,
}

/// Medians, milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) hindcast_ms: f64,
    pub(crate) peer_ms: f64,
}

fn seconds(hour: i64) -> i64 {
    START_SECONDS + hour * 3600
}

/// A range of hours as a condition that both sides understand.
fn between(from: i64, to: i64) -> String {
    let instant = |hour| format!("to_timestamp({})", seconds(hour));
    format!("time >= {} AND time < {}", instant(from), instant(to))
}

/// The same in ClickHouse.
fn between_plain(from: i64, to: i64) -> String {
    let instant = |hour| format!("toDateTime64({}, 9, 'UTC')", seconds(hour));
    format!("time >= {} AND time < {}", instant(from), instant(to))
}

/// The map: who talks to whom. `count` and `rows` differ where rows are folded already.
fn map(table: &str, count: &str, port: &str, bytes: &str, range: &str) -> String {
    format!(
        "SELECT src_namespace, src_workload, dst_namespace, dst_workload, {port} AS port, protocol, verdict, \
         sum({count}) AS n, sum({bytes}) AS bytes FROM {table} \
         WHERE is_reply IS NOT TRUE AND {range} GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY n DESC"
    )
}

/// Every question.
pub(crate) fn all(rows: &Rows) -> Vec<Question> {
    let mut all = looking_up(&rows.needle_pod);
    all.extend(folding());
    all
}

const fn question(
    name: &'static str,
    ask: Ask,
    peer: String,
    plain: String,
    aim_ms: Option<f64>,
    same_rows: bool,
) -> Question {
    Question { name, ask, peer, plain, aim_ms, same_rows }
}

/// Rows.
fn looking_up(pod: &str) -> Vec<Question> {
    let (start, end) = (seconds(0), seconds(24));
    let until = seconds(24) - 360;
    vec![
        question(
            "last 20",
            Ask::Get(format!("/api/v1/flows?limit=20&to={until}")),
            format!("SELECT * FROM flows WHERE time < to_timestamp({until}) ORDER BY time DESC LIMIT 20"),
            format!("SELECT * FROM flows WHERE time < toDateTime64({until}, 9, 'UTC') ORDER BY time DESC LIMIT 20"),
            Some(10.0),
            true,
        ),
        question(
            "needle: one pod, denied, 24 h",
            Ask::Get(format!("/api/v1/flows?limit=100&from={start}&to={end}&filter=from:pod:{pod}%20verdict:dropped")),
            format!(
                "SELECT * FROM flows WHERE src_pod = '{pod}' AND verdict = 'DROPPED' AND {} ORDER BY time DESC LIMIT 100",
                between(0, 24)
            ),
            format!(
                "SELECT * FROM flows WHERE src_pod = '{pod}' AND verdict = 'DROPPED' AND {} ORDER BY time DESC LIMIT 100",
                between_plain(0, 24)
            ),
            Some(10.0),
            false,
        ),
    ]
}

/// Counts and sums.
fn folding() -> Vec<Question> {
    let errors = "SELECT dst_workload, http_url, count(*) AS n, avg(latency_ns) AS latency FROM flows \
                  WHERE http_status >= 500 GROUP BY 1, 2 ORDER BY n DESC LIMIT 50";
    // A histogram of 5 minutes by verdict: from the roll-ups here, from the rows there.
    let histogram_of = |table: &str, count: &str| {
        format!(
            "SELECT date_bin(INTERVAL '5 minutes', time, TIMESTAMP '1970-01-01') AS bucket, verdict, \
             sum({count}) AS n FROM {table} WHERE {} GROUP BY 1, 2 ORDER BY 1",
            between(0, 24)
        )
    };
    let peer_histogram = format!(
        "SELECT time_bucket(INTERVAL '5 minutes', time::TIMESTAMPTZ) AS bucket, verdict, count(*) AS n FROM flows \
         WHERE {} GROUP BY 1, 2 ORDER BY 1",
        between(0, 24)
    );
    let plain_histogram = format!(
        "SELECT toStartOfInterval(time, INTERVAL 5 MINUTE) AS bucket, verdict, count() AS n FROM flows \
         WHERE {} GROUP BY 1, 2 ORDER BY 1",
        between_plain(0, 24)
    );
    let question = |name, ask, peer, plain, aim_ms, same_rows| Question { name, ask, peer, plain, aim_ms, same_rows };
    vec![
        question(
            "count 1 h",
            Ask::Sql(format!("SELECT count(*) AS n FROM flows WHERE {}", between(10, 11))),
            format!("SELECT count(*) AS n FROM flows WHERE {}", between(10, 11)),
            format!("SELECT count() AS n FROM flows WHERE {}", between_plain(10, 11)),
            None,
            true,
        ),
        question(
            "map 1 h",
            Ask::Sql(map("edges_1m", "flows", "port", "bytes_sent", &between(10, 11))),
            map("flows", "flow_count", "dst_port", "bytes_sent", &between(10, 11)),
            map("flows", "1", "dst_port", "bytes_sent", &between_plain(10, 11)),
            None,
            true,
        ),
        question(
            "map 24 h",
            Ask::Sql(map("edges_1h", "flows", "port", "bytes_sent", &between(0, 24))),
            map("flows", "flow_count", "dst_port", "bytes_sent", &between(0, 24)),
            map("flows", "1", "dst_port", "bytes_sent", &between_plain(0, 24)),
            Some(60.0),
            true,
        ),
        question(
            "histogram 24 h",
            Ask::Sql(histogram_of("edges_1m", "flows")),
            peer_histogram,
            plain_histogram,
            None,
            true,
        ),
        question("HTTP errors 24 h", Ask::Sql(errors.to_owned()), errors.to_owned(), errors.to_owned(), None, true),
    ]
}

/// Asks Hindcast once; milliseconds and rows.
pub(crate) fn ask(question: &Question, server: &Server) -> Result<(f64, u64)> {
    let started = Instant::now();
    let answer = match &question.ask {
        Ask::Get(path) => http::get(&server.url(path), ARROW)?,
        Ask::Sql(query) => http::post(&server.url("/api/v1/sql"), ARROW, &json!({ "query": query }))?,
    };
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    ensure!(answer.status == 200, "{}: status {}: {}", question.name, answer.status, answer.text());
    let mut n_rows = 0;
    for batch in StreamReader::try_new(answer.body.as_slice(), None)? {
        n_rows += batch?.num_rows() as u64;
    }
    Ok((milliseconds, n_rows))
}

/// Asks both in turn, and takes the medians.
pub(crate) fn measure(question: &Question, server: &Server, peer: &mut Peer, runs: usize) -> Result<Measured> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..=runs.max(1) {
        let (milliseconds, n_rows) = ask(question, server)?;
        let answered = peer.query(&question.peer)?;
        if question.same_rows {
            ensure!(n_rows == answered.n_rows, "{}: {n_rows} rows here, {} rows there", question.name, answered.n_rows);
        }
        // The first run warms both up.
        if run > 0 {
            ours.push(milliseconds);
            theirs.push(answered.milliseconds);
        }
    }
    Ok(Measured { hindcast_ms: median(&mut ours)?, peer_ms: median(&mut theirs)? })
}

pub(crate) fn median(values: &mut [f64]) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("nothing was measured")
}
