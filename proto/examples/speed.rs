//! Prints how fast lines and wire bytes become columns, per core: `speed FILE...`, one JSON document a line.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::io::Error;
use std::time::{Duration, Instant};

use hindcast_model::tables::flows;
use hindcast_model::{SourceKind, Timestamp};
use hindcast_proto::json::{Message, from_wire, to_wire};
use hindcast_proto::{EventBuilders, Origin, hubble, line};

const ORIGIN: Origin<'static> =
    Origin { kind: SourceKind::Hubble, source: "speed", recorded_at: Timestamp::from_nanos(0) };
const FOR_AT_LEAST: Duration = Duration::from_secs(2);
/// Rows in a batch, as an importer would have them.
const BATCH: usize = 8192;

fn main() -> Result<(), Error> {
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path)?;
        let lines: Vec<&[u8]> = text.lines().filter(|line| line.ends_with('}')).map(str::as_bytes).collect();
        let n_bytes: usize = lines.iter().map(|line| line.len()).sum();
        println!("{path}: {} lines, {n_bytes} bytes", lines.len());

        let mut builders = EventBuilders::default();
        let mut scratch = Vec::new();
        measure("line to columns", lines.len(), n_bytes, || {
            for line in &lines {
                scratch.clear();
                scratch.extend_from_slice(line);
                line::decode_line(&mut scratch, &ORIGIN, &mut builders).map_err(Error::other)?;
                if builders.n_rows() == BATCH {
                    builders.finish().map_err(Error::other)?;
                }
            }
            Ok(())
        })?;

        let mut messages = Vec::new();
        measure("JSON to wire", lines.len(), n_bytes, || {
            messages.clear();
            for line in &lines {
                scratch.clear();
                scratch.extend_from_slice(line);
                let mut wire = Vec::with_capacity(1024);
                to_wire(Message::ExportEvent, &mut scratch, &mut wire).map_err(Error::other)?;
                messages.push(wire);
            }
            Ok(())
        })?;

        let n_wire: usize = messages.iter().map(Vec::len).sum();
        measure("wire to columns", lines.len(), n_wire, || {
            for message in &messages {
                if hubble::decode_response(message, &ORIGIN, &mut builders).is_err() {
                    return Ok(());
                }
                if builders.n_rows() == BATCH {
                    builders.finish().map_err(Error::other)?;
                }
            }
            Ok(())
        })?;
        from_columns(&messages, n_wire)?;
    }
    Ok(())
}

fn from_columns(messages: &[Vec<u8>], n_wire: usize) -> Result<(), Error> {
    let mut builders = EventBuilders::default();
    for message in messages {
        hubble::decode_response(message, &ORIGIN, &mut builders).map_err(Error::other)?;
    }
    let batches = builders.finish().map_err(Error::other)?;
    let Some(batch) = batches.first() else { return Ok(()) };
    let view = flows::View::new(&batch.records).map_err(Error::other)?;
    let mut out = Vec::new();
    measure("columns to wire", messages.len(), n_wire, || {
        for row in 0..view.n_rows() {
            out.clear();
            hubble::encode_response(&view, row, &mut out);
        }
        Ok(())
    })?;
    measure("wire to JSON", messages.len(), n_wire, || {
        for message in messages {
            out.clear();
            from_wire(Message::ExportEvent, message, &mut out).map_err(Error::other)?;
        }
        Ok(())
    })
}

fn measure(
    what: &str,
    n_items: usize,
    n_bytes: usize,
    mut round: impl FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    round()?;
    let (start, busy_before) = (Instant::now(), time_on_processor());
    let mut n_rounds = 0_u32;
    while start.elapsed() < FOR_AT_LEAST {
        round()?;
        n_rounds += 1;
    }
    let busy = time_on_processor().zip(busy_before).map(|(after, before)| after.saturating_sub(before));
    let seconds = busy.unwrap_or_else(|| start.elapsed()).as_secs_f64() / f64::from(n_rounds);
    let per_second = |amount: usize| f64::from(u32::try_from(amount).unwrap_or(u32::MAX)) / seconds;
    println!("  {what}: {:.0} events/s, {:.0} MB/s", per_second(n_items), per_second(n_bytes) / 1e6);
    Ok(())
}

/// How long this thread ran, where the system tells: so that a busy machine does not change the figures.
fn time_on_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}
