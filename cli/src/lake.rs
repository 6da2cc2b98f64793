//! `hindcast lake`: who writes to the lake that recorders share.

use std::fmt::Write as _;

use hindcast_storage::{LakeView, RecorderStatus, lake_view, retire};

use crate::args::{LakeArgs, LakeCommand};
use crate::exit;
use crate::human;
use crate::setup::{self, Common, Voice};
use crate::terminal::printable;

/// Runs the command.
///
/// # Errors
/// The configuration has problems, or the shared catalogue does not answer.
pub(crate) fn run(command: &LakeCommand, common: &Common) -> anyhow::Result<u8> {
    let (LakeCommand::Status(LakeArgs { config }) | LakeCommand::Retire { lake: LakeArgs { config }, .. }) = command;
    let storage = common.settings(Voice::Tool, setup::inputs(config.as_ref(), None))?.storage;
    if !storage.lake.is_on() {
        return Err(exit::usage("storage.lake.catalog is not set: no lake is shared".to_owned()));
    }
    setup::block_on(async {
        let text = match command {
            LakeCommand::Status(_) => text(&lake_view(&storage).await?),
            LakeCommand::Retire { recorder, .. } => {
                retire(&storage, recorder).await?;
                format!("{} is retired: its segments stay, and it publishes nothing any more\n", printable(recorder))
            }
        };
        crate::print(&text)?;
        Ok(exit::DONE)
    })
}

fn text(view: &LakeView) -> String {
    let mut text = String::new();
    for RecorderStatus { recorder, seen_at, named_until, retired_at } in &view.recorders {
        let (until, seen) = (human::time(*named_until), human::time(*seen_at));
        let state = retired_at.map_or_else(String::new, |at| format!(", retired {}", human::time(at)));
        let _infallible =
            writeln!(text, "recorder {}: all until {until}, last seen {seen}{state}", printable(recorder));
    }
    for source in &view.sources {
        let reader = source.recorder.as_deref().map_or("nobody".into(), printable);
        let _infallible = writeln!(text, "bucket {}: read by {reader}", printable(&source.source));
    }
    if text.is_empty() {
        text.push_str("nobody has written to this lake yet\n");
    }
    text
}
