//! Chaos: a recorder and a ClickHouse under load, and everything that can happen to them, out of one seed.
//!
//! What must hold at the end: every acknowledged row is in the lake and in ClickHouse, once; a row nobody acknowledged
//! is there at most once; both tiers have the same; and every recorder that was asked accounts for all it received.

mod count;
mod disk;
mod faults;
mod load;
mod proxy;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hindcast_model::TableId;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::count::Terms;
use self::disk::Disk;
use self::faults::Fault;
use self::load::{LANES, Ledger, Load};
use self::proxy::{Mode, Proxy};
use crate::clickhouse::ClickHouse;
use crate::tool::{hindcast, run};
use crate::{Options, Server, skip};

/// Sizes of the disks that are filled, MiB.
const LAKE_MIB: u32 = 1024;
const CLICKHOUSE_MIB: u32 = 1536;
/// Rows of an insert: another number in every life of the recorder.
const BLOCK_ROWS: [u32; 4] = [1000, 1700, 5000, 250_000];
/// How long ClickHouse may take to get the next row once nothing is in the way.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a recorder may take to account for what was under way.
const QUIET: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(250);
/// Waits between faults, milliseconds.
const CALM_MS: std::ops::Range<u64> = 200..3000;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything random comes from here.
    pub seed: u64,
    /// How long faults go on.
    pub length: Duration,
    /// An empty folder to work in.
    pub folder: PathBuf,
    /// Who asks, for the list of what was skipped.
    pub name: &'static str,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Tables, for people.
    pub report: String,
    /// Whatever does not hold; empty is good.
    pub differences: Vec<String>,
    /// Faults that struck.
    pub n_faults: usize,
    /// Rows that were acknowledged.
    pub n_acknowledged: u64,
}

/// One life of a recorder.
#[derive(Clone, Debug)]
struct Life {
    began: Duration,
    ended: Duration,
    end: &'static str,
    /// The last that was seen of it, and whether that was when nothing was under way.
    terms: Terms,
    is_quiet: bool,
}

/// The scene. Programs stand before the disks they run on, so that they end first.
#[derive(Debug)]
struct Chaos {
    chance: StdRng,
    started: Instant,
    server: Option<Server>,
    born: Duration,
    clickhouse: ClickHouse,
    proxy: Proxy,
    lake_disk: Disk,
    clickhouse_disk: Disk,
    followed: PathBuf,
    load: Arc<Load>,
    lives: Vec<Life>,
    differences: Vec<String>,
    last_terms: Terms,
}

/// Runs a plan; `None`, and noted as skipped, where there is no engine.
///
/// # Errors
/// The scene cannot be set, or a program does not start again.
pub async fn play(plan: &Plan) -> Result<Option<Outcome>> {
    let Some(mut chaos) = Chaos::set_up(plan).await? else { return Ok(None) };
    let outcome = act(&mut chaos, plan).await;
    if outcome.as_ref().map_or(true, |outcome| !outcome.differences.is_empty()) {
        chaos.lake_disk.keep();
        chaos.clickhouse_disk.keep();
    }
    outcome.map(Some)
}

async fn act(chaos: &mut Chaos, plan: &Plan) -> Result<Outcome> {
    let cancel = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut lanes = Vec::new();
    for lane in LANES {
        lanes.push(tokio::spawn(load::run(Arc::clone(&chaos.load), lane, plan.seed, chaos.followed.clone())));
    }
    let witness = tasks.spawn(faults::witness(Arc::clone(&chaos.load), chaos.clickhouse.url(), cancel.clone()));
    let n_faults = chaos.strike(plan).await?;
    chaos.say("no more faults: all that is sent arrives");
    chaos.load.is_ending.store(true, Ordering::SeqCst);
    for lane in lanes {
        lane.await??;
    }
    cancel.cancel();
    let (n_looks, lies) = witness.await?;
    chaos.differences.extend(lies);
    chaos.settle().await?;
    chaos.judge(n_faults, n_looks)
}

impl Chaos {
    async fn set_up(plan: &Plan) -> Result<Option<Self>> {
        let lake_disk = Disk::make(&plan.folder.join("lake"), LAKE_MIB)?;
        let clickhouse_disk = Disk::make(&plan.folder.join("clickhouse"), CLICKHOUSE_MIB)?;
        let data = clickhouse_disk.path().join("data");
        let Some(clickhouse) = ClickHouse::start(plan.name, &data)? else { return Ok(None) };
        if !lake_disk.can_be_filled() || !clickhouse_disk.can_be_filled() {
            skip::skip(&format!("{}: full disks", plan.name), "a tmpfs cannot be mounted here");
        }
        let mut migrate = hindcast()?;
        migrate.args(["migrate", "apply"]).env("HINDCAST_STORAGE_CLICKHOUSE_URL", clickhouse.url());
        run(&mut migrate)?.success()?;
        let proxy = Proxy::start(clickhouse.port()).await?;
        let followed = plan.folder.join("followed.log");
        std::fs::File::create(&followed)?;
        let config = format!(
            "[[ingest.follow]]\nname = \"file\"\npaths = [{:?}]\npoll_interval = \"50ms\"\n",
            followed.display().to_string()
        );
        std::fs::write(plan.folder.join("hindcast.toml"), config)?;
        let mut chaos = Self {
            chance: StdRng::seed_from_u64(plan.seed),
            started: Instant::now(),
            server: None,
            born: Duration::ZERO,
            clickhouse,
            proxy,
            lake_disk,
            clickhouse_disk,
            followed,
            load: Arc::default(),
            lives: Vec::new(),
            differences: Vec::new(),
            last_terms: Terms::default(),
        };
        chaos.start_recorder()?;
        Ok(Some(chaos))
    }

    /// One line about now.
    fn say(&self, text: &str) {
        let printed = writeln!(std::io::stdout(), "{:8.1} s  {text}", self.started.elapsed().as_secs_f64());
        debug_assert!(printed.is_ok(), "standard output takes every line");
    }

    fn options(&mut self) -> Options {
        let set = |name: &str, value: String| (format!("HINDCAST_STORAGE_{name}"), value);
        let block_rows = BLOCK_ROWS.get(self.chance.random_range(0..BLOCK_ROWS.len())).copied().unwrap_or(1000);
        let environment = vec![
            set("MEMORY_MAX_AGE", "300ms".to_owned()),
            set("MEMORY_MAX_PARTITION_ROWS", "20000".to_owned()),
            set("SEGMENTS_MAINTENANCE_INTERVAL", "500ms".to_owned()),
            set("CLICKHOUSE_URL", self.proxy.url()),
            set("CLICKHOUSE_BLOCK_ROWS", block_rows.to_string()),
            set("CLICKHOUSE_TIMEOUT", "5s".to_owned()),
        ];
        let config = self.followed.with_file_name("hindcast.toml");
        let arguments = vec!["--config".to_owned(), config.display().to_string()];
        Options { environment, arguments, ..Options::default() }
    }

    fn data_dir(&self) -> PathBuf {
        self.lake_disk.path().join("data")
    }

    fn start_recorder(&mut self) -> Result<()> {
        let (options, data_dir) = (self.options(), self.data_dir());
        let server = tokio::task::block_in_place(|| Server::start(&data_dir, &options))?;
        *self.load.url.lock() = Some(server.grpc_url());
        *self.load.http.lock() = Some(server.url("/api/v1/sql"));
        self.server = Some(server);
        self.born = self.started.elapsed();
        self.last_terms = Terms::default();
        Ok(())
    }

    /// Looks at the recorder as any monitoring would.
    fn observe(&mut self) {
        let Some(server) = &self.server else { return };
        if let Ok(terms) = tokio::task::block_in_place(|| Terms::of(server)) {
            self.last_terms = terms;
        }
    }

    fn bury(&mut self, end: &'static str, is_quiet: bool) {
        *self.load.url.lock() = None;
        *self.load.http.lock() = None;
        let terms = std::mem::take(&mut self.last_terms);
        self.lives.push(Life { began: self.born, ended: self.started.elapsed(), end, terms, is_quiet });
    }

    fn kill_recorder(&mut self, is_quiet: bool) -> Result<()> {
        if !is_quiet {
            self.observe();
        }
        let Some(server) = self.server.take() else { return Ok(()) };
        self.bury("kill -9", is_quiet);
        server.kill()
    }

    /// A recorder never ends by itself.
    fn check_alive(&mut self) -> Result<()> {
        let Some(server) = &mut self.server else { return Ok(()) };
        if let Some(status) = server.has_ended()? {
            let tail: Vec<_> = server.said().lines().rev().take(5).map(str::to_owned).collect();
            let what = format!("the recorder ended by itself with {status}: {}", tail.join(" / "));
            self.say(&what);
            self.differences.push(what);
            self.server = None;
            self.bury("by itself", false);
            self.start_recorder()?;
        }
        Ok(())
    }

    /// Lets that time pass, under load.
    async fn pass(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            tokio::time::sleep(LOOK.min(until.saturating_duration_since(Instant::now()))).await;
            self.check_alive()?;
        }
        Ok(())
    }

    /// Stops the load and waits until the recorder accounts for all it received.
    async fn quieten(&mut self) -> Result<()> {
        self.load.is_paused.store(true, Ordering::SeqCst);
        let until = Instant::now() + QUIET;
        loop {
            let before = self.last_terms.clone();
            self.observe();
            // Twice the same: what stands in the file has been read too.
            if self.load.is_still() && self.last_terms.is_exact() && before == self.last_terms {
                return Ok(());
            }
            if Instant::now() > until {
                let what = format!("after {QUIET:?} of quiet received is not accounted for: {}", self.last_terms.row());
                self.say(&what);
                self.differences.push(what);
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
            self.check_alive()?;
        }
    }

    /// Fault after fault, each kind in turn in a shuffled order, until the time is over.
    async fn strike(&mut self, plan: &Plan) -> Result<usize> {
        let (mut bag, mut n_faults) = (Vec::new(), 0);
        let can_fill = self.lake_disk.can_be_filled() && self.clickhouse_disk.can_be_filled();
        while self.started.elapsed() < plan.length {
            if bag.is_empty() {
                bag.extend(Fault::ALL.into_iter().filter(|fault| can_fill || !fault.fills_a_disk()));
                bag.shuffle(&mut self.chance);
            }
            let calm = Duration::from_millis(self.chance.random_range(CALM_MS));
            self.pass(calm).await?;
            let Some(fault) = bag.pop() else { continue };
            self.inflict(fault).await.with_context(|| format!("{fault:?}"))?;
            n_faults += 1;
        }
        Ok(n_faults)
    }

    /// Waits until ClickHouse has all rows of the lake.
    async fn settle(&mut self) -> Result<()> {
        self.quieten().await?;
        let mut best = 0;
        let mut until = Instant::now() + PATIENCE;
        loop {
            let server = self.server.as_ref().context("no recorder")?;
            let (mut ours, mut theirs) = (0, 0);
            for table in [TableId::Flows, TableId::RuntimeEvents] {
                ours += lake_rows(server, table)?;
                theirs += clickhouse_rows(&self.clickhouse, table)?;
            }
            if theirs >= ours {
                return Ok(());
            }
            if theirs > best {
                (best, until) = (theirs, Instant::now() + PATIENCE);
            }
            if Instant::now() > until {
                self.differences.push(format!("ClickHouse got no row for {PATIENCE:?}: {theirs} of {ours} are there"));
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
            self.check_alive()?;
        }
    }

    fn judge(&mut self, n_faults: usize, n_looks: u64) -> Result<Outcome> {
        self.observe();
        let server = self.server.take().context("no recorder")?;
        let ledgers: Vec<Ledger> = self.load.ledgers.iter().map(|ledger| ledger.lock().clone()).collect();
        let (table, differences) = count::compare(&server, &self.clickhouse, &ledgers)?;
        self.differences.extend(differences);
        self.bury("the end", true);
        let tail: Vec<String> = server.said().lines().rev().take(3).map(str::to_owned).collect();
        if let Err(error) = server.stop() {
            self.differences.push(format!("the recorder did not stop: {error:#}: {}", tail.join(" / ")));
        }
        let mut report = format!(
            "{table}\n| life | from s | to s | ended | received | recorded | deduplicated | rejected | lost | exact |\n|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for (number, life) in self.lives.iter().enumerate() {
            let exact = match (life.is_quiet, life.terms.is_exact()) {
                (_, true) => "yes",
                (true, false) => "NO",
                (false, false) => "under way",
            };
            if exact == "NO" {
                self.differences
                    .push(format!("life {number} does not account for what it received: {}", life.terms.row()));
            }
            let (began, ended) = (life.began.as_secs_f64(), life.ended.as_secs_f64());
            report.push_str(&format!(
                "| {number} | {began:.1} | {ended:.1} | {} | {} | {exact} |\n",
                life.end,
                life.terms.row()
            ));
        }
        for (lane, ledger) in LANES.iter().zip(&ledgers).filter(|(_, ledger)| !ledger.last_refusal.is_empty()) {
            report.push_str(&format!("last unanswered push of {}: {}\n", lane.name, ledger.last_refusal));
        }
        let n_dropped = self.proxy.n_dropped();
        report.push_str(&format!("{n_faults} faults, {n_dropped} answers dropped, {n_looks} looks from beside\n"));
        let n_blocks: usize = ledgers.iter().map(|ledger| ledger.acknowledged.len()).sum();
        let n_acknowledged = u64::try_from(n_blocks)? * load::BLOCK;
        Ok(Outcome { report, differences: self.differences.clone(), n_faults, n_acknowledged })
    }
}

fn lake_rows(server: &Server, table: TableId) -> Result<u64> {
    let rows = count::asked(server, &format!("SELECT count(*) AS n FROM {table}"))?;
    let n = rows.first().and_then(|row| row.get("n")).context("no count")?;
    n.as_u64().or_else(|| n.as_str()?.parse().ok()).with_context(|| n.to_string())
}

fn clickhouse_rows(clickhouse: &ClickHouse, table: TableId) -> Result<u64> {
    Ok(clickhouse.ask(&format!("SELECT count() FROM hindcast.{table}"))?.parse()?)
}

/// Whether a folder is fit to work in: absent or empty.
///
/// # Errors
/// It holds something.
pub fn check_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    anyhow::ensure!(std::fs::read_dir(folder)?.next().is_none(), "{} is not empty", folder.display());
    Ok(())
}

/// Restores the wire.
fn heal(proxy: &Proxy) {
    proxy.set(Mode::Pass);
}
