//! `hindcast sensors`: what the kernel of this host lets us see.

use hindcast_bpf_sensors::capability::State;
use hindcast_bpf_sensors::{Config, Origin};

use crate::args::SensorsCommand;
use crate::exit;
use crate::setup::{self, Common, Voice};

/// Runs the command.
///
/// # Errors
/// The configuration has problems.
pub(crate) fn run(command: &SensorsCommand, common: &Common) -> anyhow::Result<u8> {
    let SensorsCommand::Check { config } = command;
    let settings = common.settings(Voice::Tool, setup::inputs(config.as_ref(), None))?;
    let report = hindcast_bpf_sensors::check(&settings.sensors);
    crate::print(&report.to_string())?;
    let is_whole = |state: &State| matches!(state, State::Available | State::Off);
    let is_all_there = report.capabilities.iter().all(|capability| is_whole(&capability.state));
    Ok(if is_all_there { exit::DONE } else { exit::FAILED })
}

/// Where the rows of this host's sensors come from; `source` is told the name of the node.
pub(crate) fn origin(config: &Config, source: impl FnOnce(&str) -> String) -> Origin {
    let node = if config.node.is_empty() { host_name() } else { config.node.clone() };
    Origin { cluster: config.cluster.clone(), source: source(&node), node }
}

/// The name of this host, as the kernel has it.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_bear_the_names_that_are_set_or_the_host_name() {
        let named = Config { cluster: "prod".to_owned(), node: "web-1".to_owned(), ..Config::default() };
        let named = origin(&named, |node| format!("sensor/{node}"));
        assert_eq!((named.cluster.as_str(), named.node.as_str()), ("prod", "web-1"));
        assert_eq!(named.source, "sensor/web-1");
        let host = origin(&Config::default(), |_node| "sensors".to_owned());
        assert_eq!((host.cluster.as_str(), host.node), ("", host_name()));
    }
}
