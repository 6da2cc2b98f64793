//! `hindcast sensors`: what the kernel of this host lets us see.

use hindcast_bpf_sensors::capability::State;

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
