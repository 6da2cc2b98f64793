//! `hindcast migrate`: the schema in ClickHouse.

use std::fmt::Write as _;
use std::io::Write as _;

use hindcast_storage::ClickHouseSchema;

use crate::args::{MigrateArgs, MigrateCommand};
use crate::exit;
use crate::setup::{self, Common, Voice};

/// Runs the command.
///
/// # Errors
/// The configuration has problems, the server does not answer, or its schema is from a later build.
pub(crate) fn run(command: &MigrateCommand, common: &Common) -> anyhow::Result<u8> {
    let (MigrateCommand::Plan(args) | MigrateCommand::Apply(args) | MigrateCommand::Status(args)) = command;
    let schema = schema(args, common)?;
    setup::block_on(async {
        match command {
            MigrateCommand::Plan(_) => plan(&schema).await,
            MigrateCommand::Apply(_) => apply(&schema).await,
            MigrateCommand::Status(_) => status(&schema).await,
        }
    })
}

fn schema(args: &MigrateArgs, common: &Common) -> anyhow::Result<ClickHouseSchema> {
    let settings = common.settings(Voice::Tool, setup::inputs(args.config.as_ref(), None))?;
    let config = settings.storage.validate().map_err(|error| exit::usage(error.to_string()))?;
    Ok(ClickHouseSchema::of(&config)?)
}

async fn plan(schema: &ClickHouseSchema) -> anyhow::Result<u8> {
    let steps = schema.plan().await?;
    let mut text = String::new();
    for (step, statement) in &steps {
        write!(text, "-- step {}: {}\n{};\n\n", step.version, step.name, statement.trim_end())?;
    }
    let unkept = schema.unkept().await?;
    for (table, statement) in &unkept {
        write!(text, "-- how long {} is kept\n{statement};\n\n", table.table)?;
    }
    let unspread = schema.unspread().await?;
    if !unspread.is_empty() {
        text.push_str("-- tables that reach all shards\n");
        unspread.iter().for_each(|statement| text.extend([statement.as_str(), ";\n"]));
    }
    if steps.is_empty() && unkept.is_empty() && unspread.is_empty() {
        text.push_str("-- the schema is up to date\n");
    }
    crate::print(&text)
}

async fn apply(schema: &ClickHouseSchema) -> anyhow::Result<u8> {
    let mut n_applied = 0;
    let mut stderr = std::io::stderr();
    let done = schema
        .apply(|step| {
            n_applied += 1;
            // Who cannot see the progress sees the end.
            drop(writeln!(stderr, "applied step {}: {}", step.version, step.name));
        })
        .await;
    done?;
    let mut n_kept = 0;
    let kept = schema
        .keep(|table| {
            n_kept += 1;
            drop(writeln!(stderr, "set how long {} is kept", table.table));
        })
        .await;
    kept?;
    let n_spread = schema.spread().await?;
    if n_spread > 0 {
        drop(writeln!(stderr, "made the tables that reach all shards"));
    }
    let text = match n_applied {
        0 if n_kept > 0 => "set how long rows are kept\n".to_owned(),
        0 if n_spread > 0 => "made the tables that reach all shards\n".to_owned(),
        0 => "the schema is up to date\n".to_owned(),
        1 => "1 step applied\n".to_owned(),
        n => format!("{n} steps applied\n"),
    };
    crate::print(&text)
}

async fn status(schema: &ClickHouseSchema) -> anyhow::Result<u8> {
    let steps = schema.status().await?;
    let mut text = String::new();
    for (step, is_applied) in &steps {
        writeln!(text, "{:>4}  {:<20} {}", step.version, step.name, if *is_applied { "applied" } else { "missing" })?;
    }
    let unkept = schema.unkept().await?;
    for (table, _) in &unkept {
        let shown = |ttl: &str| if ttl.is_empty() { "all rows".to_owned() } else { ttl.to_owned() };
        writeln!(text, "      keep {:<15} {}, configured: {}", table.table, shown(&table.found), shown(&table.wanted))?;
    }
    let is_spread = schema.unspread().await?.is_empty();
    if !is_spread {
        text.push_str("      tables that reach all shards: missing\n");
    }
    crate::print(&text)?;
    Ok(if is_spread && unkept.is_empty() && steps.iter().all(|(_, is_applied)| *is_applied) {
        exit::DONE
    } else {
        exit::FAILED
    })
}
