//! Rows as a reader of the tables sees them.

use std::net::IpAddr;
use std::sync::Arc;

use hindcast_model::tables::{flows, losses, runtime_events};
use hindcast_model::{Batch, ManualClock, TableId, Timestamp};
use hindcast_packets::redact::Redactor;

use super::{End, Event, Hook, Loss, Origin, Rows, Traffic};
use crate::cgroup::Cgroups;
use crate::clock::{BootClock, Clocks};
use crate::decode::{Creds, Exec, Exit, Header, Key, Spaces, Tuple, kind};
use crate::process::Processes;

struct Boot;

impl BootClock for Boot {
    fn now(&self) -> u64 {
        1_000
    }
}

/// A kernel time of 1000 is a wall time of 5 µs.
fn clocks() -> Clocks {
    Clocks::new(Arc::new(ManualClock::new(Timestamp::from_nanos(5_000))), Box::new(Boot))
}

const KEY: Key = Key { pid: 10, start: 7 };

fn header(kind: u16) -> Header {
    Header { ts: 1_000, process: KEY, tid: 11, uid: 5, kind }
}

fn processes() -> Processes {
    let mut processes = Processes::new(1024, true, Redactor::default());
    let exec = Exec {
        header: header(kind::EXEC),
        parent: Key { pid: 1, start: 1 },
        cgroup: 0,
        inode: 0,
        links: 1,
        auid: u32::MAX,
        creds: Creds { effective: 1 << 21, ..Creds::default() },
        spaces: Spaces::default(),
        comm: "curl".to_owned(),
        binary: b"/usr/bin/curl",
        cwd: b"/",
        arguments: b"curl\0--password\0hunter2\0",
        are_arguments_cut: false,
        is_cwd_cut: false,
    };
    processes.exec(&exec, &mut Cgroups::default());
    processes
}

fn rows() -> Rows {
    Rows::new(Origin { cluster: String::new(), node: "n1".to_owned(), source: "s".to_owned() })
}

fn only(rows: &mut Rows, table: TableId) -> Batch {
    let mut batches: Vec<Batch> = rows.take().into_iter().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.table).collect::<Vec<_>>(), [table]);
    batches.remove(0)
}

fn tuple() -> Tuple {
    let (local, remote) = (IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 96, 0, 10]));
    Tuple { local, remote, local_port: 4000, remote_port: 80, protocol: 6 }
}

#[test]
fn an_event_of_a_process_tells_who_it_is_and_keeps_its_secrets() {
    let (mut rows, processes) = (rows(), processes());
    let by = (Some(11), Some(5));
    rows.runtime(&clocks(), &processes, (1_000, KEY), by, &Event::Exec { message: "" });
    let batch = only(&mut rows, TableId::RuntimeEvents);
    let view = runtime_events::View::new(&batch.records).unwrap();
    assert_eq!((view.kind.get(0), view.time.get(0)), (Some("process_exec"), Some(5_000)));
    assert_eq!((view.pid.get(0), view.tid.get(0), view.uid.get(0)), (Some(10), Some(11), Some(5)));
    assert_eq!((view.node.get(0), view.cluster.get(0)), (Some("n1"), None));
    assert_eq!((view.binary.get(0), view.workload.get(0)), (Some("/usr/bin/curl"), Some("curl")));
    assert_eq!((view.cap_effective.get(0), view.start_time.get(0)), (Some(1 << 21), Some(4_007)));
    assert!(!view.arguments.get(0).unwrap().contains("hunter2"));
    let message = String::from_utf8_lossy(view.process.get(0).unwrap()).into_owned();
    assert!(message.contains("/usr/bin/curl") && !message.contains("hunter2"));
    assert!(view.parent.get(0).is_some() && view.parent_exec_id.get(0).is_some());
}

#[test]
fn what_is_not_known_of_a_process_stays_absent() {
    let (mut rows, processes) = (rows(), processes());
    let stranger = Key { pid: 99, start: 3 };
    rows.runtime(&clocks(), &processes, (1_000, stranger), (None, None), &Event::Hook(Hook::of("tcp_connect")));
    let batch = only(&mut rows, TableId::RuntimeEvents);
    let view = runtime_events::View::new(&batch.records).unwrap();
    assert_eq!((view.pid.get(0), view.function.get(0)), (Some(99), Some("tcp_connect")));
    assert_eq!((view.binary.get(0), view.uid.get(0), view.workload.get(0)), (None, None, None));
    assert_eq!((view.parent_exec_id.get(0), view.parent.get(0), view.auid.get(0)), (None, None, None));
}

#[test]
fn an_end_has_a_status_or_a_signal() {
    let (mut rows, processes) = (rows(), processes());
    for code in [0x0300, 0x000f, 0, 0x0089] {
        let exit = Exit {
            header: header(kind::EXIT),
            user_ns: 1,
            system_ns: 2,
            max_rss_pages: 3,
            read_bytes: 4,
            written_bytes: 5,
            code,
            has_io: true,
        };
        rows.runtime(&clocks(), &processes, (1_000, KEY), (None, None), &Event::Exit(&exit));
    }
    let batch = only(&mut rows, TableId::RuntimeEvents);
    let view = runtime_events::View::new(&batch.records).unwrap();
    let ends: Vec<_> = (0..4).map(|row| (view.exit_status.get(row), view.signal.get(row))).collect();
    assert_eq!(ends, [(Some(3), None), (None, Some("SIGTERM")), (Some(0), None), (None, Some("SIGKILL"))]);
    assert_eq!(view.message.get(0), Some("user_ns=1 system_ns=2 max_rss_bytes=12288 read_bytes=4 written_bytes=5"));
    assert!(view.rest.get(0).is_some());
}

#[test]
fn the_source_is_who_opened_whichever_end_saw_it() {
    let (mut rows, processes) = (rows(), processes());
    let traffic = |end| Traffic {
        process: Some(KEY),
        out: Some((100, 3)),
        inward: Some((900, 4)),
        connection_id: 42,
        ..Traffic::of(1_000, tuple(), end)
    };
    for end in [End::Source, End::Destination, End::Unknown] {
        rows.flow(&clocks(), &processes, &traffic(end), |_flows, _row| {});
    }
    let batch = only(&mut rows, TableId::Flows);
    let view = flows::View::new(&batch.records).unwrap();
    assert_eq!(
        (view.src_ip.get(0), view.dst_ip.get(0), view.dst_port.get(0)),
        (Some("10.0.0.2"), Some("10.96.0.10"), Some(80))
    );
    assert_eq!(
        (view.src_ip.get(1), view.src_port.get(1), view.dst_ip.get(1)),
        (Some("10.96.0.10"), Some(80), Some("10.0.0.2"))
    );
    let directions = [Some("EGRESS"), Some("INGRESS"), None];
    assert_eq!([0, 1, 2].map(|row| view.direction.get(row)), directions);
    assert_eq!(
        [0, 1].map(|row| (view.bytes_sent.get(row), view.bytes_received.get(row))),
        [(Some(100), Some(900)), (Some(900), Some(100))]
    );
    assert!(view.src_exec_id.get(0).is_some() && view.dst_exec_id.get(0).is_none());
    assert!(view.dst_exec_id.get(1).is_some() && view.src_exec_id.get(1).is_none());
    assert_eq!((view.src_workload.get(0), view.dst_workload.get(1)), (Some("curl"), Some("curl")));
    assert_eq!(view.verdict.get(0), None, "a verdict that nobody gave");
}

#[test]
fn a_translated_flow_goes_where_the_packet_went_and_comes_from_the_socket() {
    let (mut rows, processes) = (rows(), processes());
    let wire = Tuple {
        local: IpAddr::from([192, 0, 2, 1]),
        remote: IpAddr::from([10, 77, 0, 1]),
        remote_port: 8099,
        ..tuple()
    };
    let traffic = Traffic { wire: Some(wire), ..Traffic::of(1_000, tuple(), End::Source) };
    rows.flow(&clocks(), &processes, &traffic, |_flows, _row| {});
    let batch = only(&mut rows, TableId::Flows);
    let view = flows::View::new(&batch.records).unwrap();
    assert_eq!((view.src_ip.get(0), view.src_ip_xlated.get(0)), (Some("10.0.0.2"), Some("192.0.2.1")));
    assert_eq!((view.dst_ip.get(0), view.dst_port.get(0)), (Some("10.77.0.1"), Some(8099)));
}

#[test]
fn a_loss_is_an_interval_with_a_reason() {
    let mut rows = rows();
    let loss = Loss { stage: "kernel", reason: "ring_full", count: Some(9), detail: "kind=file".to_owned() };
    rows.loss(&clocks(), 1_000, 2_000, &loss);
    let batch = only(&mut rows, TableId::Losses);
    let view = losses::View::new(&batch.records).unwrap();
    assert_eq!((view.time.get(0), view.end_time.get(0), view.count.get(0)), (Some(5_000), Some(6_000), Some(9)));
    assert_eq!((view.stage.get(0), view.reason.get(0)), (Some("kernel"), Some("ring_full")));
}
