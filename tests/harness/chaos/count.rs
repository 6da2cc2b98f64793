//! What is there at the end, block by block, in both tiers; and whether a recorder accounts for all it received.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::load::{BLOCK, LANES, Lane, Ledger, STEP_NANOS};
use crate::clickhouse::ClickHouse;
use crate::{Server, http};

/// Per block: its rows, and its different ones.
pub(crate) type Blocks = BTreeMap<i64, (u64, u64)>;

fn width() -> i64 {
    i64::try_from(BLOCK).unwrap_or(i64::MAX).saturating_mul(STEP_NANOS)
}

/// One row per line of a server's answer.
pub(crate) fn asked(server: &Server, query: &str) -> Result<Vec<Value>> {
    let document = serde_json::json!({ "query": query });
    let answer = http::post(&server.url("/api/v1/sql"), "application/x-ndjson", &document)?;
    anyhow::ensure!(answer.status == 200, "{query}: {}", answer.text());
    answer.text().lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn number(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The blocks of a lane in the lake.
pub(crate) fn in_lake(server: &Server, lane: Lane) -> Result<Blocks> {
    let (first, width) = (lane.time_of(0), width());
    let query = format!(
        "SELECT (arrow_cast(time, 'Int64') - {first}) / {width} AS block, count(*) AS n, count(DISTINCT time) AS d \
         FROM {} WHERE node = '{}' GROUP BY 1 ORDER BY 1",
        lane.table, lane.name
    );
    let mut blocks = Blocks::new();
    for row in asked(server, &query)? {
        let Some(block) = number(row.get("block")) else { continue };
        let of = |name| number(row.get(name)).and_then(|n| u64::try_from(n).ok()).with_context(|| row.to_string());
        blocks.insert(block, (of("n")?, of("d")?));
    }
    Ok(blocks)
}

/// The blocks of a lane in ClickHouse.
pub(crate) fn in_clickhouse(clickhouse: &ClickHouse, lane: Lane) -> Result<Blocks> {
    let (first, width) = (lane.time_of(0), width());
    let answer = clickhouse.ask(&format!(
        "SELECT intDiv(toUnixTimestamp64Nano(time) - {first}, {width}) AS block, count(), uniqExact(time) \
         FROM hindcast.{} WHERE node = '{}' GROUP BY block ORDER BY block FORMAT TSV",
        lane.table, lane.name
    ))?;
    let mut blocks = Blocks::new();
    for line in answer.lines() {
        let mut numbers = line.split('\t').map(str::parse::<i64>);
        let mut next = || numbers.next().context("too few columns")?.with_context(|| line.to_owned());
        let (block, n, d) = (next()?, next()?, next()?);
        blocks.insert(block, (u64::try_from(n)?, u64::try_from(d)?));
    }
    Ok(blocks)
}

/// What a tier has of a lane, beside what it should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// Rows that nobody sent.
    pub(crate) strange: u64,
}

/// Compares blocks with a ledger.
pub(crate) fn tally(blocks: &Blocks, ledger: &Ledger) -> Tally {
    let mut tally = Tally::default();
    let acknowledged: BTreeSet<i64> = ledger.acknowledged.iter().filter_map(|b| i64::try_from(*b).ok()).collect();
    let given_up: BTreeSet<i64> = ledger.given_up.iter().filter_map(|b| i64::try_from(*b).ok()).collect();
    for block in &acknowledged {
        tally.lost += BLOCK - blocks.get(block).map_or(0, |(_, distinct)| (*distinct).min(BLOCK));
    }
    for (block, (n, distinct)) in blocks {
        tally.rows += n;
        tally.doubled += n.saturating_sub(*distinct);
        if !acknowledged.contains(block) && !given_up.contains(block) {
            tally.strange += n;
        }
    }
    tally
}

/// The terms of the accounting law, summed over all sources of one life of a recorder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) received: u64,
    pub(crate) recorded: u64,
    pub(crate) deduplicated: u64,
    /// By reason.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// By stage.
    pub(crate) lost: BTreeMap<String, u64>,
}

impl Terms {
    pub(crate) fn of(server: &Server) -> Result<Self> {
        let answer = http::get(&server.url("/metrics"), "*/*")?;
        anyhow::ensure!(answer.status == 200, "/metrics: status {}", answer.status);
        let mut terms = Self::default();
        for line in answer.text().lines() {
            let Some(rest) = line.strip_prefix("hindcast_ingest_events_") else { continue };
            let Some((name, value)) = rest.rsplit_once(' ') else { continue };
            let value: u64 = value.parse().with_context(|| line.to_owned())?;
            let (name, labels) = name.split_once("_total").unwrap_or((name, ""));
            let label = |wanted: &str| {
                let start = labels.split_once(&format!("{wanted}=\""));
                start.and_then(|(_, rest)| rest.split_once('"')).map_or("?", |(label, _)| label).to_owned()
            };
            match name {
                "received" => terms.received += value,
                "recorded" => terms.recorded += value,
                "deduplicated" => terms.deduplicated += value,
                "rejected" if value > 0 => *terms.rejected.entry(label("reason")).or_default() += value,
                "lost" if value > 0 => *terms.lost.entry(label("stage")).or_default() += value,
                _ => {}
            }
        }
        Ok(terms)
    }

    fn accounted(&self) -> u64 {
        let more: u64 = self.rejected.values().chain(self.lost.values()).sum();
        self.recorded + self.deduplicated + more
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.received == self.accounted()
    }

    /// One row of a table.
    pub(crate) fn row(&self) -> String {
        let list = |of: &BTreeMap<String, u64>| {
            let each: Vec<String> = of.iter().map(|(name, n)| format!("{n} {name}")).collect();
            if each.is_empty() { "0".to_owned() } else { each.join(", ") }
        };
        format!(
            "{} | {} | {} | {} | {}",
            self.received,
            self.recorded,
            self.deduplicated,
            list(&self.rejected),
            list(&self.lost)
        )
    }
}

/// The table of lanes and what is wrong with them.
pub(crate) fn compare(server: &Server, clickhouse: &ClickHouse, ledgers: &[Ledger]) -> Result<(String, Vec<String>)> {
    let mut text = "| lane | table | sent | acknowledged | given up | unanswered | in lake | lost | doubled \
                    | in ClickHouse | lost | doubled |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let mut differences = Vec::new();
    for (lane, ledger) in LANES.into_iter().zip(ledgers) {
        let (lake, remote) = (in_lake(server, lane)?, in_clickhouse(clickhouse, lane)?);
        let (ours, theirs) = (tally(&lake, ledger), tally(&remote, ledger));
        let rows = |blocks: &[u64]| u64::try_from(blocks.len()).unwrap_or(u64::MAX).saturating_mul(BLOCK);
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            lane.name,
            lane.table,
            ledger.next * BLOCK,
            rows(&ledger.acknowledged),
            rows(&ledger.given_up),
            ledger.n_unanswered,
            ours.rows,
            ours.lost,
            ours.doubled,
            theirs.rows,
            theirs.lost,
            theirs.doubled,
        )?;
        for (tier, tally) in [("the lake", ours), ("ClickHouse", theirs)] {
            if tally.lost + tally.doubled + tally.strange > 0 {
                differences.push(format!("lane {}: {tier} has {tally:?}", lane.name));
            }
        }
        let differing: Vec<i64> = lake
            .keys()
            .chain(remote.keys())
            .filter(|block| lake.get(block) != remote.get(block))
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        if let Some(first) = differing.first() {
            let n = differing.len();
            let (ours, theirs) = (lake.get(first), remote.get(first));
            differences.push(format!(
                "lane {}: {n} blocks differ between the tiers, the first {first}: {ours:?} in the lake, {theirs:?} in ClickHouse",
                lane.name
            ));
        }
    }
    Ok((text, differences))
}
