//! Prints what the sensors see, a line for each row: `watch [seconds] [column=value …]`, as root.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use hindcast_bpf_sensors::{Config, Origin, start};
use hindcast_model::{Batch, Clock, Timestamp};

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Timestamp::from_nanos(now.tv_sec * 1_000_000_000 + now.tv_nsec)
    }
}

/// Columns that say the same on every line, or nothing to a person.
const QUIET: &[&str] = &["recorded_at", "node", "source", "source_kind", "process", "parent", "rest", "start_time"];

fn print(out: &mut impl std::io::Write, batch: &Batch, wanted: &[(String, String)]) -> std::io::Result<()> {
    use std::fmt::Write as _;
    for row in 0..batch.n_rows() {
        let mut line = format!("{:<14}", batch.table.name());
        let mut found = 0;
        for (field, column) in batch.records.schema().fields().iter().zip(batch.records.columns()) {
            if arrow_is_null(column, row) {
                continue;
            }
            let text = arrow::util::display::array_value_to_string(column, row).unwrap_or_default();
            found +=
                wanted.iter().filter(|(name, value)| name == field.name() && text.contains(value.as_str())).count();
            if !QUIET.contains(&field.name().as_str()) {
                write!(line, " {}={text}", field.name()).map_err(std::io::Error::other)?;
            }
        }
        if found == wanted.len() {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn arrow_is_null(column: &arrow::array::ArrayRef, row: usize) -> bool {
    use arrow::array::Array as _;
    column.is_null(row)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(10), |text| text.parse::<u64>())?;
    let wanted: Vec<(String, String)> = arguments
        .filter_map(|text| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let (sender, receiver) = sync_channel(256);
    let origin = Origin { node: "here".to_owned(), source: "watch".to_owned(), ..Origin::default() };
    let sensors = start(&Config::default(), origin, Arc::new(SystemClock), Box::new(sender))?;
    let mut out = std::io::stdout().lock();
    write!(out, "{}", sensors.report())?;
    let end = Instant::now() + Duration::from_secs(seconds);
    while let Ok(batch) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
        print(&mut out, &batch, &wanted)?;
    }
    let counters = sensors.counters();
    sensors.stop();
    for batch in receiver.try_iter() {
        print(&mut out, &batch, &wanted)?;
    }
    writeln!(out, "{counters:?}")?;
    Ok(())
}
