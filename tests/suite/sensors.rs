//! The sensors of this host through the doors a user has: what ran, who talked to whom, and what the kernel allows.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use hindcast_tests::skip::skip;
use hindcast_tests::tool::{run, run_hindcast};
use hindcast_tests::{Options, Server, http, wait_until};
use tempfile::tempdir;

use crate::judges::asked;

/// Whether the kernel takes sensors from whoever runs the tests; noted as skipped where not.
pub(crate) fn may_watch(test: &str) -> bool {
    let checked = run_hindcast(["sensors", "check"]).unwrap();
    let is_seen =
        |sensor: &str| checked.stdout.lines().any(|line| line.starts_with(sensor) && line.contains(" available"));
    if ["exec", "connections", "packets"].into_iter().all(is_seen) {
        return true;
    }
    skip(test, &format!("needs root and a kernel that takes eBPF programs: {}", checked.stdout.replace('\n', "; ")));
    false
}

/// Answers one request and ends.
pub(crate) fn answer_once(listener: TcpListener) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0_u8; 4096];
        let _n_read = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n").unwrap();
    })
}

#[test]
fn this_machine_is_recorded_and_a_process_is_found_by_what_it_talked_to() {
    const TEST: &str = "sensors::this_machine_is_recorded_and_a_process_is_found_by_what_it_talked_to";
    if !may_watch(TEST) {
        return;
    }
    let folder = tempdir().unwrap();
    let server = Server::start_watching(&folder.path().join("data"), &Options::default()).unwrap();
    let mark = format!("seen-{}", std::process::id());
    run(Command::new("sh").args(["-c", &format!("/bin/echo {mark} password=hunter2; true")]))
        .unwrap()
        .success()
        .unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = answer_once(listener);
    let said = run(Command::new("curl").args(["-s", &format!("http://127.0.0.1:{port}/{mark}?token=abc")])).unwrap();
    assert_eq!(said.success().unwrap(), "hi\n");
    answering.join().unwrap();

    let count = |query: String| move |server: &Server| asked(server, &query);
    let executed = count(format!(
        "SELECT count(*) FROM runtime_events WHERE kind = 'process_exec' AND \"binary\" LIKE '%/echo' AND arguments LIKE '%{mark}%'"
    ));
    wait_until("the program is not recorded", || executed(&server) == 1).unwrap();
    let secret = count("SELECT count(*) FROM runtime_events WHERE arguments LIKE '%hunter2%'".to_owned());
    assert_eq!(secret(&server), 0, "a password is recorded");
    let requested = count(format!(
        "SELECT count(*) FROM flows WHERE dst_port = {port} AND http_url LIKE '%/{mark}%' AND http_url NOT LIKE '%abc%'"
    ));
    wait_until("the request is not recorded", || requested(&server) > 0).unwrap();
    // Which process talked to this port, and who started it.
    let talked = count(format!(
        "SELECT count(DISTINCT process.exec_id) FROM flows
         JOIN runtime_events process ON process.exec_id = flows.src_exec_id AND process.kind = 'process_exec'
         JOIN runtime_events parent ON parent.exec_id = process.parent_exec_id
         WHERE flows.dst_port = {port} AND process.\"binary\" LIKE '%/curl'"
    ));
    wait_until("the process behind the connection is not found", || talked(&server) == 1).unwrap();
    let sources = http::get(&server.url("/api/v1/sources"), "application/json").unwrap().text();
    assert!(sources.contains(r#""kind":"sensors","state":"reading""#), "{sources}");
    let followed = run_hindcast(["observe", "--server", &server.url(""), "--runtime", "--last", "5"]).unwrap();
    assert_eq!(followed.stdout.lines().count(), 5, "{}", followed.stderr);
    server.stop().unwrap();
}

#[test]
fn what_the_kernel_allows_is_listed_with_reasons() {
    let checked = run_hindcast(["sensors", "check"]).unwrap();
    assert!(checked.stdout.starts_with("kernel "), "{checked:?}");
    let states = checked.stdout.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap());
    let n_whole = states.clone().filter(|state| ["available", "off"].contains(state)).count();
    let n_listed = states.count();
    assert!(n_listed >= 13, "{}", checked.stdout);
    assert_eq!(checked.code, Some(i32::from(n_whole < n_listed)), "{}", checked.stdout);
    let reasoned = checked.stdout.lines().filter(|line| line.contains(" missing ") || line.contains(" partial "));
    assert!(reasoned.clone().all(|line| line.split_whitespace().count() > 2), "{}", checked.stdout);
}
