//! The same questions where the rows are in ClickHouse only: Hindcast without rows of its own in front of the server,
//! beside the plain table that somebody would make there by hand, and beside DuckDB.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use arrow::ipc::reader::StreamReader;
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::measure::peak_rss_mib;
use hindcast_tests::{Options, Server, http};

use crate::fresh;
use crate::peer::Peer;
use crate::questions::{self, Question};
use crate::report::Report;
use crate::rows::Rows;

/// The table: the columns that the questions need and the usual ones beside them, in the usual order.
const TABLE: &str = "CREATE TABLE plain.flows (\
    time DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)), node LowCardinality(String), \
    verdict LowCardinality(String), drop_reason LowCardinality(String), direction LowCardinality(String), \
    is_reply Bool, protocol LowCardinality(String), src_ip UInt32, dst_ip UInt32, src_port UInt16, dst_port UInt16, \
    tcp_flags UInt16, src_namespace LowCardinality(String), src_workload LowCardinality(String), \
    src_pod LowCardinality(String), src_identity UInt32, dst_namespace LowCardinality(Nullable(String)), \
    dst_workload LowCardinality(Nullable(String)), dst_pod LowCardinality(Nullable(String)), dst_identity UInt32, \
    dst_names LowCardinality(Nullable(String)), l7_protocol LowCardinality(Nullable(String)), \
    http_method LowCardinality(Nullable(String)), http_url LowCardinality(Nullable(String)), \
    http_status Nullable(UInt16), dns_query LowCardinality(Nullable(String)), latency_ns Nullable(UInt64), \
    bytes_sent UInt64, packets_sent UInt64) ENGINE = MergeTree PARTITION BY toDate(time) \
    ORDER BY (src_namespace, src_workload, time) SETTINGS default_compression_codec = 'ZSTD(1)'";

/// Its rows, from those that were sent.
const FILL: &str = "INSERT INTO plain.flows SELECT time, ifNull(node, ''), ifNull(verdict, ''), \
    ifNull(drop_reason, ''), ifNull(direction, ''), ifNull(is_reply, false), ifNull(protocol, ''), \
    IPv4StringToNumOrDefault(ifNull(src_ip, '')), IPv4StringToNumOrDefault(ifNull(dst_ip, '')), ifNull(src_port, 0), \
    ifNull(dst_port, 0), ifNull(tcp_flags, 0), ifNull(src_namespace, ''), ifNull(src_workload, ''), \
    ifNull(src_pod, ''), ifNull(src_identity, 0), dst_namespace, dst_workload, dst_pod, ifNull(dst_identity, 0), \
    dst_names, l7_protocol, http_method, http_url, http_status, dns_query, latency_ns, ifNull(bytes_sent, 0), \
    ifNull(packets_sent, 0) FROM hindcast.flows";

/// Asks everything of all three.
pub(crate) fn measure(
    folder: &Path,
    rows: &Rows,
    clickhouse: &ClickHouse,
    peer: &mut Peer,
    runs: usize,
    report: &mut Report,
) -> Result<()> {
    for statement in ["CREATE DATABASE plain", TABLE, FILL, "OPTIMIZE TABLE plain.flows FINAL"] {
        clickhouse.ask(statement)?;
    }
    let setting = ("HINDCAST_STORAGE_CLICKHOUSE_URL".to_owned(), clickhouse.url());
    let server =
        Server::start(&fresh(folder, "asking")?, &Options { environment: vec![setting], ..Options::default() })?;
    for question in questions::all(rows) {
        let (mut ours, mut plain, mut duck) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..=runs.max(1) {
            let (our_ms, n_rows) = questions::ask(&question, &server)?;
            let (plain_ms, n_plain) = ask(&question, clickhouse)?;
            let answered = peer.query(&question.peer)?;
            if question.same_rows {
                let n_duck = answered.n_rows;
                ensure!(n_rows == n_duck && n_plain == n_duck, "{}: {n_rows}, {n_plain}, {n_duck} rows", question.name);
            }
            // The first run warms all up.
            if run > 0 {
                ours.push(our_ms);
                plain.push(plain_ms);
                duck.push(answered.milliseconds);
            }
        }
        let median = questions::median;
        report.fleet(question.name, [median(&mut ours)?, median(&mut plain)?, median(&mut duck)?]);
    }
    report.rate("peak RSS, asking ClickHouse", "MiB", Some(peak_rss_mib(server.pid())?), None);
    server.stop()
}

/// Asks the plain table; milliseconds and rows.
fn ask(question: &Question, clickhouse: &ClickHouse) -> Result<(f64, u64)> {
    let options = "database=plain&default_format=ArrowStream&output_format_arrow_compression_method=none";
    let started = Instant::now();
    let answer = http::post_plain(&format!("{}/?{options}", clickhouse.url()), &question.plain)?;
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    ensure!(answer.status == 200, "{}: {}", question.plain, answer.text());
    let mut n_rows = 0;
    for batch in StreamReader::try_new(answer.body.as_slice(), None)? {
        n_rows += batch?.num_rows() as u64;
    }
    Ok((milliseconds, n_rows))
}
