//! The recorded rows into ClickHouse, which shares the processors: from the start of a recorder that has sent nothing
//! yet until the last row is there.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::measure::peak_rss_mib;
use hindcast_tests::tool::{hindcast, run};
use hindcast_tests::{Options, Server, pause};

use crate::report::Report;
use crate::{fresh, rows};

/// How often to look whether all rows are there, and how long.
const LOOK: Duration = Duration::from_millis(200);
const PATIENCE: u32 = 9000;

pub(crate) fn measure(folder: &Path, data_dir: &Path, n_rows: u64, report: &mut Report) -> Result<Option<ClickHouse>> {
    let Some(clickhouse) = ClickHouse::start("bench", &fresh(folder, "clickhouse")?)? else { return Ok(None) };
    let setting = ("HINDCAST_STORAGE_CLICKHOUSE_URL".to_owned(), clickhouse.url());
    run(hindcast()?.args(["migrate", "apply"]).env(&setting.0, &setting.1))?.success()?;
    let started = Instant::now();
    let server = Server::start(data_dir, &Options { environment: vec![setting], ..Options::default() })?;
    let number = |query: &str| -> Result<u64> { clickhouse.ask(query)?.parse().context("no number") };
    let mut looks = 0;
    while number("SELECT count() FROM hindcast.flows")? < n_rows {
        looks += 1;
        if looks > PATIENCE {
            bail!("not all rows arrived:\n{}", server.said());
        }
        pause(LOOK);
    }
    let rate = rows::per_second(n_rows, started.elapsed().as_secs_f64());
    report.rate("sent to ClickHouse", "rows/s", Some(rate), None);
    report.rate("peak RSS, sending", "MiB", Some(peak_rss_mib(server.pid())?), None);
    server.stop()?;
    clickhouse.ask("OPTIMIZE TABLE hindcast.flows FINAL")?;
    let size = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'hindcast' AND table = 'flows'";
    report.rate("in ClickHouse", "bytes/flow", Some(rows::ratio(number(size)?, n_rows)), None);
    Ok(Some(clickhouse))
}
