//! `hindcast sensor`: the sensors of this host, a spool on disk, and a server that gets what they see.

mod delivery;
mod lost;
mod waiting;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::Context as _;
use hindcast_bpf_sensors::Report;
use hindcast_bpf_sensors::capability::State;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::args::SensorArgs;
use crate::cluster::Cluster;
use crate::exit;
use crate::flight::Door;
use crate::human;
use crate::notify;
use crate::sensors::origin;
use crate::setup::{self, Common, Voice};
use crate::shutdown::{self, Ended, Signals, Step};
use delivery::Delivery;
use waiting::{Account, Waiting};

/// Batches that wait for the disk; more wait with the sensors, which have a bound of their own.
const QUEUE: usize = 16;
/// How often the log says how far it is.
const STATUS_INTERVAL: Duration = Duration::from_secs(60);
/// How long what is left may take to be sent at the end.
const LAST_TRY: Duration = Duration::from_secs(5);

/// Runs the command.
///
/// # Errors
/// The configuration has problems, the spool cannot be used, or the kernel takes no sensor.
pub(crate) fn run(args: &SensorArgs, common: &Common) -> anyhow::Result<u8> {
    let mut inputs = setup::inputs(args.config.as_ref(), None);
    inputs.flag(&["sensors", "cluster"], "--cluster", args.cluster.as_ref());
    inputs.flag(&["sensors", "node"], "--node", args.node.as_ref());
    let settings = common.settings(Voice::Service, inputs)?;
    setup::block_on(async {
        let mut signals = Signals::take().context("signals cannot be received")?;
        let (door, url) = Door::lazy(&args.to, &args.access)?;
        let origin = origin(&settings.sensors, |node| format!("sensor/{node}"));
        let clock = setup::clock();
        let waiting = Waiting::open(&args.spool, args.spool_size.as_u64(), origin.clone(), Arc::clone(&clock))?;
        let waiting = Arc::new(waiting);
        let (sender, receiver) = sync_channel(QUEUE);
        let source = origin.source.clone();
        let cluster = Cluster::watch(&settings, None).await;
        let names = Cluster::names(cluster.as_ref());
        let sensors = hindcast_bpf_sensors::start(&settings.sensors, origin, clock, Box::new(sender))?;
        let filled = Arc::clone(&waiting);
        let filling = tokio::task::spawn_blocking(move || filled.fill(&receiver, &names));
        let (stop, drop) = (CancellationToken::new(), CancellationToken::new());
        let delivery = Delivery::new(Arc::clone(&waiting), door, source.clone());
        let mut delivering = tokio::spawn(delivery.run(stop.clone(), drop.clone()));
        announce(sensors.report(), &url, &source, &waiting)?;
        notify::ready();
        wait(&mut signals, &waiting).await;
        notify::stopping();
        let steps = vec![
            Step::new("sensors", async {
                tokio::task::spawn_blocking(move || sensors.stop()).await.context("the sensors did not stop in order")
            }),
            Step::new("spool", async { filling.await.context("not everything was spooled") }),
            Step::new("cluster", async {
                if let Some(cluster) = cluster {
                    cluster.stop().await;
                }
                Ok(())
            }),
            Step::new("delivery", async {
                stop.cancel();
                if tokio::time::timeout(LAST_TRY, &mut delivering).await.is_err() {
                    drop.cancel();
                }
                Ok(())
            }),
        ];
        let ended = shutdown::in_order(steps, &mut signals).await;
        say_status(&waiting, "stopped");
        crate::print(&left(&waiting))?;
        Ok(match ended {
            Ended::InOrder => exit::DONE,
            Ended::WithErrors => exit::FAILED,
            Ended::Forced => exit::FORCED,
        })
    })
}

/// What is said when everything is up.
fn announce(report: &Report, url: &str, source: &str, waiting: &Waiting) -> anyhow::Result<()> {
    let is_seen = |state: &State| matches!(state, State::Available | State::Partial { .. });
    let n_seen = report.capabilities.iter().filter(|capability| is_seen(&capability.state)).count();
    let n_all = report.capabilities.len();
    for capability in &report.capabilities {
        if let State::Missing { reason } | State::Partial { reason } = &capability.state {
            warn!(sensor = capability.sensor.name(), reason, "not all is seen");
        }
    }
    crate::print(&format!(
        "recording this host: {n_seen} of {n_all} sensors; sending to {url} as {source}\nspool: {}\nready\n",
        held(waiting)
    ))?;
    Ok(())
}

/// Until a signal comes; the log says now and then how far it is.
async fn wait(signals: &mut Signals, waiting: &Waiting) {
    let mut ticks = tokio::time::interval(STATUS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        // Losing arms: a tick is only late; a signal not taken is taken by the next wait.
        tokio::select! {
            name = signals.next() => {
                info!(signal = name, "stopping");
                return;
            }
            _ = ticks.tick() => say_status(waiting, "delivering"),
        }
    }
}

fn say_status(waiting: &Waiting, what: &str) {
    let (account, status) = (&waiting.account, waiting.status());
    info!(
        spooled = Account::read(&account.spooled),
        recorded = Account::read(&account.recorded),
        repeated = Account::read(&account.deduplicated),
        lost = Account::read(&account.lost),
        waiting_batches = status.waiting,
        spool = human::size(status.n_bytes),
        "{what}"
    );
}

fn held(waiting: &Waiting) -> String {
    let status = waiting.status();
    let n_batches = human::count(status.waiting);
    format!("{n_batches} batches wait in {}, {}", waiting.dir().display(), human::size(status.n_bytes))
}

/// What the next start will send.
fn left(waiting: &Waiting) -> String {
    if waiting.status().waiting == 0 {
        return "everything that was seen is at the server\n".to_owned();
    }
    format!("not sent: {}; the next start sends it\n", held(waiting))
}
