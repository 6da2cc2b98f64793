//! The programs as a table: whose they are, where they hang, and whether a sensor is anything without them.

use crate::capability::Sensor;
use crate::config::Config;

/// The object a program stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Object {
    Process,
    Socket,
    File,
}

impl Object {
    pub(crate) const ALL: [Self; 3] = [Self::Process, Self::Socket, Self::File];
}

/// Where a program hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// A tracepoint with typed arguments.
    Typed(&'static str),
    /// The same side of several system calls; those a kernel lacks are passed over, but not all of them.
    Syscalls(&'static [&'static str]),
    /// Packets that leave or enter the sockets of a cgroup.
    Egress,
    Ingress,
    /// A socket is made or let go in a cgroup.
    SocketLife,
    /// An iterator, read when we ask for it.
    Iterator(&'static str),
}

/// A kernel program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) object: Object,
    pub(crate) sensor: Sensor,
    pub(crate) hook: Hook,
}

const fn probe(object: Object, sensor: Sensor, name: &'static str, hook: Hook) -> Probe {
    Probe { name, object, sensor, hook }
}

const PRIVILEGE_ENTRIES: &[&str] = &[
    "sys_enter_setuid",
    "sys_enter_setgid",
    "sys_enter_setreuid",
    "sys_enter_setregid",
    "sys_enter_setresuid",
    "sys_enter_setresgid",
    "sys_enter_setfsuid",
    "sys_enter_setfsgid",
    "sys_enter_capset",
    "sys_enter_prctl",
    "sys_enter_setns",
    "sys_enter_unshare",
];
const PRIVILEGE_EXITS: &[&str] = &[
    "sys_exit_setuid",
    "sys_exit_setgid",
    "sys_exit_setreuid",
    "sys_exit_setregid",
    "sys_exit_setresuid",
    "sys_exit_setresgid",
    "sys_exit_setfsuid",
    "sys_exit_setfsgid",
    "sys_exit_capset",
    "sys_exit_prctl",
    "sys_exit_setns",
    "sys_exit_unshare",
];
const OPENS: &[&str] = &["sys_exit_openat", "sys_exit_openat2", "sys_exit_open", "sys_exit_creat"];

/// Every program.
pub(crate) const PROBES: &[Probe] = &[
    probe(Object::Process, Sensor::Exec, "process_exec", Hook::Typed("sched_process_exec")),
    probe(Object::Process, Sensor::Fork, "process_fork", Hook::Typed("task_newtask")),
    probe(Object::Process, Sensor::Exit, "process_exit", Hook::Typed("sched_process_exit")),
    probe(Object::Process, Sensor::RunningProcesses, "running_tasks", Hook::Iterator("task")),
    probe(Object::Process, Sensor::Cgroups, "cgroup_made", Hook::Typed("cgroup_mkdir")),
    probe(Object::Process, Sensor::Cgroups, "cgroup_entered", Hook::Typed("cgroup_attach_task")),
    probe(Object::Process, Sensor::Privileges, "change_exit", Hook::Syscalls(PRIVILEGE_EXITS)),
    probe(Object::Process, Sensor::Privileges, "change_enter", Hook::Syscalls(PRIVILEGE_ENTRIES)),
    probe(Object::File, Sensor::Files, "file_opened", Hook::Syscalls(OPENS)),
    probe(Object::Socket, Sensor::Connections, "tcp_state", Hook::Typed("inet_sock_set_state")),
    probe(Object::Socket, Sensor::AcceptOwners, "tcp_accept4", Hook::Syscalls(&["sys_exit_accept4"])),
    probe(Object::Socket, Sensor::AcceptOwners, "tcp_accept", Hook::Syscalls(&["sys_exit_accept"])),
    probe(Object::Socket, Sensor::OpenSockets, "open_sockets", Hook::Iterator("task_file")),
    probe(Object::Socket, Sensor::UdpOwners, "udp_made", Hook::SocketLife),
    probe(Object::Socket, Sensor::UdpOwners, "udp_gone", Hook::SocketLife),
    probe(Object::Socket, Sensor::Packets, "packet_out", Hook::Egress),
    probe(Object::Socket, Sensor::Packets, "packet_in", Hook::Ingress),
    probe(Object::Socket, Sensor::Drops, "packet_dropped", Hook::Typed("kfree_skb")),
];

/// Whether the configuration asks for a sensor.
pub(crate) fn is_wanted(sensor: Sensor, config: &Config) -> bool {
    match sensor {
        Sensor::Exec | Sensor::Fork | Sensor::Exit | Sensor::RunningProcesses | Sensor::Cgroups => true,
        Sensor::Privileges => config.processes.privileges,
        Sensor::Files => config.files.enabled,
        Sensor::Connections | Sensor::AcceptOwners | Sensor::OpenSockets | Sensor::UdpOwners | Sensor::Packets => {
            config.sockets.enabled
        }
        Sensor::Drops => config.sockets.enabled && config.sockets.drops,
    }
}
