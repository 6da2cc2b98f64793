//! Chaos in its short form: every kind of fault once. `make chaos` goes on for longer.
//!
//! `HINDCAST_SEED` repeats a run.

use std::time::Duration;

use hindcast_tests::chaos::{Plan, play};
use tempfile::tempdir;

use crate::crash::setting;

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn every_acknowledged_row_is_in_both_tiers_once_whatever_happens() {
    let seed = setting("HINDCAST_SEED", 20_260_822);
    println!("HINDCAST_SEED={seed}");
    let folder = tempdir().unwrap();
    let plan = Plan {
        seed,
        length: Duration::from_secs(35),
        folder: folder.path().to_path_buf(),
        name: "chaos::every_acknowledged_row_is_in_both_tiers_once_whatever_happens",
    };
    let outcome = match play(&plan).await {
        Ok(None) => return,
        Ok(Some(outcome)) if outcome.differences.is_empty() => outcome,
        failed => panic!("seed {seed}, what there is lies in {}: {failed:#?}", folder.keep().display()),
    };
    println!("{}", outcome.report);
    assert!(outcome.n_faults > 5 && outcome.n_acknowledged > 1000, "hardly anything happened:\n{}", outcome.report);
}
