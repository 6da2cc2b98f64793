//! The sensors as a whole: start, look, stop.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use hindcast_model::{Clock, Kind};

use crate::capability::Report;
use crate::clock::{Clocks, SystemBoot};
use crate::config::Config;
use crate::delivery::Delivery;
use crate::kernel::{self, LoadError};
use crate::recorder::Recorder;
use crate::rows::Origin;
use crate::sink::{Counters, Sink};

/// The sensors do not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings are wrong.
    #[error("sensors: {}", problems.join("; "))]
    Config {
        /// Everything that is wrong.
        problems: Vec<String>,
    },
    /// Nothing could be loaded.
    #[error("sensors: the kernel took none of the probes")]
    Load(#[from] LoadError),
    /// What was loaded cannot be read.
    #[error("sensors: cannot read map {map}")]
    Map {
        /// Name of the map.
        map: &'static str,
        /// What the kernel said.
        #[source]
        source: Box<aya::maps::MapError>,
    },
    /// There is no thread to be had.
    #[error("sensors: cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl StartError {
    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Config { .. } => Kind::Invalid,
            Self::Load(_) | Self::Map { .. } | Self::Thread(_) => Kind::Unavailable,
        }
    }
}

/// Sensors that run. They stop when this is stopped or dropped.
#[derive(Debug)]
pub struct Sensors {
    report: Report,
    counters: Arc<Counters>,
    /// Dropped to stop the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Loads the probes and starts the thread that reads them. What the kernel does not let us see is in the report, not an
/// error; nothing at all is one.
///
/// # Errors
/// The settings are wrong, or nothing could be loaded.
pub fn start(
    config: &Config,
    origin: Origin,
    clock: Arc<dyn Clock>,
    sink: Box<dyn Sink>,
) -> Result<Sensors, StartError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(StartError::Config { problems });
    }
    let kernel = kernel::load(config)?;
    let report = kernel.report.clone();
    let counters = Arc::new(Counters::default());
    let clocks = Clocks::new(clock, Box::new(SystemBoot));
    let delivery = Delivery::new(sink, config.pending_batches, Arc::clone(&counters));
    let recorder = Recorder::new(config.clone(), kernel, origin, clocks, delivery, Arc::clone(&counters))?;
    let (stop, stopped) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("hindcast-sense".to_owned())
        .spawn(move || recorder.run(&stopped))
        .map_err(StartError::Thread)?;
    Ok(Sensors { report, counters, stop: Some(stop), thread: Some(thread) })
}

/// What this kernel would let us see: loads everything, and lets it go again.
#[must_use]
pub fn check(config: &Config) -> Report {
    match kernel::load(config) {
        Ok(kernel) => kernel.report,
        Err(error) => Report::nothing(kernel::load::release(), &hindcast_model::report(&error)),
    }
}

impl Sensors {
    /// What the kernel lets these sensors see.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// What they did so far.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Takes the probes out of the kernel, hands over what was seen up to now, and waits for that. Blocks for as long as the
    /// sink takes, two seconds at most.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the sensors panicked");
        }
    }
}

impl Drop for Sensors {
    fn drop(&mut self) {
        self.end();
    }
}
