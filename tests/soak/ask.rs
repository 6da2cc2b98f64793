//! Questions, one after the other, all the while.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hindcast_tests::{http, pause};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const ARROW: &str = "application/vnd.apache.arrow.stream";
/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// How long answers took, by question, in the order of time.
pub(crate) struct Asked(Vec<(&'static str, Vec<f64>)>);

/// Asks until cancelled.
pub(crate) fn ask(base: &str, cancel: &CancellationToken) -> Result<Asked> {
    let names = ["last 20", "denied, last 100", "count of a minute", "histogram of 10 minutes", "map of the hour"];
    let mut asked = Asked(names.map(|name| (name, Vec::new())).into());
    let mut round = 0;
    while !cancel.is_cancelled() {
        pause(PAUSE);
        let now = crate::now()?.as_secs();
        let since = |seconds: u64| format!("time >= to_timestamp({}) AND time < to_timestamp({now})", now - seconds);
        let position = round % names.len();
        round += 1;
        let began = Instant::now();
        let answer = match position {
            0 => http::get(&format!("{base}/api/v1/flows?limit=20"), ARROW)?,
            1 => http::get(&format!("{base}/api/v1/flows?limit=100&filter=verdict:dropped"), ARROW)?,
            2 => sql(base, &format!("SELECT count(*) FROM flows WHERE {}", since(60)))?,
            3 => sql(
                base,
                &format!(
                    "SELECT time_bucket('1m', time) AS t, verdict, sum(flows) FROM edges_1m WHERE {} GROUP BY 1, 2",
                    since(600)
                ),
            )?,
            _ => sql(
                base,
                &format!(
                    "SELECT src_workload, dst_workload, port, verdict, sum(flows) FROM edges_1h WHERE {} \
                     GROUP BY 1, 2, 3, 4",
                    since(3600)
                ),
            )?,
        };
        ensure!(answer.status == 200, "status {}: {}", answer.status, answer.text());
        if let Some((_, times)) = asked.0.get_mut(position) {
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(asked)
}

fn sql(base: &str, query: &str) -> Result<http::Answer> {
    http::post(&format!("{base}/api/v1/sql"), ARROW, &json!({ "query": query }))
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "\n{:<26} {:>6} {:>12} {:>12} {:>12}",
            "question", "asked", "median ms", "p95 ms", "slowest ms"
        )?;
        for (name, times) in &self.0 {
            let mut times = times.clone();
            times.sort_by(f64::total_cmp);
            let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
            let [median, late, last] = [50, 95, 100].map(|part| at(part).unwrap_or_default());
            writeln!(formatter, "{name:<26} {:>6} {median:>12.1} {late:>12.1} {last:>12.1}", times.len())?;
        }
        Ok(())
    }
}
