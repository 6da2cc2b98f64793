//! Plans: what must hold of any, and the table of the docs.

use std::fmt::Write as _;
use std::path::Path;

use clap::Parser as _;
use proptest::prelude::*;

use super::*;
use crate::args::{Cli, Command};

fn plan(line: &str) -> Plan {
    match Cli::try_parse_from(["hindcast", "plan"].into_iter().chain(line.split_whitespace())).unwrap().command {
        Command::Plan(args) => Plan::of(&args),
        other => panic!("{other:?}"),
    }
}

/// The table of docs/sizing.md.
fn table() -> String {
    let mut text = String::from(
        "| flows/s | nodes | recorders | recorder cores | shards | ClickHouse cores | memory a server | disk, all shards | \
         flows | edges_1m | edges_1h | inserts/s a shard | parts of flows a shard |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (rate, nodes) in [(1000, 10), (10_000, 50), (30_000, 100), (100_000, 500), (300_000, 1500), (1_000_000, 5000)] {
        let plan = plan(&format!("--nodes {nodes} --flows-per-second {rate} --days 30"));
        let theirs = &plan.clickhouse;
        writeln!(
            text,
            "| {} | {nodes} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.2} | {} |",
            human::count(rate),
            count(plan.recorders.n_servers),
            tenths(plan.recorders.cores_of_all),
            count(theirs.n_shards),
            tenths(theirs.cores_of_all),
            size(theirs.memory_per_server),
            size(theirs.disk_per_server * theirs.n_shards),
            size(theirs.flows_bytes),
            size(theirs.edges_1m_bytes),
            size(theirs.edges_1h_bytes),
            theirs.inserts_per_second,
            count(theirs.parts),
        )
        .unwrap();
    }
    text
}

#[test]
fn the_docs_show_what_the_command_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sizing.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once("<!-- table -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- /table -->").unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}<!-- table -->\n{}<!-- /table -->{after}", table())).unwrap();
    } else {
        assert_eq!(found, table(), "UPDATE=1 writes it anew");
    }
}

#[test]
fn a_plan_says_what_each_number_is_of() {
    let text = plan("--nodes 100 --flows-per-second 30000 --days 30").text();
    for words in ["77 760 000 000 flows", "Recorders", "ClickHouse", "shards", "edges_1m"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let thin = plan("--nodes 100 --flows-per-second 10 --days 30").text();
    assert!(thin.contains("note: thinner traffic"), "{thin}");
}

#[test]
fn what_is_no_plan_is_refused() {
    for line in [
        "--nodes 0 --flows-per-second 1 --days 1",
        "--nodes 1 --flows-per-second 0 --days 1",
        "--nodes 1 --flows-per-second NaN --days 1",
        "--nodes 1 --flows-per-second 1e99 --days 1",
        "--nodes 1 --flows-per-second 1 --days -3",
        "--nodes 1 --flows-per-second 1",
    ] {
        let line = ["hindcast", "plan"].into_iter().chain(line.split_whitespace());
        assert!(Cli::try_parse_from(line).is_err());
    }
}

proptest! {
    /// More flows, or longer, never take less; and there are no more rows in a roll-up than flows, or keys.
    #[test]
    fn more_takes_more(nodes in 1_u32..5000, rate in 1.0_f64..1e6, days in 0.1_f64..400.0, more in 1.0_f64..10.0) {
        let least = plan(&format!("--nodes {nodes} --flows-per-second {rate} --days {days}"));
        let most = plan(&format!("--nodes {nodes} --flows-per-second {} --days {days}", rate * more));
        let longer = plan(&format!("--nodes {nodes} --flows-per-second {rate} --days {}", days * more));
        for other in [&most, &longer] {
            prop_assert!(other.clickhouse.flows_bytes >= least.clickhouse.flows_bytes * 0.9);
            prop_assert!(other.clickhouse.n_shards >= least.clickhouse.n_shards);
            prop_assert!(other.clickhouse.edges_1m_rows >= least.clickhouse.edges_1m_rows);
        }
        // The same product in another order may differ in its last digit.
        prop_assert!(least.clickhouse.edges_1m_rows <= least.flows * 1.000_001);
        prop_assert!(least.clickhouse.edges_1h_rows <= least.clickhouse.edges_1m_rows);
    }
}
