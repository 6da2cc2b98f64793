//! The `hindcast` program: reads the command line and the configuration, builds the parts, joins them, waits, stops
//! them in order.
//!
//! The only place with a system clock, with `anyhow`, and that reads the environment. A library so that tests reach
//! it; [`main`] is the program.
#![forbid(unsafe_code)]

pub mod args;
mod ask;
mod caret;
mod clock;
mod cluster;
pub mod config;
mod demo;
mod exit;
mod export;
mod flight;
pub mod generate;
mod human;
mod import;
mod inspect;
mod lake;
mod lines;
pub mod logging;
mod migrate;
mod notify;
mod observe;
mod plan;
mod progress;
mod rows;
mod sensor;
mod sensors;
mod server;
mod setup;
mod shutdown;
mod sql;
mod status;
mod table;
mod terminal;
mod tier;
mod time_input;
mod up;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command, ConfigCommand};
use setup::Common;

/// Runs the program with its arguments, the first of them its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args::terms::shield(arguments)) {
        Ok(cli) => cli,
        Err(error) => {
            let is_wrong = error.use_stderr();
            // Help, a version or a usage error: nobody is left to tell when the stream is closed.
            drop(error.print());
            return ExitCode::from(if is_wrong { exit::USAGE } else { exit::DONE });
        }
    };
    exit::conclude(run(cli))
}

fn run(cli: Cli) -> anyhow::Result<u8> {
    let common = Common { color: cli.color, log: cli.log };
    match cli.command {
        Command::Up(args) => up::up(&args, &common),
        Command::Serve(args) => up::serve(&args, &common),
        Command::Sensor(args) => sensor::run(&args, &common),
        Command::Sensors(command) => sensors::run(&command, &common),
        Command::Lake(command) => lake::run(&command, &common),
        Command::Import(args) => import::run(&args, &common),
        Command::Observe(args) => observe::run(&args, &common),
        Command::Sql(args) => sql::run(args, &common),
        Command::Status(args) => status::run(&args, &common),
        Command::Inspect(args) => inspect::run(&args, &common),
        Command::Export(args) => export::run(&args, &common),
        Command::Demo(args) => demo::run(&args, &common),
        Command::Migrate(command) => migrate::run(&command, &common),
        Command::Tier(command) => tier::run(&command, &common),
        Command::Plan(args) => plan::run(&args),
        Command::Config(ConfigCommand::Check { file }) => check_config(file),
        Command::Config(ConfigCommand::Reference) => print(config::REFERENCE),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hindcast", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(exit::DONE)
        }
    }
}

fn print(text: &str) -> anyhow::Result<u8> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(exit::DONE)
}

fn check_config(file: Option<std::path::PathBuf>) -> anyhow::Result<u8> {
    let what = file.as_ref().map_or_else(|| "the environment".to_owned(), |file| file.display().to_string());
    match config::load(config::Inputs::of_environment(file)) {
        Ok(loaded) => {
            let warnings: String = loaded.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            print(&format!("{warnings}{what}: no problems\n"))
        }
        Err(problems) => Err(exit::usage(problems.to_string())),
    }
}

#[cfg(test)]
mod tests;
