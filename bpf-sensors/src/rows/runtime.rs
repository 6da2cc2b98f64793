//! Rows of `runtime_events`. Each carries its process as the Tetragon API has it, so that its clients are served without
//! a look at anything else; what a hook was given stands in `rest` under the field of its kind.

use hindcast_model::tables::runtime_events::Builder;

use super::{Rows, put, put_origin};
use crate::clock::Clocks;
use crate::decode::{Creds, Exit, Key, Tuple};
use crate::process::{Process, Processes, exec_id};
use crate::wire;

/// Fields of `tetragon.GetEventsResponse`.
const PROCESS_EXIT: u32 = 5;
const PROCESS_KPROBE: u32 = 9;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A program was started, or was found running.
    Exec {
        /// What is worth saying of it.
        message: &'a str,
    },
    /// A process was made.
    Clone,
    /// A process ended.
    Exit(&'a Exit),
    /// A function of the kernel was reached, in the words of who hooks functions.
    Hook(Hook<'a>),
}

/// A function of the kernel, and what it was given.
#[derive(Debug)]
pub(crate) struct Hook<'a> {
    pub(crate) function: &'static str,
    pub(crate) message: &'a str,
    pub(crate) tuple: Option<&'a Tuple>,
    pub(crate) cookie: u64,
    /// A file and its descriptor.
    pub(crate) file: Option<(&'a str, u32)>,
    pub(crate) creds: Option<&'a Creds>,
}

impl Hook<'_> {
    /// A function of which nothing is known yet.
    pub(crate) const fn of(function: &'static str) -> Self {
        Self { function, message: "", tuple: None, cookie: 0, file: None, creds: None }
    }
}

impl Rows {
    /// An event of a process at a kernel time. `tid` and `uid` are those of the task that did it, where known.
    pub(crate) fn runtime(
        &mut self,
        clocks: &Clocks,
        processes: &Processes,
        (ts, key): (u64, Key),
        (tid, uid): (Option<u32>, Option<u32>),
        event: &Event<'_>,
    ) {
        let events = &mut self.runtime;
        let row = put_origin!(events, self.origin, clocks.instant(ts), clocks.now().as_nanos());
        let known = processes.get(key);
        let node = self.origin.node.as_str();
        put_process(events, row, node, key, known, clocks);
        if let Some(tid) = tid {
            events.tid.set(row, tid);
        }
        if let Some(uid) = uid.or_else(|| known.map(|process| process.standing.creds.uid)) {
            events.uid.set(row, uid);
        }
        let mut message = Vec::new();
        put_message(&mut message, node, key, known, (tid, uid), processes, clocks);
        events.process.set(row, &message);
        if let Some(parent) = known.and_then(|process| process.parent) {
            let known = processes.get(parent);
            message.clear();
            put_message(&mut message, node, parent, known, (None, None), processes, clocks);
            events.parent.set(row, &message);
            if let Some(parent) = known {
                put(&mut events.parent_binary, row, &parent.binary);
                put(&mut events.parent_arguments, row, &parent.arguments);
            }
        }
        put_event(events, row, clocks.instant(ts), event);
        events.commit();
    }
}

fn put_process(events: &mut Builder, row: usize, node: &str, key: Key, known: Option<&Process>, clocks: &Clocks) {
    events.exec_id.set(row, &exec_id(node, key));
    events.pid.set(row, key.pid);
    events.start_time.set(row, clocks.instant(key.start));
    let Some(process) = known else { return };
    if let Some(parent) = process.parent {
        events.parent_exec_id.set(row, &exec_id(node, parent));
    }
    if let Some(id) = &process.place.container_id {
        events.container_id.set(row, id);
    }
    if let Some((workload, kind)) = process.workload() {
        events.workload.set(row, workload);
        events.workload_kind.set(row, kind);
    }
    if !process.is_known {
        return;
    }
    events.auid.set(row, process.auid);
    put(&mut events.binary, row, &process.binary);
    put(&mut events.arguments, row, &process.arguments);
    put(&mut events.cwd, row, &process.cwd);
    put(&mut events.flags, row, process.flags);
    let creds = &process.standing.creds;
    events.cap_permitted.set(row, creds.permitted);
    events.cap_effective.set(row, creds.effective);
    events.cap_inheritable.set(row, creds.inheritable);
}

/// Writes a `tetragon.Process`.
fn put_message(
    out: &mut Vec<u8>,
    node: &str,
    key: Key,
    known: Option<&Process>,
    (tid, uid): (Option<u32>, Option<u32>),
    processes: &Processes,
    clocks: &Clocks,
) {
    wire::put_text(out, 1, &exec_id(node, key));
    wire::put_wrapped(out, 2, key.pid);
    if let Some(uid) = uid.or_else(|| known.map(|process| process.standing.creds.uid)) {
        wire::put_wrapped(out, 3, uid);
    }
    if let Some(process) = known.filter(|process| process.is_known) {
        wire::put_text(out, 4, &process.cwd);
        wire::put_text(out, 5, &process.binary);
        wire::put_text(out, 6, &process.arguments);
        wire::put_text(out, 7, process.flags);
    }
    wire::put_time(out, 8, clocks.instant(key.start));
    if let Some(tid) = tid {
        wire::put_wrapped(out, 16, tid);
    }
    let Some(process) = known else { return };
    if process.is_known {
        wire::put_wrapped(out, 9, process.auid);
    }
    if let Some(id) = &process.place.container_id {
        wire::put_text(out, 11, id);
    }
    if let Some(parent) = process.parent {
        wire::put_text(out, 12, &exec_id(node, parent));
    }
    if process.is_known {
        wire::put_capabilities(out, 14, &process.standing.creds);
        wire::put_namespaces(out, 15, &process.standing.spaces, &processes.host);
        wire::put_credentials(out, 17, &process.standing.creds);
        if process.inode != 0 {
            wire::put_message(out, 18, |binary| {
                wire::put_message(binary, 4, |file| {
                    wire::put_message(file, 1, |inode| {
                        wire::put_number(inode, 1, process.inode);
                        wire::put_wrapped(inode, 2, process.links);
                    });
                });
            });
        }
    }
}

fn put_event(events: &mut Builder, row: usize, instant: i64, event: &Event<'_>) {
    let mut rest = Vec::new();
    match event {
        Event::Exec { message } => {
            events.kind.set(row, "process_exec");
            put(&mut events.message, row, message);
        }
        Event::Clone => events.kind.set(row, "process_clone"),
        Event::Exit(exit) => {
            events.kind.set(row, "process_exit");
            let (signal, status) = (exit.code & 0x7F, exit.code >> 8 & 0xFF);
            let signal = if signal == 0 { String::new() } else { signal_name(signal) };
            put(&mut events.signal, row, &signal);
            if signal.is_empty() {
                events.exit_status.set(row, status);
            }
            events.message.set(row, &resources(exit));
            wire::put_message(&mut rest, PROCESS_EXIT, |message| {
                wire::put_text(message, 3, &signal);
                wire::put_number(message, 4, u64::from(status));
                wire::put_time(message, 5, instant);
            });
        }
        Event::Hook(hook) => {
            events.kind.set(row, "process_kprobe");
            put_hook(events, row, hook);
            wire::put_message(&mut rest, PROCESS_KPROBE, |message| {
                wire::put_text(message, 3, hook.function);
                if let Some(tuple) = hook.tuple {
                    wire::put_socket_argument(message, 4, tuple, hook.cookie);
                }
                if let Some((path, fd)) = hook.file {
                    wire::put_message(message, 4, |argument| wire::put_number(argument, 2, u64::from(fd)));
                    wire::put_message(message, 4, |argument| {
                        wire::put_message(argument, 7, |file| wire::put_text(file, 2, path));
                    });
                }
                if let Some(creds) = hook.creds {
                    wire::put_message(message, 4, |argument| wire::put_credentials(argument, 19, creds));
                }
                wire::put_text(message, 10, hook.message);
            });
        }
    }
    if !rest.is_empty() {
        events.rest.set(row, &rest);
    }
}

fn put_hook(events: &mut Builder, row: usize, hook: &Hook<'_>) {
    events.function.set(row, hook.function);
    put(&mut events.message, row, hook.message);
    if let Some(tuple) = hook.tuple {
        events.src_ip.set(row, &tuple.local.to_string());
        events.src_port.set(row, tuple.local_port);
        // A listener has no other end.
        if tuple.remote_port != 0 {
            events.dst_ip.set(row, &tuple.remote.to_string());
            events.dst_port.set(row, tuple.remote_port);
        }
    }
    if let Some((path, _fd)) = hook.file {
        put(&mut events.file, row, path);
    }
}

/// Bytes of a page, in which the kernel counts memory. The sizes differ on some arm64 kernels.
const PAGE: u64 = 4096;

/// What a process used, as `key=value`; units stand in the names.
fn resources(exit: &Exit) -> String {
    let mut text = format!(
        "user_ns={} system_ns={} max_rss_bytes={}",
        exit.user_ns,
        exit.system_ns,
        exit.max_rss_pages.saturating_mul(PAGE)
    );
    if exit.has_io {
        text.push_str(&format!(" read_bytes={} written_bytes={}", exit.read_bytes, exit.written_bytes));
    }
    text
}

/// Names of the signals that end processes; others have a number alone.
fn signal_name(number: u32) -> String {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    index.and_then(|index| NAMES.get(index)).map_or_else(|| format!("SIG{number}"), |name| (*name).to_owned())
}
