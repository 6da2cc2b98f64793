//! Load with a memory: every row has a number, rows go out in blocks, and what was acknowledged is remembered.
//!
//! Three lanes push over Flight (two of flows, one of runtime events) and one writes a file that is followed. The
//! number of a row gives its time, and times of different lanes lie ten days apart, so a row is known by its time.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use hindcast_cli::generate::json::rfc3339;
use hindcast_model::tables::{flows, runtime_events};
use hindcast_model::{SourceKind, TableId, Timestamp};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::flight::{Pusher, encode};

/// Rows of a block: of one push, or of one write to the file.
pub(crate) const BLOCK: u64 = 200;
/// Time between rows: far enough that a run goes through several hours, and so through several partitions.
pub(crate) const STEP_NANOS: i64 = 20_000_000;
const FIRST_TIME: i64 = 1_780_000_000_000_000_000;
const LANE_NANOS: i64 = 10 * 86_400 * 1_000_000_000;
/// How long an acknowledgement is waited for.
const PATIENCE: Duration = Duration::from_secs(45);
/// One block in so many that was not acknowledged is given up instead of sent again.
const GIVE_UP: u32 = 4;

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) number: usize,
    pub(crate) name: &'static str,
    pub(crate) table: TableId,
}

/// All of them; the last is the file.
pub(crate) const LANES: [Lane; 4] = [
    Lane { number: 0, name: "push-a", table: TableId::Flows },
    Lane { number: 1, name: "push-b", table: TableId::Flows },
    Lane { number: 2, name: "push-c", table: TableId::RuntimeEvents },
    Lane { number: 3, name: "file", table: TableId::Flows },
];

impl Lane {
    /// Time of the first row of a block.
    pub(crate) fn time_of(self, block: u64) -> i64 {
        let lane = i64::try_from(self.number).unwrap_or_default() * LANE_NANOS;
        let row = i64::try_from(block.saturating_mul(BLOCK)).unwrap_or(i64::MAX);
        FIRST_TIME + lane + row.saturating_mul(STEP_NANOS)
    }

    fn is_file(self) -> bool {
        self.name == "file"
    }

    fn rows(self, block: u64) -> Result<RecordBatch> {
        let times = (0..BLOCK).scan(self.time_of(block), |time, _| {
            let now = *time;
            *time += STEP_NANOS;
            Some(now)
        });
        if self.table == TableId::RuntimeEvents {
            let mut builder = runtime_events::Builder::default();
            for time in times {
                let row = builder.row();
                builder.time.set(row, time);
                builder.recorded_at.set(row, time);
                builder.source_kind.set(row, SourceKind::Generated.as_str());
                builder.node.set(row, self.name);
                builder.kind.set(row, "process_exec");
                builder.exec_id.set(row, &format!("exec-{time}"));
                builder.commit();
            }
            return Ok(builder.finish()?);
        }
        let mut builder = flows::Builder::default();
        for (time, port) in times.zip(1000_u16..) {
            let row = builder.row();
            builder.time.set(row, time);
            builder.recorded_at.set(row, time);
            builder.source_kind.set(row, SourceKind::Generated.as_str());
            builder.node.set(row, self.name);
            builder.verdict.set(row, if port % 50 == 0 { "DROPPED" } else { "FORWARDED" });
            builder.src_workload.set(row, if port % 3 == 0 { "web" } else { "cart" });
            builder.src_pod.set(row, &format!("web-{}", port % 17));
            builder.dst_workload.set(row, "db");
            builder.src_port.set(row, port);
            builder.dst_port.set(row, 5432);
            builder.flow_count.set(row, 1);
            builder.commit();
        }
        Ok(builder.finish()?)
    }

    fn lines(self, block: u64) -> String {
        let mut time = self.time_of(block);
        let mut text = String::new();
        for port in (1000_u16..).take(200) {
            let at = rfc3339(Timestamp::from_nanos(time));
            let name = self.name;
            text.push_str(&format!(
                "{{\"flow\":{{\"time\":\"{at}\",\"uuid\":\"{time}\",\"verdict\":\"FORWARDED\",\"node_name\":\"{name}\",\
                 \"source\":{{\"namespace\":\"shop\",\"pod_name\":\"web-{}\"}},\
                 \"destination\":{{\"namespace\":\"shop\",\"pod_name\":\"db-0\"}},\
                 \"l4\":{{\"TCP\":{{\"source_port\":{port},\"destination_port\":5432}}}}}},\
                 \"node_name\":\"{name}\",\"time\":\"{at}\"}}\n",
                port % 17
            ));
            time += STEP_NANOS;
        }
        text
    }
}

/// What became of the blocks of one lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Blocks `0..next` were sent at least once.
    pub(crate) next: u64,
    /// They are there, by the recorder's word.
    pub(crate) acknowledged: Vec<u64>,
    /// They may be there: no answer came, and they were not sent again.
    pub(crate) given_up: Vec<u64>,
    /// Pushes that were not acknowledged.
    pub(crate) n_unanswered: u64,
    /// The last reason.
    pub(crate) last_refusal: String,
    in_doubt: Option<u64>,
}

/// What the lanes share.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Where the recorder is; none while it is dead.
    pub(crate) url: Mutex<Option<String>>,
    /// Where it is asked in SQL.
    pub(crate) http: Mutex<Option<String>>,
    pub(crate) ledgers: [Mutex<Ledger>; 4],
    /// Rows that were ever sent, per lane.
    pub(crate) sent: [AtomicU64; 4],
    pub(crate) is_paused: AtomicBool,
    /// Nothing new; what is in doubt is still sent again.
    pub(crate) is_ending: AtomicBool,
    /// Lanes between two blocks that stand still.
    n_busy: AtomicU64,
}

impl Load {
    /// Rows sent so far to a table.
    pub(crate) fn sent_to(&self, table: TableId) -> u64 {
        let lanes = LANES.iter().zip(&self.sent).filter(|(lane, _)| lane.table == table);
        lanes.map(|(_, sent)| sent.load(Ordering::SeqCst)).sum()
    }

    /// Whether no push is under way.
    pub(crate) fn is_still(&self) -> bool {
        self.n_busy.load(Ordering::SeqCst) == 0
    }

    fn note_sent(&self, lane: Lane) {
        if let Some(sent) = self.sent.get(lane.number) {
            sent.fetch_add(BLOCK, Ordering::SeqCst);
        }
    }
}

/// Runs one lane until the load ends and nothing of it is in doubt.
pub(crate) async fn run(load: Arc<Load>, lane: Lane, seed: u64, file: PathBuf) -> Result<()> {
    let mut chance = StdRng::seed_from_u64(seed ^ u64::try_from(lane.number + 1)?);
    if lane.is_file() { write(&load, lane, &mut chance, &file).await } else { push(&load, lane, &mut chance).await }
}

async fn push(load: &Load, lane: Lane, chance: &mut StdRng) -> Result<()> {
    let mut pusher: Option<(String, Pusher)> = None;
    let ledger = load.ledgers.get(lane.number).context("no such lane")?;
    loop {
        tokio::time::sleep(Duration::from_millis(chance.random_range(20..250))).await;
        load.n_busy.fetch_add(1, Ordering::SeqCst);
        let url = load.url.lock().clone();
        let is_ending = load.is_ending.load(Ordering::SeqCst);
        let in_doubt = ledger.lock().in_doubt;
        if is_ending && in_doubt.is_none() {
            load.n_busy.fetch_sub(1, Ordering::SeqCst);
            return Ok(());
        }
        if let (Some(url), false) = (url, load.is_paused.load(Ordering::SeqCst)) {
            if pusher.as_ref().is_none_or(|(known, _)| *known != url) {
                pusher = Pusher::connect(&url).await.ok().map(|pusher| (url, pusher));
            }
            if let Some((_, connected)) = &mut pusher
                && !push_block(load, lane, connected, chance).await?
            {
                pusher = None;
            }
        }
        load.n_busy.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Pushes what is in doubt, or the next block; whether it was acknowledged.
async fn push_block(load: &Load, lane: Lane, pusher: &mut Pusher, chance: &mut StdRng) -> Result<bool> {
    let ledger = load.ledgers.get(lane.number).context("no such lane")?;
    let block = {
        let mut ledger = ledger.lock();
        match ledger.in_doubt {
            Some(block) => block,
            None => {
                let block = ledger.next;
                ledger.next += 1;
                ledger.in_doubt = Some(block);
                load.note_sent(lane);
                block
            }
        }
    };
    let messages = encode(lane.table, vec![lane.rows(block)?]).await?;
    let refusal = match tokio::time::timeout(PATIENCE, pusher.push(messages)).await {
        Ok(Ok(_)) => {
            let mut ledger = ledger.lock();
            ledger.in_doubt = None;
            ledger.acknowledged.push(block);
            return Ok(true);
        }
        Ok(Err(error)) => format!("{error:#}"),
        Err(_elapsed) => format!("no answer within {PATIENCE:?}"),
    };
    let mut ledger = ledger.lock();
    ledger.n_unanswered += 1;
    ledger.last_refusal = refusal;
    if chance.random_range(0..GIVE_UP) == 0 {
        ledger.in_doubt = None;
        ledger.given_up.push(block);
    }
    Ok(false)
}

/// Appends blocks of lines to the file, in two writes that part a line now and then. What is in the file is the
/// recorder's to keep.
async fn write(load: &Load, lane: Lane, chance: &mut StdRng, path: &PathBuf) -> Result<()> {
    let mut file = File::options().create(true).append(true).open(path).context("cannot write the followed file")?;
    let ledger = load.ledgers.get(lane.number).context("no such lane")?;
    while !load.is_ending.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(chance.random_range(100..500))).await;
        if load.is_paused.load(Ordering::SeqCst) {
            continue;
        }
        load.n_busy.fetch_add(1, Ordering::SeqCst);
        let block = ledger.lock().next;
        load.note_sent(lane);
        let text = lane.lines(block);
        let (first, rest) = text.as_bytes().split_at(chance.random_range(0..text.len()));
        file.write_all(first)?;
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..40))).await;
        file.write_all(rest)?;
        file.sync_data()?;
        let mut ledger = ledger.lock();
        ledger.next += 1;
        ledger.acknowledged.push(block);
        drop(ledger);
        load.n_busy.fetch_sub(1, Ordering::SeqCst);
    }
    Ok(())
}
