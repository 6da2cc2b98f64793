//! `hindcast sensor --to`: what this host does arrives at a server once, whatever ends in between.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use arrow::array::RecordBatch;
use hindcast_model::TableId;
use hindcast_model::tables::losses;
use hindcast_tests::tool::run;
use hindcast_tests::{Options, Sensor, Server, flight, pause, wait_until};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::judges::asked;
use crate::sensors::may_watch;

/// Runs so many programs that bear the mark and a number.
fn work(mark: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        run(Command::new("/bin/echo").arg(format!("{mark}-{number:04}"))).unwrap().success().unwrap();
    }
}

fn n_rows(server: &Server, mark: &str) -> u64 {
    asked(
        server,
        &format!("SELECT count(*) FROM runtime_events WHERE kind = 'process_exec' AND arguments LIKE '%{mark}-%'"),
    )
}

/// A server that takes what is pushed to it, the folder that its data lie in, and the place of a spool. `None`, noted as
/// skipped, where the kernel takes no sensors.
fn lab(test: &str) -> Option<(Server, TempDir, PathBuf)> {
    if !may_watch(test) {
        return None;
    }
    let folder = tempdir().unwrap();
    let server = Server::start_serving(&folder.path().join("data"), &Options::default()).unwrap();
    let spool = folder.path().join("spool");
    Some((server, folder, spool))
}

/// A sensor that is asked to stop has nothing left to send.
fn stop_empty(sensor: Sensor) {
    let ended = sensor.stop().unwrap();
    assert!(ended.contains("everything that was seen is at the server"), "{ended}");
}

/// Each program of the mark was recorded, and none of them twice.
fn assert_each_once(server: &Server, mark: &str, n_programs: u64) {
    assert_eq!(n_rows(server, mark), n_programs);
    let distinct = |column: &str| {
        format!(
            "SELECT count(DISTINCT {column}) FROM runtime_events WHERE kind = 'process_exec' AND arguments LIKE '%{mark}-%'"
        )
    };
    assert_eq!(asked(server, &distinct("exec_id")), n_programs);
    assert_eq!(asked(server, &distinct("arguments")), n_programs);
}

/// No row of this node is there twice.
fn assert_no_doubles(server: &Server) {
    let doubles = "SELECT count(*) FROM (SELECT 1 FROM runtime_events WHERE kind IN ('process_exec', 'process_exit')
                   GROUP BY time, kind, exec_id, pid, tid HAVING count(*) > 1)";
    assert_eq!(asked(server, doubles), 0, "rows are recorded twice");
}

/// One row of table `losses` for each detail, as a sensor pushes it.
fn reports(details: &[&str]) -> RecordBatch {
    let mut builder = losses::Builder::default();
    for detail in details {
        let row = builder.row();
        builder.time.set(row, 1_700_000_000_000_000_000);
        builder.recorded_at.set(row, 1);
        builder.source_kind.set(row, "sensor");
        builder.stage.set(row, "spool");
        builder.reason.set(row, "full");
        builder.count.set(row, 1);
        builder.detail.set(row, detail);
        builder.commit();
    }
    builder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_known_by_what_they_say_and_never_by_their_position() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_serving(&data, &Options::default()).unwrap();
    let doors = server.doors();
    let push = async |details: &[&str], position: u64| {
        let messages = flight::encode(TableId::Losses, vec![reports(details)]).await.unwrap();
        let messages = flight::saying(messages, &json!({ "source": "sensor/n", "position": position }));
        let mut pusher = flight::Pusher::connect(&format!("http://127.0.0.1:{}", doors.1)).await.unwrap();
        let (_, acknowledged) = pusher.push(messages).await.unwrap();
        let said: Value = serde_json::from_slice(&acknowledged[0]).unwrap();
        ["recorded", "deduplicated", "rejected", "position"].map(|name| said[name].as_u64().unwrap())
    };
    assert_eq!(push(&["a", "b"], 7).await, [2, 0, 0, 7]);
    assert_eq!(push(&["a", "b"], 7).await, [0, 2, 0, 7], "the acknowledgement was lost");
    assert_eq!(push(&["b", "c"], 7).await, [1, 1, 0, 7], "a position that is known says nothing of the rows");
    assert_eq!(push(&["d"], 1).await, [1, 0, 0, 1], "a spool that begins anew is as good");
    server.kill().unwrap();
    let server = Server::start_serving_at(doors, &data, &Options::default()).unwrap();
    assert_eq!(push(&["a", "b", "c", "d"], 8).await, [0, 4, 0, 8], "a server that began anew still knows them");
    assert_eq!(asked(&server, "SELECT count(*) FROM losses WHERE source = 'sensor/n' OR stage = 'spool'"), 4);
    server.stop().unwrap();
}

#[test]
fn a_wrong_token_keeps_everything_until_it_is_right() {
    const TEST: &str = "sensor::a_wrong_token_keeps_everything_until_it_is_right";
    if !may_watch(TEST) {
        return;
    }
    let folder = tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "wrong").unwrap();
    let secret = ("HINDCAST_WEB_AUTH_TOKEN".to_owned(), "right".to_owned());
    let options = Options { environment: vec![secret], ..Options::default() };
    let data = folder.path().join("data");
    let server = Server::spawn(&data, &options).unwrap();
    let spool = folder.path().join("spool");
    let arguments = ["--token-file", &token.display().to_string()];
    let sensor = Sensor::start(&server.grpc_address(), &spool, &arguments).unwrap();
    let mark = format!("secret-{}", std::process::id());
    work(&mark, 0..5);
    wait_until("nobody says that the token is wrong", || sensor.said().contains("Unauthenticated")).unwrap();
    wait_until("the programs are not spooled", || sensor.has_spooled(&format!("{mark}-0004"))).unwrap();
    std::fs::write(&token, "right").unwrap();
    wait_until("the server is not reached", || sensor.said().contains("takes batches again")).unwrap();
    stop_empty(sensor);
    server.stop().unwrap();
    let server = Server::start(&data, &Options::default()).unwrap();
    assert_each_once(&server, &mark, 5);
}

#[test]
fn what_a_host_does_arrives_once() {
    const TEST: &str = "sensor::what_a_host_does_arrives_once";
    let Some((server, _folder, spool)) = lab(TEST) else { return };
    let node = ["--cluster", "lab", "--node", "bench-1"];
    let sensor = Sensor::start(&server.grpc_address(), &spool, &node).unwrap();
    assert!(sensor.printed().contains("sending to http://127.0.0.1:"), "{}", sensor.printed());
    let mark = format!("once-{}", std::process::id());
    work(&mark, 0..40);
    wait_until("the programs are not recorded", || n_rows(&server, &mark) >= 40).unwrap();
    stop_empty(sensor);
    assert_each_once(&server, &mark, 40);
    assert_no_doubles(&server);
    let named = format!(
        "SELECT count(*) FROM runtime_events WHERE arguments LIKE '%{mark}-%' AND kind = 'process_exec'
         AND node = 'bench-1' AND cluster = 'lab' AND source = 'sensor/bench-1'"
    );
    assert_eq!(asked(&server, &named), 40);
    server.stop().unwrap();
}

#[test]
fn neither_the_server_nor_the_sensor_has_to_live_long() {
    const TEST: &str = "sensor::neither_the_server_nor_the_sensor_has_to_live_long";
    let Some((server, folder, spool)) = lab(TEST) else { return };
    let data = folder.path().join("data");
    let (doors, to) = (server.doors(), server.grpc_address());
    let mark = format!("twice-{}", std::process::id());
    let spooled = |sensor: &Sensor, number: u32| {
        let text = format!("{mark}-{number:04}");
        wait_until("a program is not spooled", || sensor.has_spooled(&text)).unwrap();
    };

    let sensor = Sensor::start(&to, &spool, &[]).unwrap();
    work(&mark, 0..20);
    // In the middle of it all: some rows are on the wire, and some acknowledgements are not.
    spooled(&sensor, 19);
    server.kill().unwrap();
    work(&mark, 20..40);
    spooled(&sensor, 39);
    sensor.kill().unwrap();

    // Nobody is there to take it; another sensor finds what the first one left.
    let sensor = Sensor::start(&to, &spool, &[]).unwrap();
    work(&mark, 40..60);
    spooled(&sensor, 59);
    let left = sensor.stop().unwrap();
    assert!(left.contains("not sent: "), "{left}");

    let server = Server::start_serving_at(doors, &data, &Options::default()).unwrap();
    let sensor = Sensor::start(&to, &spool, &[]).unwrap();
    work(&mark, 60..80);
    wait_until("the server has not got everything", || n_rows(&server, &mark) >= 80).unwrap();
    sensor.kill().unwrap();
    // The marker is forgotten: all that is still on disk is sent again, and told as repeats.
    let _none = std::fs::remove_file(spool.join("acknowledged"));
    let sensor = Sensor::start(&to, &spool, &[]).unwrap();
    work(&mark, 80..81);
    wait_until("the last program is not recorded", || n_rows(&server, &mark) >= 81).unwrap();
    stop_empty(sensor);
    assert_each_once(&server, &mark, 81);
    assert_no_doubles(&server);
    assert_eq!(asked(&server, "SELECT count(*) FROM losses WHERE stage = 'spool' AND reason = 'full'"), 0);
    server.stop().unwrap();
}

#[test]
fn what_a_small_spool_cannot_hold_is_counted_at_the_server() {
    const TEST: &str = "sensor::what_a_small_spool_cannot_hold_is_counted_at_the_server";
    let Some((server, folder, spool)) = lab(TEST) else { return };
    let data = folder.path().join("data");
    let (doors, to) = (server.doors(), server.grpc_address());
    server.kill().unwrap();
    let sensor = Sensor::start(&to, &spool, &["--spool-size", "64KiB"]).unwrap();
    let mark = format!("small-{}", std::process::id());
    wait_until("nothing is lost", || {
        work(&mark, 0..50);
        spool.join("lost").exists()
    })
    .unwrap();
    let log_size = |path: PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let files = std::fs::read_dir(&spool).unwrap().map(|file| file.unwrap().path());
    let n_bytes: u64 = files.filter(|path| path.extension().is_some_and(|end| end == "log")).map(log_size).sum();
    assert!(n_bytes <= 64 << 10, "the spool takes {n_bytes} bytes");
    // What is counted outlives the process.
    sensor.kill().unwrap();
    let sensor = Sensor::start(&to, &spool, &["--spool-size", "64KiB"]).unwrap();
    let server = Server::start_serving_at(doors, &data, &Options::default()).unwrap();
    let lost = "SELECT coalesce(sum(count), 0) FROM losses WHERE stage = 'spool' AND reason = 'full'
                AND detail IN ('runtime_events', 'flows', 'losses')";
    wait_until("the loss is not told", || asked(&server, lost) > 0).unwrap();
    // And it goes on: what comes now arrives.
    pause(Duration::from_secs(1));
    let after = format!("after-{}", std::process::id());
    work(&after, 0..3);
    wait_until("nothing arrives any more", || n_rows(&server, &after) == 3).unwrap();
    sensor.stop().unwrap();
    server.stop().unwrap();
}
