//! Progress bars on stderr, where stderr is a terminal; elsewhere nothing is drawn.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// A bar over bytes, with rate and time to go.
pub(crate) fn bytes(total: u64) -> ProgressBar {
    bar(total, "{spinner} {wide_msg} {bar:24} {bytes}/{total_bytes}  {binary_bytes_per_sec}  ETA {eta}")
}

/// A bar over things of that name.
pub(crate) fn count(total: u64, noun: &str) -> ProgressBar {
    bar(
        total,
        &format!("{{spinner}} {{wide_msg}} {{bar:24}} {{human_pos}}/{{human_len}} {noun}  {{per_sec}}  ETA {{eta}}"),
    )
}

fn bar(total: u64, template: &str) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    if !bar.is_hidden() {
        bar.enable_steady_tick(REDRAW_INTERVAL);
    }
    bar
}
