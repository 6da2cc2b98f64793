//! What is known of processes, and for how long.

use hindcast_packets::redact::Redactor;

use super::{Processes, exec_id, join_arguments};
use crate::cgroup::Cgroups;
use crate::decode::{Creds, Exec, Fork, Header, Key, Spaces, kind};

fn header(pid: u32, kind: u16) -> Header {
    Header { ts: 1, process: Key { pid, start: u64::from(pid) }, tid: pid, uid: 5, kind }
}

fn exec(pid: u32, binary: &'static str) -> Exec<'static> {
    Exec {
        header: header(pid, kind::EXEC),
        parent: Key { pid: 1, start: 1 },
        cgroup: 0,
        inode: 7,
        links: 1,
        auid: u32::MAX,
        creds: Creds { uid: 5, ..Creds::default() },
        spaces: Spaces { net: 9, ..Spaces::default() },
        comm: "comm".to_owned(),
        binary: binary.as_bytes(),
        cwd: b"/tmp",
        arguments: b"prog\0-a\0b c\0\0",
        are_arguments_cut: false,
        is_cwd_cut: false,
    }
}

fn fork(parent: u32, child: u32) -> Fork {
    Fork {
        header: header(parent, kind::FORK),
        child: Key { pid: child, start: u64::from(child) },
        cgroup: 0,
        clone_flags: 0,
        spaces: Spaces::default(),
        comm: "sh".to_owned(),
    }
}

#[test]
fn a_child_is_what_its_maker_is_until_it_starts_a_program() {
    let (mut processes, mut cgroups) = (Processes::new(1024, true, Redactor::default()), Cgroups::default());
    processes.exec(&exec(10, "/bin/sh"), &mut cgroups);
    processes.fork(&fork(10, 11), &mut cgroups);
    let child = processes.get(Key { pid: 11, start: 11 }).unwrap();
    assert_eq!((&*child.binary, child.parent.unwrap().pid, child.flags), ("/bin/sh", 10, "clone"));
    processes.exec(&exec(11, "/bin/true"), &mut cgroups);
    let child = processes.get(Key { pid: 11, start: 11 }).unwrap();
    assert_eq!((&*child.binary, &*child.arguments, &*child.cwd), ("/bin/true", "-a \"b c\" \"\"", "/tmp"));
    assert_eq!(child.workload(), Some(("true", "Binary")));
}

#[test]
fn an_end_is_told_once_and_the_process_stays_known_for_a_while() {
    let (mut processes, mut cgroups) = (Processes::new(1024, true, Redactor::default()), Cgroups::default());
    processes.exec(&exec(10, "/bin/sh"), &mut cgroups);
    let key = Key { pid: 10, start: 10 };
    assert!(processes.exit(key, 100));
    assert!(!processes.exit(key, 101));
    processes.forget(1000);
    assert!(processes.get(key).is_some());
    processes.forget(1_000_000_000_000);
    assert!(processes.get(key).is_none());
}

#[test]
fn memory_is_bounded() {
    let (mut processes, mut cgroups) = (Processes::new(1024, true, Redactor::default()), Cgroups::default());
    for pid in 1..10_000 {
        processes.exec(&exec(pid, "/bin/sh"), &mut cgroups);
    }
    assert_eq!(processes.len(), 1024);
    assert!(processes.order.len() <= 2048);
    assert!(processes.get(Key { pid: 9_999, start: 9_999 }).is_some());
}

#[test]
fn arguments_can_be_left_out() {
    let (mut processes, mut cgroups) = (Processes::new(1024, false, Redactor::default()), Cgroups::default());
    processes.exec(&exec(10, "/bin/sh"), &mut cgroups);
    assert_eq!(&*processes.get(Key { pid: 10, start: 10 }).unwrap().arguments, "");
}

#[test]
fn arguments_are_joined_as_tetragon_does() {
    assert_eq!(join_arguments(b"a\0", false), "");
    assert_eq!(join_arguments(b"", false), "");
    assert_eq!(join_arguments(b"a\0--x=1\0y", true), "--x=1 y");
}

#[test]
fn an_exec_id_names_node_start_and_pid() {
    assert_eq!(exec_id("n1", Key { pid: 42, start: 7 }), "bjE6Nzo0Mg==");
}
