//! DuckDB as the judge of the catalogue: it attaches while the store is open and sees the same rows.
//!
//! Needs a Python with `duckdb`, `duckdb-extension-ducklake` and `duckdb-extension-sqlite-scanner`,
//! in the virtual environment that `HINDCAST_VENV` names, or in `.venv`; without it the test is listed as skipped.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use hindcast_model::{TableId, TimeRange};

use super::lifecycle::{open, quiet};
use crate::fixtures::{self, MINUTE, T0, Traffic};
use crate::{Append, Store};

#[expect(unreachable_pub, reason = "public to the integration tests, which own it")]
#[path = "../../../../tests/harness/skip.rs"]
mod skip;

const SCRIPT: &str = r#"
import duckdb, glob, os, sys
import duckdb_extension_ducklake as lake, duckdb_extension_sqlite_scanner as scanner
con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
for module in (scanner, lake):
    con.execute(f"LOAD '{glob.glob(os.path.dirname(module.__file__) + '/extensions/*/*.duckdb_extension')[0]}'")
con.execute(f"ATTACH 'ducklake:sqlite:{sys.argv[1]}' AS lake (READ_ONLY)")
con.execute("USE lake; SET TimeZone = 'UTC'")
for query in sys.argv[2:]:
    print("|".join(str(value) for row in con.execute(query).fetchall() for value in row))
"#;

fn ask(catalog: &std::path::Path, queries: &[&str]) -> Option<Vec<String>> {
    let venv = std::env::var_os("HINDCAST_VENV")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.venv"), PathBuf::from);
    let python = venv.join("bin/python");
    if !python.is_file() {
        skip::skip("storage::store::tests::duckdb", &format!("{} is absent", python.display()));
        return None;
    }
    let output = Command::new(python).arg("-c").arg(SCRIPT).arg(catalog).args(queries).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

async fn fill(store: &Store, traffic: &mut Traffic, hour: i64) {
    for i in 0..3 {
        let flows = traffic.flows(400, T0 + hour * 60 * MINUTE + i * 10 * MINUTE, 20 * MINUTE);
        store.append(Append { batches: vec![flows, fixtures::runtime(4, 20, T0)] }).await.unwrap();
    }
    store.seal_all().await.unwrap();
}

#[tokio::test]
async fn duckdb_sees_the_rows_while_the_store_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let clock = fixtures::clock();
    let store = open(quiet(dir.path()), Arc::clone(&clock)).await;
    let catalog = dir.path().join("catalog.sqlite");
    let mut traffic = Traffic::new(11, 50);
    fill(&store, &mut traffic, 0).await;
    fill(&store, &mut traffic, 1).await;
    let queries = [
        "SELECT count(*) FROM flows",
        "SELECT count(*) FROM flows WHERE time >= '2026-05-28 22:00:00+00' AND time < '2026-05-28 22:20:00+00'",
        "SELECT count(*), sum(bytes_sent), count(DISTINCT src_workload), count(kafka_topic), max(dst_port) FROM flows",
        "SELECT sum(flows), sum(rows) FROM edges_1m",
        "SELECT sum(flow_count), count(*) FROM flows",
        "SELECT count(*), count(rest), min(exec_id) < max(exec_id), min(octet_length(process)) FROM runtime_events",
        "SELECT count(*) FROM flows WHERE verdict = 'DROPPED' AND drop_reason_code = 133",
        "SELECT count(*) FROM flows WHERE kafka_topic IS NULL AND src_port BETWEEN 0 AND 65535 AND is_reply",
        "SELECT count(*) FROM losses",
    ];
    let Some(answers) = ask(&catalog, &queries) else { return };
    assert_eq!(answers[0], "2400");
    let view = |snapshot: &crate::Snapshot| snapshot.stats(TableId::Flows).segment_rows;
    assert_eq!(view(&store.snapshot()).to_string(), answers[0]);
    let batches = super::lifecycle::batches(&store.snapshot(), TableId::Flows).await;
    let range = TimeRange::new(
        hindcast_model::Timestamp::from_nanos(T0 + 60 * MINUTE),
        hindcast_model::Timestamp::from_nanos(T0 + 80 * MINUTE),
    )
    .unwrap();
    let (mut in_range, mut bytes, mut denied, mut replies, mut port, mut flows) = (0, 0, 0, 0, 0, 0);
    for batch in &batches {
        let view = hindcast_model::tables::flows::View::new(batch).unwrap();
        for row in 0..view.n_rows() {
            in_range += u64::from(range.contains(hindcast_model::Timestamp::from_nanos(view.time.get(row).unwrap())));
            bytes += view.bytes_sent.get(row).unwrap_or(0);
            denied += u64::from(view.verdict.get(row) == Some("DROPPED"));
            replies += u64::from(view.is_reply.get(row) == Some(true));
            port = port.max(view.dst_port.get(row).unwrap_or(0));
            flows += view.flow_count.get(row).unwrap();
        }
    }
    assert_eq!(answers[1], in_range.to_string());
    assert!(
        answers[2].starts_with(&format!("2400|{bytes}|")) && answers[2].ends_with(&format!("|0|{port}")),
        "{}",
        answers[2]
    );
    assert_eq!(answers[3], format!("{flows}|2400"));
    assert_eq!(answers[4], format!("{flows}|2400"));
    assert_eq!(answers[5], "120|42|True|4");
    assert_eq!(answers[6], denied.to_string());
    assert_eq!(answers[7], replies.to_string());
    assert_eq!(answers[8], "0");
    clock.set(hindcast_model::Timestamp::from_nanos(T0 + 3 * 60 * MINUTE));
    fill(&store, &mut traffic, 0).await;
    fixtures::settled(&store).await;
    store.maintain().await.unwrap();
    let answers = ask(&catalog, &["SELECT count(*) FROM flows", "SELECT sum(rows) FROM edges_1h"]).unwrap();
    assert_eq!(answers, ["3600", "3600"]);
}
