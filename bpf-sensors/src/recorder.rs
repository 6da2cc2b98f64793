//! The one thread of the sensors: empties the rings by a timer, keeps the processes, makes rows, and counts.
//!
//! Events are taken in the order in which they happened, whatever ring they came through: what a process did is told of the
//! program that it ran at that time.

mod account;
mod gather;
mod http2;
mod life;
mod names;
mod payload;
mod sockets;
mod sweep;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};

use self::account::Account;
use self::gather::Gathered;
use self::payload::Talks;
use self::sockets::Sockets;
use crate::cgroup::Cgroups;
use crate::clock::Clocks;
use crate::config::Config;
use crate::decode::{self, kind};
use crate::delivery::Delivery;
use crate::kernel::Kernel;
use crate::kernel::programs::Object;
use crate::process::Processes;
use crate::rows::{Origin, Rows};
use crate::sensor::StartError;
use crate::sink::Counters;

/// How often the rings are looked at in one turn while there is more in them; the largest are empty after so many. Then
/// it is time to see to the clock and the losses.
const MAX_ROUNDS: u32 = 16;
const SECOND: u64 = 1_000_000_000;
/// How long the last rows wait for the sink when the sensors stop.
const LAST_OFFERS: u32 = 200;

type Ring = RingBuf<MapData>;

/// Everything the thread owns.
pub(crate) struct Recorder {
    kernel: Kernel,
    /// In the order in which they are emptied: that of process life is the last.
    rings: Vec<Ring>,
    gathered: Gathered,
    state: State,
    account: Account,
    delivery: Delivery,
    flushed: u64,
    accounted: u64,
    swept: u64,
}

/// What is known, and the rows that are being made of it.
pub(crate) struct State {
    config: Config,
    clocks: Clocks,
    rows: Rows,
    processes: Processes,
    cgroups: Cgroups,
    sockets: Sockets,
    talks: Talks,
    counters: Arc<Counters>,
    /// Rows made of each table in this second, for the limit.
    n_flows: u64,
    n_runtime: u64,
    n_limited: u64,
    /// Places in this second at which bytes of a conversation were missed.
    n_gaps: u64,
}

/// What a row is held against when there is a limit to how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Flow,
    Runtime,
}

impl State {
    /// Whether one more row of a class may be made in this second; if not, it is counted.
    fn may(&mut self, class: Class) -> bool {
        let max = self.config.max_rows_per_second;
        let made = match class {
            Class::Flow => &mut self.n_flows,
            Class::Runtime => &mut self.n_runtime,
        };
        *made += 1;
        let may = max == 0 || *made <= max;
        if !may {
            self.n_limited += 1;
            Counters::add(&self.counters.limited, 1);
        }
        may
    }

    /// One event of any ring.
    fn event(&mut self, bytes: &[u8]) {
        Counters::add(&self.counters.received, 1);
        let handled = match decode::header(bytes).map(|header| header.kind) {
            Some(kind::EXEC) => decode::Exec::decode(bytes).map(|exec| self.exec(&exec)),
            Some(kind::FORK) => decode::Fork::decode(bytes).map(|fork| self.fork(&fork)),
            Some(kind::EXIT) => decode::Exit::decode(bytes).map(|exit| self.exit(&exit)),
            Some(kind::CHANGE) => decode::Change::decode(bytes).map(|change| self.change(&change)),
            Some(kind::CGROUP) => decode::CgroupEvent::decode(bytes).map(|event| self.cgroup(&event)),
            Some(kind::OPEN) => decode::Open::decode(bytes).map(|open| self.open(&open)),
            Some(kind::LISTEN) => decode::Listening::decode(bytes).map(|listening| self.listening(&listening)),
            Some(kind::TCP) => decode::Closed::decode(bytes).map(|closed| self.closed(&closed)),
            Some(kind::PAYLOAD) => decode::Payload::decode(bytes).map(|payload| self.payload(&payload)),
            _ => None,
        };
        if handled.is_none() {
            Counters::add(&self.counters.undecodable, 1);
        }
    }
}

fn ring(kernel: &mut Kernel, object: Object, name: &'static str) -> Result<Option<Ring>, StartError> {
    let Some(map) = kernel.object(object).and_then(|ebpf| ebpf.take_map(name)) else { return Ok(None) };
    let ring = RingBuf::try_from(map).map_err(|source| StartError::Map { map: name, source: Box::new(source) })?;
    Ok(Some(ring))
}

impl Recorder {
    pub(crate) fn new(
        config: Config,
        mut kernel: Kernel,
        origin: Origin,
        clocks: Clocks,
        delivery: Delivery,
        counters: Arc<Counters>,
    ) -> Result<Self, StartError> {
        let names = [
            (Object::Process, "changes"),
            (Object::Socket, "sockets"),
            (Object::Socket, "payloads"),
            (Object::File, "files"),
            (Object::Process, "life"),
        ];
        let mut rings = Vec::new();
        for (object, name) in names {
            rings.extend(ring(&mut kernel, object, name)?);
        }
        let account = Account::new(&mut kernel)?;
        let sockets = Sockets::new(&mut kernel)?;
        life::watch(&mut kernel, &config)?;
        let now = clocks.boot();
        let state = State {
            processes: Processes::new(config.max_processes, config.processes.arguments, config.redaction.rules().0),
            cgroups: Cgroups::new(kernel.layout.clone()),
            sockets,
            talks: Talks::new(config.redaction.rules().0),
            config,
            clocks,
            rows: Rows::new(origin),
            counters,
            n_flows: 0,
            n_runtime: 0,
            n_limited: 0,
            n_gaps: 0,
        };
        Ok(Self {
            kernel,
            rings,
            gathered: Gathered::default(),
            state,
            account,
            delivery,
            flushed: now,
            accounted: now,
            swept: now,
        })
    }

    /// Until the other end of `stop` is dropped.
    pub(crate) fn run(mut self, stop: &Receiver<()>) {
        if let Err(error) = rustix::process::setpriority_process(None, self.state.config.nice) {
            tracing::warn!(%error, "the sensors run with the priority of everything else");
        }
        self.bootstrap();
        if self.state.config.drop_capabilities {
            account::drop_capabilities();
        }
        self.sweep();
        let interval = self.state.config.drain_interval;
        while stop.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            self.turn();
        }
        self.turn();
        self.sweep();
        self.second();
        self.delivery.push(self.state.rows.take());
        for _ in 0..LAST_OFFERS {
            if self.delivery.is_empty() {
                return;
            }
            // Nobody speaks on this channel any more: it is a way to wait.
            std::thread::park_timeout(Duration::from_millis(10));
            self.delivery.offer();
        }
        tracing::warn!("the sensors stopped with rows that nobody took");
    }

    fn turn(&mut self) {
        self.drain();
        let now = self.state.clocks.boot();
        if now.saturating_sub(self.accounted) >= SECOND {
            self.second();
            self.accounted = now;
        }
        if now.saturating_sub(self.swept) >= nanos(self.state.config.sockets.sweep_interval) {
            self.sweep();
            self.swept = now;
        }
        let is_due = now.saturating_sub(self.flushed) >= nanos(self.state.config.flush_interval);
        if is_due || self.state.rows.n_rows() >= self.state.config.batch_rows {
            self.flush();
            self.flushed = now;
        }
    }

    fn flush(&mut self) {
        self.delivery.push(self.state.rows.take());
    }

    /// Empties the rings and makes rows of what happened before this began.
    fn drain(&mut self) {
        for _round in 0..MAX_ROUNDS {
            self.gathered.begin(self.state.clocks.boot());
            let mut are_empty = true;
            for ring in &mut self.rings {
                are_empty &= self.gathered.take(ring);
            }
            let batch_rows = self.state.config.batch_rows;
            let Self { gathered, state, delivery, .. } = self;
            gathered.in_order(|event| {
                state.event(event);
                if state.rows.n_rows() >= batch_rows {
                    delivery.push(state.rows.take());
                }
            });
            if are_empty {
                return;
            }
        }
    }

    /// Learns what runs already. The probes hang by now: nothing falls between.
    fn bootstrap(&mut self) {
        let tasks = self.state.learn(&std::mem::take(&mut self.kernel.running));
        // What happened meanwhile is told in its own words; who started a program since is not told twice.
        self.drain();
        self.state.tell_running(&tasks);
    }

    /// Once a second: clocks, losses, and what can be forgotten.
    fn second(&mut self) {
        let state = &mut self.state;
        if let Some(step) = state.clocks.adjust() {
            Counters::add(&state.counters.clock_jumps, 1);
            tracing::warn!(step_ns = step, "the wall clock jumped");
        }
        let now = state.clocks.boot();
        state.hurry(now);
        self.account.tell(state, &mut self.delivery, self.accounted, now);
        state.processes.forget(now);
        state.talks.forget(now);
        (state.n_flows, state.n_runtime, state.n_limited, state.n_gaps) = (0, 0, 0, 0);
    }

    /// Reports what stands open.
    fn sweep(&mut self) {
        match self.kernel.iterate(Object::Socket, "open_sockets") {
            Ok(bytes) => self.state.open_sockets(&bytes),
            Err(error) => tracing::warn!(%error, "cannot list open sockets"),
        }
        self.state.sweep_udp();
        self.state.sweep_drops();
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
