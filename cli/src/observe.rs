//! `hindcast observe`: recorded flows and runtime events as lines, tables or JSON.

mod flow;
mod names;
mod printer;
mod runtime;

use std::io::Write as _;

use anyhow::Context as _;
use hindcast_model::{TableId, Timestamp};

use crate::args::ObserveArgs;
use crate::ask::{Asker, Pick, Question};
use crate::human;
use crate::setup::{self, Common};
use crate::{exit, time_input};
use printer::Printer;

/// How many are shown when nothing is said, as in the `hubble` CLI.
const DEFAULT_LAST: u64 = 20;

/// Runs the command.
///
/// # Errors
/// The filter or a time is wrong, or the place cannot be read.
pub(crate) fn run(args: &ObserveArgs, common: &Common) -> anyhow::Result<u8> {
    let now = setup::clock().now();
    let question = question(args, now)?;
    if args.follow && args.place.data_dir.is_some() {
        return Err(exit::usage(
            "--follow needs a running server: nothing is added to a data directory that is read directly",
        ));
    }
    setup::block_on(async {
        let asker = Asker::open(&args.place, common).await?;
        let result = show(&asker, question, args, common).await;
        asker.close().await;
        result
    })
}

async fn show(asker: &Asker, question: Question, args: &ObserveArgs, common: &Common) -> anyhow::Result<u8> {
    let look = flow::Look { palette: common.palette(), has_names: !args.numeric, has_node: args.print_node_name };
    let mut printer = Printer::new(question.table, args.output, look);
    let mut rows = if args.follow { asker.follow(question).await? } else { asker.events(question).await? };
    while let Some(records) = rows.next().await? {
        printer.write(&records)?;
        if args.follow {
            printer.flush()?;
        }
    }
    printer.end()?;
    if let Some(cut) = rows.cut() {
        writeln!(std::io::stderr(), "cut: {cut}").context("cannot write to stderr")?;
    }
    Ok(exit::DONE)
}

/// What is asked.
fn question(args: &ObserveArgs, now: Timestamp) -> anyhow::Result<Question> {
    let time = |name: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => time_input::parse(text, now).map(Some).map_err(|error| exit::usage(format!("--{name} {error}"))),
    };
    let (since, until) = (time("since", &args.since)?, time("until", &args.until)?);
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        let (since, until) = (human::time(since), human::time(until));
        return Err(exit::usage(format!("--until {until} is before --since {since}")));
    }
    let pick = match (args.last, args.first) {
        (Some(n), _) => Pick::Newest(n),
        (_, Some(n)) => Pick::Oldest(n),
        _ if args.all || since.is_some() || until.is_some() => Pick::All,
        _ if args.follow => Pick::Newest(0),
        _ => Pick::Newest(DEFAULT_LAST),
    };
    let table = if args.runtime { TableId::RuntimeEvents } else { TableId::Flows };
    Ok(Question { table, filter: filter(args), since, until, pick })
}

/// The terms and what the flags add to them, as one filter.
fn filter(args: &ObserveArgs) -> String {
    let mut terms: Vec<String> = args.filter.iter().map(|term| term.trim().to_owned()).collect();
    for (key, values) in [("ns", &args.namespace), ("pod", &args.pod), ("verdict", &args.verdict)] {
        if !values.is_empty() {
            terms.push(format!("{key}:{}", values.join(",")));
        }
    }
    terms.join(" ")
}

/// When it was observed, as `hubble observe` prints it.
fn time(nanos: Option<i64>) -> String {
    nanos.map_or_else(|| "N/A".to_owned(), |nanos| human::stamp(Timestamp::from_nanos(nanos)))
}

#[cfg(test)]
mod tests;
