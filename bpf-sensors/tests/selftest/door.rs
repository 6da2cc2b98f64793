//! The same script, watched by `hindcast up` and read back from its data directory: what a user has in the end.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use arrow::ipc::reader::StreamReader;
use hindcast_bpf_sensors::{Config, check};
use hindcast_model::{Batch, TableId};

use crate::recorded::Recorded;
use crate::{Script, obstacle, quiet, skip};

/// How long the server may take to begin and to end.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn what_was_done_is_what_hindcast_up_recorded() {
    let _quiet = quiet();
    let test = "what_was_done_is_what_hindcast_up_recorded";
    let report = check(&Config::default());
    if let Some(obstacle) = obstacle(&report) {
        return skip(test, &obstacle);
    }
    let Some(binary) = std::env::var_os("HINDCAST_BIN") else {
        return skip(test, "HINDCAST_BIN does not name the binary; `make test` does");
    };
    let binary = Path::new(&binary);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "x").unwrap();
    let config = folder.path().join("config.toml");
    let settings = format!("[sensors]\nfiles.watch = [{secret:?}]\nsockets.sweep_interval = \"1s\"\n");
    std::fs::write(&config, settings).unwrap();
    let data_dir = folder.path().join("data");
    let mut server = up(binary, &config, &data_dir);
    let script = Script::run(folder.path());
    stop(&mut server);
    let tables = [TableId::RuntimeEvents, TableId::Flows, TableId::Losses];
    let recorded = Recorded::new(tables.into_iter().flat_map(|table| export(binary, &data_dir, table)));
    script.compare(&recorded, &report);
    assert_eq!(recorded.losses(), Vec::<String>::new(), "nothing is lost on a machine with nothing to do");
}

/// Starts the server and waits until it says that it is ready.
fn up(binary: &Path, config: &Path, data_dir: &Path) -> Child {
    let out = data_dir.with_extension("out");
    let mut command = Command::new(binary);
    command.args(["up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--config"]).arg(config);
    command.arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    command.stdout(File::create(&out).unwrap()).stderr(File::create(data_dir.with_extension("log")).unwrap());
    let mut server = command.spawn().unwrap();
    let is_ready = || std::fs::read_to_string(&out).is_ok_and(|text| text.ends_with("ready\n"));
    wait(&mut server, "begin", |server| {
        assert_eq!(server.try_wait().unwrap(), None, "the server ended");
        is_ready()
    });
    server
}

fn stop(server: &mut Child) {
    let asked = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(asked.success());
    wait(server, "end", |server| server.try_wait().unwrap().is_some_and(|status| status.success()));
}

fn wait(server: &mut Child, what: &str, mut is_so: impl FnMut(&mut Child) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so(server) {
        assert!(Instant::now() < until, "the server did not {what} in time");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// All rows of a table, as `hindcast export` writes them.
fn export(binary: &Path, data_dir: &Path, table: TableId) -> Vec<Batch> {
    let file = data_dir.with_extension(table.name());
    let mut command = Command::new(binary);
    command.args(["export", "--format", "arrow", "--table", table.name(), "--out"]).arg(&file);
    let said = command.arg("--data-dir").arg(data_dir).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let reader = StreamReader::try_new(File::open(file).unwrap(), None).unwrap();
    reader.map(|records| Batch { table, records: records.unwrap() }).collect()
}
