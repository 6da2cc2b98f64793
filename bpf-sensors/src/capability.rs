//! What this kernel lets us see, sensor by sensor, and why not where it does not. Pure facts; printing is `Display`.

use std::fmt;

/// One thing that is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sensor {
    /// Starts of programs.
    Exec,
    /// New processes.
    Fork,
    /// Ends of processes.
    Exit,
    /// Processes that ran before the sensors did.
    RunningProcesses,
    /// New cgroups, and tasks that move between them.
    Cgroups,
    /// Changes of credentials, capabilities and namespaces.
    Privileges,
    /// Files that are opened.
    Files,
    /// TCP connections and listeners.
    Connections,
    /// Processes that accept connections.
    AcceptOwners,
    /// Sockets that stand open.
    OpenSockets,
    /// UDP flows, and what is said in DNS, HTTP and the hellos of TLS.
    Packets,
    /// Processes that own UDP sockets.
    UdpOwners,
    /// Dropped packets, with reasons.
    Drops,
}

impl Sensor {
    /// Every sensor, in the order of declaration.
    pub const ALL: [Self; 13] = [
        Self::Exec,
        Self::Fork,
        Self::Exit,
        Self::RunningProcesses,
        Self::Cgroups,
        Self::Privileges,
        Self::Files,
        Self::Connections,
        Self::AcceptOwners,
        Self::OpenSockets,
        Self::Packets,
        Self::UdpOwners,
        Self::Drops,
    ];

    /// Its name in reports and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Fork => "fork",
            Self::Exit => "exit",
            Self::RunningProcesses => "running-processes",
            Self::Cgroups => "cgroups",
            Self::Privileges => "privileges",
            Self::Files => "files",
            Self::Connections => "connections",
            Self::AcceptOwners => "accept-owners",
            Self::OpenSockets => "open-sockets",
            Self::Packets => "packets",
            Self::UdpOwners => "udp-owners",
            Self::Drops => "drops",
        }
    }
}

/// Whether a sensor sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It sees everything it is there for.
    Available,
    /// It is switched off by configuration.
    Off,
    /// Some of its programs did not load.
    Partial {
        /// Which, and what the kernel said.
        reason: String,
    },
    /// It sees nothing.
    Missing {
        /// What stands in its way.
        reason: String,
    },
}

/// One sensor and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The sensor.
    pub sensor: Sensor,
    /// Whether it sees.
    pub state: State,
}

/// All sensors and their states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Kernel release, as `uname -r` has it.
    pub kernel: String,
    /// Sensor by sensor, in the order of [`Sensor::ALL`].
    pub capabilities: Vec<Capability>,
}

impl Report {
    /// A report where everything is missing for one reason.
    #[must_use]
    pub fn nothing(kernel: String, reason: &str) -> Self {
        let missing = |sensor| Capability { sensor, state: State::Missing { reason: reason.to_owned() } };
        Self { kernel, capabilities: Sensor::ALL.into_iter().map(missing).collect() }
    }

    /// From how each program of each sensor fared, in any order: `None` is well.
    #[must_use]
    pub fn from_programs(kernel: String, programs: &[(Sensor, &str, Outcome)]) -> Self {
        let state = |sensor| {
            let of_sensor: Vec<_> = programs.iter().filter(|(owner, _, _)| *owner == sensor).collect();
            let failed: Vec<String> = of_sensor
                .iter()
                .filter_map(|(_, program, outcome)| match outcome {
                    Outcome::Failed(reason) => Some(format!("{program}: {reason}")),
                    Outcome::Loaded | Outcome::Off => None,
                })
                .collect();
            let n_loaded = of_sensor.iter().filter(|(_, _, outcome)| *outcome == Outcome::Loaded).count();
            match (failed.is_empty(), n_loaded) {
                (true, 0) => State::Off,
                (true, _) => State::Available,
                (false, 0) => State::Missing { reason: failed.join("; ") },
                (false, _) => State::Partial { reason: failed.join("; ") },
            }
        };
        let capabilities = Sensor::ALL.into_iter().map(|sensor| Capability { sensor, state: state(sensor) }).collect();
        Self { kernel, capabilities }
    }

    /// The state of a sensor.
    #[must_use]
    pub fn state(&self, sensor: Sensor) -> Option<&State> {
        self.capabilities.iter().find(|capability| capability.sensor == sensor).map(|capability| &capability.state)
    }

    /// Whether at least one sensor sees something.
    #[must_use]
    pub fn sees_anything(&self) -> bool {
        self.capabilities.iter().any(|capability| matches!(capability.state, State::Available | State::Partial { .. }))
    }
}

/// How the loading of one program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It runs.
    Loaded,
    /// It was not asked for.
    Off,
    /// The kernel refused it.
    Failed(String),
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "kernel {}", self.kernel)?;
        for Capability { sensor, state } in &self.capabilities {
            write!(formatter, "{:<18} ", sensor.name())?;
            match state {
                State::Available => writeln!(formatter, "available")?,
                State::Off => writeln!(formatter, "off        switched off by configuration")?,
                State::Partial { reason } => writeln!(formatter, "partial    {reason}")?,
                State::Missing { reason } => writeln!(formatter, "missing    {reason}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
