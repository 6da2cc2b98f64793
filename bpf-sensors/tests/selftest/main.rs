//! The sensors on the kernel of this machine: a scripted workload, and a comparison of what was recorded with the script's
//! own list. Skips, and says why, where the kernel or the user does not allow it.
#![cfg(test)]

mod door;
mod frames;
mod objects;
mod recorded;
mod talk;
mod wire;
mod worker;
mod world;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use hindcast_bpf_sensors::capability::{Sensor, State};
use hindcast_bpf_sensors::{Config, Origin, Report, check, start};

use recorded::{Recorded, Row};
use world::{Child, SystemClock, World};

/// Address of the service that is translated to the server.
const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const SHELLS: u32 = 20;

/// Held by tests that ask for a machine on which nobody floods what all of them watch.
static QUIET: RwLock<()> = RwLock::new(());

/// Waits until nobody floods. A test that failed meanwhile is no reason to fail.
fn quiet() -> RwLockReadGuard<'static, ()> {
    QUIET.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until nobody asks for quiet, and for whoever floods: a test that knows all that there is to be lost.
fn alone() -> RwLockWriteGuard<'static, ()> {
    QUIET.write().unwrap_or_else(PoisonError::into_inner)
}

/// Why the test cannot run here; `None` if it can.
fn obstacle(report: &Report) -> Option<String> {
    let needed = [
        Sensor::Exec,
        Sensor::Exit,
        Sensor::Fork,
        Sensor::Privileges,
        Sensor::Files,
        Sensor::Connections,
        Sensor::AcceptOwners,
        Sensor::OpenSockets,
    ];
    let missing = |sensor: &Sensor| matches!(report.state(*sensor), None | Some(State::Missing { .. }));
    needed.iter().any(missing).then(|| report.to_string())
}

/// Says why a test did not run; `make test` collects it.
fn skip(test: &str, reason: &str) {
    println!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("HINDCAST_SKIPS") {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}\t{}", reason.replace('\n', "; ")).unwrap();
    }
}

#[test]
fn what_was_done_is_what_was_recorded() {
    let _quiet = quiet();
    if let Some(obstacle) = obstacle(&check(&Config::default())) {
        return skip("what_was_done_is_what_was_recorded", &obstacle);
    }
    let directory = tempfile::tempdir().unwrap();
    let (sender, receiver) = sync_channel(4096);
    let mut config = Config::default();
    config.sockets.sweep_interval = Duration::from_secs(1);
    config.files.watch = vec![directory.path().join("secret").display().to_string()];
    std::fs::write(directory.path().join("secret"), "x").unwrap();
    let origin = Origin { node: "n1".to_owned(), cluster: "c1".to_owned(), source: "selftest".to_owned() };
    let sensors = start(&config, origin, Arc::new(SystemClock), Box::new(sender)).unwrap();

    let script = Script::run(directory.path());
    let counters = sensors.counters();
    let report = sensors.report().clone();
    sensors.stop();
    let recorded = Recorded::new(receiver.try_iter());
    println!("{report}{counters:?}");
    script.compare(&recorded, &report);
    let mut examples = Vec::new();
    recorded.batches.iter().for_each(|batch| wire::check(batch, &mut examples));
    println!("{}", examples.join("\n"));
    assert_eq!(recorded.losses(), Vec::<String>::new(), "nothing is lost on a machine with nothing to do");
}

/// Opens in the flood.
const OPENS: u64 = 20_000;

#[test]
fn noise_never_evicts_process_life_and_what_is_lost_is_counted() {
    let _alone = alone();
    let test = "noise_never_evicts_process_life_and_what_is_lost_is_counted";
    let report = check(&Config::default());
    if let Some(obstacle) = obstacle(&report) {
        return skip(test, &obstacle);
    }
    if report.state(Sensor::Files) != Some(&State::Available) {
        return skip(test, "files are not seen here");
    }
    let directory = tempfile::tempdir().unwrap();
    let (sender, receiver) = sync_channel(65_536);
    // A ring so small and a reader so slow that there is not room for it all.
    let mut config =
        Config { drain_interval: Duration::from_secs(1), flush_interval: Duration::from_secs(1), ..Config::default() };
    config.ring_size = bytesize::ByteSize::kib(64);
    config.files.repeat_interval = Duration::ZERO;
    let origin = Origin { node: "n1".to_owned(), ..Origin::default() };
    let sensors = start(&config, origin, Arc::new(SystemClock), Box::new(sender)).unwrap();
    let path = directory.path().join("flood").display().to_string();
    let mut command = Command::new(std::env::current_exe().unwrap());
    world::work(&mut command, &["opens", &OPENS.to_string(), &path]);
    let mut flood = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut shells = Vec::new();
    while flood.try_wait().unwrap().is_none() || shells.len() < 50 {
        shells.push(Child::run(Command::new("/bin/sh").args(["-c", "exit 0"])));
    }
    let flood = flood.id();
    let counters = sensors.counters();
    sensors.stop();
    let recorded = Recorded::new(receiver.try_iter());
    for shell in &shells {
        assert_eq!(recorded.one("process_exec", shell.pid).text("kind"), "process_exec");
        assert_eq!(recorded.one("process_exit", shell.pid).text("exit_status"), "0");
    }
    let told = recorded.hooks("fd_install", flood).iter().filter(|row| row.text("file") == path).count() as u64;
    let lost = recorded.lost_in_kernel("kind=file");
    println!("{} shells; {told} opens told, {lost} lost of {OPENS}; {counters:?}", shells.len());
    assert!(lost > 0, "the flood was no flood");
    // Others open files too, and some of theirs are lost.
    assert!(told <= OPENS && told + lost >= OPENS, "told {told}, lost {lost}");
    assert!(recorded.losses().iter().all(|loss| loss.contains("kind=file")), "{:?}", recorded.losses());
}

/// Ports to which packets are sent for nobody; more than there are places for what is dropped.
const PORTS: std::ops::Range<u16> = 20_000..26_000;

#[test]
fn drops_nobody_wants_to_hear_of_take_no_room_from_others() {
    let _alone = alone();
    let test = "drops_nobody_wants_to_hear_of_take_no_room_from_others";
    let report = check(&Config::default());
    if let Some(obstacle) = obstacle(&report) {
        return skip(test, &obstacle);
    }
    if report.state(Sensor::Drops) != Some(&State::Available) {
        return skip(test, "dropped packets are not seen here");
    }
    let (sender, receiver) = sync_channel(65_536);
    let mut config = Config::default();
    config.sockets.ignored_drops.push("NO_SOCKET".to_owned());
    let origin = Origin { node: "n1".to_owned(), ..Origin::default() };
    let sensors = start(&config, origin, Arc::new(SystemClock), Box::new(sender)).unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for port in PORTS {
        socket.send_to(b"anybody?", (Ipv4Addr::LOCALHOST, port)).unwrap();
    }
    sensors.stop();
    let recorded = Recorded::new(receiver.try_iter());
    assert_eq!(recorded.losses(), Vec::<String>::new());
    let dropped = recorded.flows.iter().filter(|row| row.text("drop_reason") == "NO_SOCKET").count();
    assert_eq!(dropped, 0);
    // They were sent, and seen on their way.
    let sent = recorded.flows.iter().filter(|row| row.text("protocol") == "UDP" && row.text("dst_ip") == "127.0.0.1");
    assert!(sent.count() >= PORTS.len() - 100, "the flood was no flood");
}

/// What was done.
#[derive(Default)]
struct Script {
    /// Shells with their statuses.
    exits: Vec<(Child, u32)>,
    killed: Option<Child>,
    setuid: Option<Child>,
    unshared: Option<Child>,
    writer: Option<(Child, String)>,
    reader: Option<(Child, String)>,
    forker: Option<Child>,
    server: Option<Child>,
    is_translated: bool,
    /// Clients with the bytes they sent and received.
    clients: Vec<(Child, u64, u64)>,
    refused: Option<Child>,
    /// A client that stayed for several sweeps, with its bytes.
    long: Option<(Child, u64)>,
    udp: Option<(Child, u64, u64)>,
    http: Option<Child>,
    dns: Option<Child>,
}

impl Script {
    /// Does everything; the directory holds a file `secret`, which is watched.
    fn run(directory: &std::path::Path) -> Self {
        let mut script = Self::default();
        script.processes(directory);
        match World::new() {
            Ok(world) => script.network(&world),
            Err(reason) => println!("skipped: no network of our own: {reason}"),
        }
        script
    }

    fn processes(&mut self, directory: &std::path::Path) {
        for status in 0..SHELLS {
            let child = Child::run(Command::new("/bin/sh").arg("-c").arg(format!("exit {status} # shell")));
            assert_eq!(child.status, i32::try_from(status).ok());
            self.exits.push((child, status));
        }
        self.killed = Some(Child::run(Command::new("/bin/sh").args(["-c", "kill -TERM $$"])));
        self.setuid = Child::try_run(Command::new("setpriv").args(["--reuid", "65534", "--clear-groups", "/bin/true"]));
        self.unshared = Child::try_run(Command::new("unshare").args(["-n", "/bin/true"]));
        let file = directory.join("written").display().to_string();
        let script = format!("for i in 1 2 3; do echo $i >> {file}; done");
        self.writer = Some((Child::run(Command::new("/bin/sh").args(["-c", &script])), file));
        let secret = directory.join("secret").display().to_string();
        self.reader = Some((Child::run(Command::new("cat").arg(&secret)), secret));
        self.forker = Some(Child::run(Command::new("/bin/sh").args(["-c", "(exit 7) & wait $!"])));
    }

    fn network(&mut self, world: &World) {
        let server = world.server();
        self.is_translated = world.is_translated;
        for n in 0..10_u64 {
            let (sent, received) = (100 + n * 1000, 5000 + n * 7);
            let target = if world.is_translated { (VIP, 80) } else { (World::SERVER, world::PORT) };
            let client = world.client(&[
                "talk",
                &format!("{}:{}", target.0, target.1),
                &sent.to_string(),
                &received.to_string(),
            ]);
            assert_eq!(client.status, Some(0), "client {n}");
            self.clients.push((client, sent, received));
        }
        self.refused = Some(world.client(&["refused", &format!("{}:9", World::SERVER)]));
        let long = world.client(&["long", &format!("{}:{}", World::SERVER, world::PORT), "7", "500"]);
        assert_eq!(long.status, Some(0));
        self.long = Some((long, 7 * 500));
        let udp = world.client(&["udp", &format!("{}:{}", World::SERVER, world::PORT), "3", "200"]);
        assert_eq!(udp.status, Some(0));
        self.udp = Some((udp, 600, 600));
        // Nobody listens there: the kernel drops it.
        world.client(&["nobody", &format!("{}:9", World::SERVER)]);
        let target = "/pot?size=2&password=s3cret";
        self.http = Some(world.client(&["http", &format!("{}:{}", World::SERVER, world::HTTP_PORT), target]));
        self.dns = Some(world.client(&["dns", &format!("{}:53", World::SERVER)]));
        self.server = Some(server.stop());
    }

    fn compare(&self, recorded: &Recorded, report: &Report) {
        let parent = recorded::pid_of(std::process::id());
        for (child, status) in &self.exits {
            let exec = recorded.one("process_exec", child.pid);
            assert!(exec.text("arguments").contains(&format!("exit {status} # shell")), "{exec:?}");
            assert_eq!((exec.text("pid"), exec.text("uid")), (child.pid.to_string(), "0".to_owned()));
            let made = recorded.one("process_clone", child.pid);
            assert_eq!(made.text("exec_id"), exec.text("exec_id"));
            assert_eq!(made.text("parent_exec_id"), exec.text("parent_exec_id"));
            assert!(recorded::decoded(&exec.text("parent_exec_id")).ends_with(&parent), "{exec:?}");
            let exit = recorded.one("process_exit", child.pid);
            assert_eq!(exit.text("exit_status"), status.to_string());
            assert_eq!(exit.text("exec_id"), exec.text("exec_id"));
        }
        if let Some(child) = &self.killed {
            let exit = recorded.one("process_exit", child.pid);
            assert_eq!((exit.text("signal"), exit.text("exit_status")), ("SIGTERM".to_owned(), String::new()));
        }
        self.compare_privileges(recorded, report);
        self.compare_files(recorded, report);
        if let Some(child) = &self.forker {
            let parent = recorded.one("process_exec", child.pid).text("exec_id");
            let subshell = recorded
                .runtime
                .iter()
                .find(|row| row.text("kind") == "process_exit" && row.text("parent_exec_id") == parent);
            assert_eq!(subshell.unwrap().text("exit_status"), "7");
        }
        self.compare_network(recorded);
        if self.server.is_some() && report.state(Sensor::Drops) == Some(&State::Available) {
            let dropped = recorded.flows.iter().filter(|row| {
                row.text("verdict") == "DROPPED" && row.text("dst_port") == "9" && row.text("protocol") == "UDP"
            });
            let told: Vec<_> =
                dropped.map(|row| (row.text("drop_reason"), row.text("flow_count"), row.text("dst_ip"))).collect();
            assert_eq!(told, [("NO_SOCKET".to_owned(), "1".to_owned(), World::SERVER.to_string())]);
        }
    }

    fn compare_privileges(&self, recorded: &Recorded, report: &Report) {
        if report.state(Sensor::Privileges) != Some(&State::Available) {
            println!("not compared: privileges");
            return;
        }
        if let Some(child) = &self.setuid {
            let rows = recorded.hooks("commit_creds", child.pid);
            assert!(rows.iter().any(|row| row.text("message").contains("uid 0→65534")), "{rows:?}");
            assert!(rows.iter().all(|row| row.text("binary").ends_with("/setpriv")), "{rows:?}");
        }
        if let Some(child) = &self.unshared {
            let rows = recorded.hooks("switch_task_namespaces", child.pid);
            assert!(rows.len() == 1 && rows[0].text("message").starts_with("net "), "{rows:?}");
        }
    }

    fn compare_files(&self, recorded: &Recorded, report: &Report) {
        if report.state(Sensor::Files) != Some(&State::Available) {
            println!("not compared: files");
            return;
        }
        for (expected, opened) in [("create", &self.writer), ("read", &self.reader)] {
            let (child, path) = opened.as_ref().unwrap();
            let rows: Vec<&Row> =
                recorded.hooks("fd_install", child.pid).into_iter().filter(|row| row.text("file") == *path).collect();
            let first = rows.first().unwrap_or_else(|| panic!("{path} was not told"));
            assert_eq!(first.text("message"), expected);
            // Made, then opened twice more: a different way once, and the same way again.
            assert_eq!(rows.len(), if expected == "create" { 2 } else { 1 }, "{rows:?}");
        }
    }

    fn compare_network(&self, recorded: &Recorded) {
        let Some(server) = &self.server else { return };
        let served = recorded.flows_of("dst_exec_id", server.pid);
        for (client, sent, received) in &self.clients {
            let rows = recorded.flows_of("src_exec_id", client.pid);
            let (translated, told): (Vec<&Row>, Vec<&Row>) =
                rows.into_iter().partition(|row| row.text("verdict") == "TRANSLATED");
            // One row, or two where a sweep fell in between: what they say adds up.
            assert!((1..=2).contains(&told.len()), "{told:?}");
            let sums = |rows: &[&Row]| {
                ["bytes_sent", "bytes_received"].map(|name| rows.iter().map(|row| row.number(name)).sum::<u64>())
            };
            assert_eq!(sums(&told), [*sent, *received], "{told:?}");
            for row in &told {
                assert_eq!(
                    (row.text("dst_ip"), row.text("dst_port")),
                    (World::SERVER.to_string(), world::PORT.to_string())
                );
                assert_eq!((row.text("direction"), row.text("verdict")), ("EGRESS".to_owned(), "FORWARDED".to_owned()));
            }
            let id = told[0].text("connection_id");
            let other: Vec<&Row> = served.iter().copied().filter(|other| other.text("connection_id") == id).collect();
            assert_eq!(sums(&other), [*sent, *received], "the server's end of {told:?}");
            assert!(other.iter().all(|row| row.text("direction") == "INGRESS"));
            assert_eq!(translated.len(), usize::from(self.is_translated));
            for row in translated {
                assert_eq!((row.text("dst_ip"), row.text("dst_port")), (VIP.to_string(), "80".to_owned()));
            }
            assert_eq!(recorded.hooks("tcp_connect", client.pid).len(), 1);
        }
        println!("compared: {} connections, translated: {}", self.clients.len(), self.is_translated);
        assert_eq!(recorded.hooks("inet_csk_listen_start", server.pid).len(), 2);
        assert_eq!(recorded.hooks("inet_csk_accept", server.pid).len(), self.clients.len() + 2);
        let refused = recorded.flows_of("src_exec_id", self.refused.as_ref().unwrap().pid);
        assert_eq!(refused.iter().map(|row| row.text("summary")).collect::<Vec<_>>(), ["refused"]);
        assert_eq!(refused[0].text("verdict"), "", "nobody knows what became of it");
        let (long, bytes) = self.long.as_ref().unwrap();
        let rows = recorded.flows_of("src_exec_id", long.pid);
        assert!(rows.len() >= 3, "a connection that lasts is told of while it does: {rows:?}");
        assert_eq!(rows.iter().map(|row| row.number("bytes_sent")).sum::<u64>(), *bytes);
        self.compare_udp(recorded);
        self.compare_talk(recorded, server);
    }

    /// Requests and responses, at both ends, with the process that asked or answered.
    fn compare_talk(&self, recorded: &Recorded, server: &Child) {
        let (http, dns) = (self.http.as_ref().unwrap(), self.dns.as_ref().unwrap());
        let talk = |column: &str, pid: u32, l7_type: &str| -> Vec<String> {
            let rows = recorded.flows_of(column, pid).into_iter();
            rows.filter(|row| row.text("l7_type") == l7_type)
                .map(|row| {
                    ["direction", "http_method", "http_url", "http_status", "dns_query", "dns_rcode"]
                        .map(|name| row.text(name))
                        .join(" ")
                })
                .collect()
        };
        let url = "http://pots/pot?size=2&password=[redacted]";
        let asked = [format!("GET {url}   "), format!("DELETE {url}   ")];
        let answered = [format!("GET {url} 418  "), format!("DELETE {url} 418  ")];
        let with = |direction: &str, lines: &[String]| {
            lines.iter().map(|line| format!("{direction} {line}")).collect::<Vec<_>>()
        };
        assert_eq!(talk("src_exec_id", http.pid, "REQUEST"), with("EGRESS", &asked));
        assert_eq!(talk("dst_exec_id", http.pid, "RESPONSE"), with("EGRESS", &answered));
        let of_server = |column, l7_type| -> Vec<String> {
            talk(column, server.pid, l7_type).into_iter().filter(|line| line.contains("http:")).collect()
        };
        assert_eq!(of_server("dst_exec_id", "REQUEST"), with("INGRESS", &asked));
        assert_eq!(of_server("src_exec_id", "RESPONSE"), with("INGRESS", &answered));
        assert_eq!(talk("src_exec_id", dns.pid, "REQUEST"), ["EGRESS    pots.example. "]);
        assert_eq!(talk("dst_exec_id", dns.pid, "RESPONSE"), ["EGRESS    pots.example. 3"]);
        let slow = recorded.flows_of("dst_exec_id", http.pid);
        let latencies: Vec<u64> =
            slow.iter().filter(|row| row.text("l7_type") == "RESPONSE").map(|row| row.number("latency_ns")).collect();
        assert!(latencies.iter().all(|latency| (20_000_000..2_000_000_000).contains(latency)), "{latencies:?}");
    }

    fn compare_udp(&self, recorded: &Recorded) {
        let (udp, sent, received) = self.udp.as_ref().unwrap();
        let rows = recorded.flows_of("src_exec_id", udp.pid);
        let sum = |column| rows.iter().map(|row| row.number(column)).sum::<u64>();
        assert_eq!((sum("bytes_sent"), sum("bytes_received")), (*sent, *received), "{rows:?}");
    }
}
