//! What happens to them, each from beginning to end; and who looks on meanwhile.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_model::TableId;
use rand::Rng as _;
use tokio_util::sync::CancellationToken;

use super::load::Load;
use super::proxy::Mode;
use super::{Chaos, heal};
use crate::{Server, http};

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    KillRecorder,
    KillRecorderWhileItOpens,
    KillRecorderWhenQuiet,
    KillClickHouse,
    KillBoth,
    StopRecorder,
    HoldClickHouse,
    CutWire,
    DelayWire,
    ThrottleWire,
    DropAnswers,
    FillLakeDisk,
    FillClickHouseDisk,
}

impl Fault {
    pub(crate) const ALL: [Self; 13] = [
        Self::KillRecorder,
        Self::KillRecorderWhileItOpens,
        Self::KillRecorderWhenQuiet,
        Self::KillClickHouse,
        Self::KillBoth,
        Self::StopRecorder,
        Self::HoldClickHouse,
        Self::CutWire,
        Self::DelayWire,
        Self::ThrottleWire,
        Self::DropAnswers,
        Self::FillLakeDisk,
        Self::FillClickHouseDisk,
    ];

    pub(crate) const fn fills_a_disk(self) -> bool {
        matches!(self, Self::FillLakeDisk | Self::FillClickHouseDisk)
    }
}

fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([name, &pid.to_string()]).status()?;
    ensure!(status.success(), "cannot signal process {pid}");
    Ok(())
}

impl Chaos {
    fn time(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.chance.random_range(50..most_ms))
    }

    /// Lets a fault last; half of the time the recorder is killed in the middle of it.
    async fn last(&mut self, time: Duration) -> Result<()> {
        if self.chance.random_range(0..2) == 0 {
            return self.pass(time).await;
        }
        self.pass(time / 2).await?;
        self.say("  and the recorder is killed meanwhile");
        self.kill_recorder(false)?;
        self.start_recorder()?;
        self.pass(time / 2).await
    }

    pub(crate) async fn inflict(&mut self, fault: Fault) -> Result<()> {
        let time = self.time(7000);
        self.say(&format!("{fault:?}, {:.1} s", time.as_secs_f64()));
        match fault {
            Fault::KillRecorder => {
                self.kill_recorder(false)?;
                self.start_recorder()
            }
            Fault::KillRecorderWhileItOpens => self.kill_while_it_opens(),
            Fault::KillRecorderWhenQuiet => {
                self.quieten().await?;
                self.kill_recorder(true)?;
                self.load.is_paused.store(false, Ordering::SeqCst);
                self.start_recorder()
            }
            Fault::KillClickHouse => {
                self.clickhouse.kill()?;
                self.last(time).await?;
                self.restart_clickhouse()
            }
            Fault::KillBoth => {
                self.clickhouse.kill()?;
                self.kill_recorder(false)?;
                // One is back before the other.
                if self.chance.random_range(0..2) == 0 {
                    self.start_recorder()?;
                    self.pass(time).await?;
                    self.restart_clickhouse()
                } else {
                    self.restart_clickhouse()?;
                    self.start_recorder()
                }
            }
            Fault::StopRecorder => self.stop_recorder(),
            Fault::HoldClickHouse => {
                let pid = self.clickhouse.pid().context("ClickHouse is not running")?;
                signal(pid, "-STOP")?;
                let lasted = self.last(time).await;
                signal(pid, "-CONT")?;
                lasted
            }
            Fault::CutWire => self.on_the_wire(Mode::Cut, time).await,
            Fault::DelayWire => {
                let delay = self.time(1500);
                self.on_the_wire(Mode::Delay(delay), time).await
            }
            Fault::ThrottleWire => {
                let rate = self.chance.random_range(500..20_000);
                self.on_the_wire(Mode::Throttle(rate), time).await
            }
            Fault::DropAnswers => self.on_the_wire(Mode::DropAnswer, time).await,
            Fault::FillLakeDisk => self.fill_lake(time).await,
            Fault::FillClickHouseDisk => {
                self.clickhouse_disk.fill()?;
                let lasted = self.last(time).await;
                self.clickhouse_disk.free()?;
                // An engine that did not survive it is started again.
                self.clickhouse.kill()?;
                self.restart_clickhouse()?;
                lasted
            }
        }
    }

    fn kill_while_it_opens(&mut self) -> Result<()> {
        self.kill_recorder(false)?;
        let (options, data_dir) = (self.options(), self.data_dir());
        let server = Server::spawn(&data_dir, &options)?;
        let time = self.time(400);
        tokio::task::block_in_place(|| crate::pause(time));
        server.kill()?;
        self.start_recorder()
    }

    fn stop_recorder(&mut self) -> Result<()> {
        self.observe();
        let Some(server) = self.server.take() else { return Ok(()) };
        self.bury("SIGTERM", false);
        tokio::task::block_in_place(|| server.stop())?;
        self.start_recorder()
    }

    fn restart_clickhouse(&mut self) -> Result<()> {
        tokio::task::block_in_place(|| self.clickhouse.restart())
    }

    async fn on_the_wire(&mut self, mode: Mode, time: Duration) -> Result<()> {
        self.say(&format!("  {mode:?}"));
        self.proxy.set(mode);
        let lasted = self.last(time).await;
        heal(&self.proxy);
        lasted
    }

    /// While the disk is full the recorder may be killed, and may then fail to open: it is started again when there is
    /// room.
    async fn fill_lake(&mut self, time: Duration) -> Result<()> {
        self.lake_disk.fill()?;
        let lasted = self.pass(time).await;
        let dies = self.chance.random_range(0..2) == 0;
        if dies {
            self.say("  and the recorder is killed meanwhile");
            self.kill_recorder(false)?;
            let (options, data_dir) = (self.options(), self.data_dir());
            let server = Server::spawn(&data_dir, &options)?;
            let time = self.time(2000);
            tokio::task::block_in_place(|| crate::pause(time));
            server.kill()?;
        }
        self.lake_disk.free()?;
        if dies {
            self.start_recorder()?;
        }
        lasted
    }
}

/// Asks again and again how many rows there are, in both tiers: never more than were sent. Returns how often it got an
/// answer, and every lie.
pub(crate) async fn witness(load: Arc<Load>, clickhouse: String, cancel: CancellationToken) -> (u64, Vec<String>) {
    let (mut n_looks, mut lies) = (0, Vec::new());
    while !cancel.is_cancelled() {
        for table in [TableId::Flows, TableId::RuntimeEvents] {
            let query = format!("SELECT count(*) FROM hindcast.{table}");
            let url = clickhouse.clone();
            let answer = tokio::task::spawn_blocking(move || http::post_text(&url, &query)).await;
            let Ok(Ok(answer)) = answer else { continue };
            let Ok(n_rows) = answer.trim().parse::<u64>() else { continue };
            let n_sent = load.sent_to(table);
            n_looks += 1;
            if n_rows > n_sent {
                lies.push(format!("ClickHouse had {n_rows} rows of {table} when {n_sent} were sent"));
            }
        }
        for table in [TableId::Flows, TableId::RuntimeEvents] {
            let Some(url) = load.http.lock().clone() else { continue };
            let query = serde_json::json!({ "query": format!("SELECT count(*) AS n FROM {table}") });
            let asked = tokio::task::spawn_blocking(move || http::post(&url, "application/x-ndjson", &query)).await;
            let Ok(Ok(answer)) = asked else { continue };
            if answer.status != 200 {
                continue;
            }
            let n_rows = answer.text().chars().filter(char::is_ascii_digit).collect::<String>().parse::<u64>();
            let (Ok(n_rows), n_sent) = (n_rows, load.sent_to(table)) else { continue };
            n_looks += 1;
            if n_rows > n_sent {
                lies.push(format!("the recorder had {n_rows} rows of {table} when {n_sent} were sent"));
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    (n_looks, lies)
}
