//! A test that cannot run says so: its name and reason go to the file that `HINDCAST_SKIPS` names, which `make test`
//! prints at the end, and to standard error.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Notes that the test of that name could not run, and why. The caller returns.
pub fn skip(test: &str, reason: &str) {
    let mut stderr = std::io::stderr();
    let printed = writeln!(stderr, "skipped: {test}: {reason}");
    debug_assert!(printed.is_ok(), "standard error takes every line");
    let Some(path) = std::env::var_os("HINDCAST_SKIPS") else { return };
    let line = format!("{test}\t{}\n", reason.replace(['\n', '\t'], " "));
    let noted =
        OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = noted {
        let printed = writeln!(stderr, "cannot write {}: {error}", path.display());
        debug_assert!(printed.is_ok(), "standard error takes every line");
    }
}
