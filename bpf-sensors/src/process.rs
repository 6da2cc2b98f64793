//! The processes of this machine: who they are, what they run, where they came from. Kept for as long as events may still
//! speak of them, and no longer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hindcast_packets::redact::Redactor;

use crate::cgroup::{Cgroups, Place};
use crate::decode::{Creds, Exec, Fork, Key, RunningTask, Spaces, Standing};

/// How long a process that ended is remembered, in nanoseconds: connections of it close up to two minutes later.
const KEPT_AFTER_EXIT: u64 = 150_000_000_000;

/// One process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Process {
    pub(crate) key: Key,
    pub(crate) parent: Option<Key>,
    pub(crate) standing: Standing,
    pub(crate) auid: u32,
    /// Path of the program; of a process that only forked, its parent's.
    pub(crate) binary: Arc<str>,
    pub(crate) arguments: Arc<str>,
    pub(crate) cwd: Arc<str>,
    pub(crate) comm: Arc<str>,
    pub(crate) inode: u64,
    pub(crate) links: u32,
    pub(crate) place: Arc<Place>,
    /// How we learned of it, in Tetragon's words.
    pub(crate) flags: &'static str,
    /// Whether more is known of it than its id.
    pub(crate) is_known: bool,
    has_exited: bool,
}

impl Process {
    /// The workload it belongs to outside of Kubernetes, with its kind.
    pub(crate) fn workload(&self) -> Option<(&str, &'static str)> {
        if self.place.pod_uid.is_some() || !self.is_known {
            return None;
        }
        if let Some(id) = &self.place.container_id {
            return Some((id.get(..12).unwrap_or(id), "Container"));
        }
        if let Some(unit) = &self.place.unit {
            return Some((unit, "SystemdUnit"));
        }
        let name = self.binary.rsplit('/').next().filter(|name| !name.is_empty())?;
        Some((name, "Binary"))
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Processes {
    by_key: HashMap<Key, Process>,
    /// In order of their end.
    exited: VecDeque<(u64, Key)>,
    /// In order of their beginning, for when there are too many.
    order: VecDeque<Key>,
    max: usize,
    keeps_arguments: bool,
    redactor: Redactor,
    /// The machine's own namespaces.
    pub(crate) host: Spaces,
}

impl Processes {
    pub(crate) fn new(max: usize, keeps_arguments: bool, redactor: Redactor) -> Self {
        Self {
            by_key: HashMap::new(),
            exited: VecDeque::new(),
            order: VecDeque::new(),
            max,
            keeps_arguments,
            redactor,
            host: Spaces::default(),
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Process> {
        self.by_key.get(&key)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Arguments as they may be told.
    fn arguments(&self, bytes: &[u8], are_cut: bool) -> Arc<str> {
        if !self.keeps_arguments {
            return Arc::default();
        }
        let text = join_arguments(bytes, are_cut);
        Arc::from(self.redactor.arguments(&text).as_ref())
    }

    fn insert(&mut self, process: Process) {
        let key = process.key;
        if self.by_key.insert(key, process).is_none() {
            self.order.push_back(key);
        }
        while self.by_key.len() > self.max {
            let Some(oldest) = self.order.pop_front() else { break };
            self.by_key.remove(&oldest);
        }
        // Keys of processes that were forgotten otherwise must not pile up.
        if self.order.len() > 2 * self.max {
            let by_key = &self.by_key;
            self.order.retain(|key| by_key.contains_key(key));
        }
    }

    /// A program was started. Gives the standing the process had before, if it was known.
    pub(crate) fn exec(&mut self, exec: &Exec<'_>, cgroups: &mut Cgroups) -> Option<Standing> {
        let key = exec.header.process;
        let before = self.by_key.get(&key).map(|process| process.standing);
        let text = |bytes: &[u8]| Arc::from(String::from_utf8_lossy(bytes));
        let binary = if exec.binary.len() > 1 { text(exec.binary) } else { Arc::from(exec.comm.as_str()) };
        let arguments = self.arguments(exec.arguments, exec.are_arguments_cut);
        self.insert(Process {
            key,
            parent: exec.parent.known(),
            standing: Standing { creds: exec.creds, spaces: exec.spaces },
            auid: exec.auid,
            binary,
            arguments,
            cwd: text(exec.cwd),
            comm: Arc::from(exec.comm.as_str()),
            inode: exec.inode,
            links: exec.links,
            place: cgroups.place(exec.cgroup, key.pid),
            flags: match (exec.are_arguments_cut, exec.is_cwd_cut) {
                (false, false) => "execve clone",
                (true, false) => "execve clone truncArgs",
                (false, true) => "execve clone errorCWD",
                (true, true) => "execve clone truncArgs errorCWD",
            },
            is_known: true,
            has_exited: false,
        });
        before
    }

    /// A process was made: it is what its maker is, until it starts a program of its own.
    pub(crate) fn fork(&mut self, fork: &Fork, cgroups: &mut Cgroups) {
        let maker = self.by_key.get(&fork.header.process).cloned().unwrap_or_default();
        let place = cgroups.place(fork.cgroup, fork.child.pid);
        let comm = if maker.is_known { Arc::clone(&maker.comm) } else { Arc::from(fork.comm.as_str()) };
        let mut creds = maker.standing.creds;
        creds.uid = fork.header.uid;
        self.insert(Process {
            key: fork.child,
            parent: fork.header.process.known(),
            standing: Standing { creds, spaces: fork.spaces },
            comm,
            place,
            flags: "clone",
            has_exited: false,
            ..maker
        });
    }

    /// A process that ran before we did. What stands in its memory is read from `/proc`, and may be gone.
    pub(crate) fn found(&mut self, task: &RunningTask, cgroups: &mut Cgroups) {
        let pid = task.key.pid;
        let arguments = self.arguments(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(), false);
        self.insert(Process {
            key: task.key,
            parent: task.parent.known(),
            standing: Standing { creds: task.creds, spaces: task.spaces },
            auid: task.auid,
            binary: link(pid, "exe"),
            arguments,
            cwd: link(pid, "cwd"),
            comm: Arc::from(task.comm.as_str()),
            inode: task.inode,
            links: task.links,
            place: cgroups.place(task.cgroup, pid),
            flags: "procFS",
            is_known: true,
            has_exited: false,
        });
    }

    /// The same from `/proc` alone; `false` if there is no such process any more.
    pub(crate) fn found_in_proc(&mut self, key: Key, cgroups: &Cgroups) -> bool {
        let pid = key.pid;
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).ok();
        let Some(status) = read("status") else { return false };
        let status = String::from_utf8_lossy(&status);
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let ids = |name| {
            let mut ids = field(name).split_whitespace().map(|id| id.parse().unwrap_or(0));
            std::array::from_fn::<u32, 4, _>(|_| ids.next().unwrap_or(0))
        };
        let set = |name| u64::from_str_radix(field(name), 16).unwrap_or(0);
        let ([uid, euid, suid, fsuid], [gid, egid, sgid, fsgid]) = (ids("Uid:"), ids("Gid:"));
        let (permitted, effective, inheritable) = (set("CapPrm:"), set("CapEff:"), set("CapInh:"));
        let creds = Creds { uid, euid, suid, fsuid, gid, egid, sgid, fsgid, permitted, effective, inheritable };
        let parent =
            field("PPid:").parse::<u32>().ok().and_then(|pid| self.by_key.keys().find(|key| key.pid == pid).copied());
        let cgroup = read("cgroup").unwrap_or_default();
        let auid = read("loginuid").and_then(|text| String::from_utf8_lossy(&text).trim().parse().ok());
        let process = Process {
            key,
            parent,
            standing: Standing { creds, spaces: Spaces::default() },
            auid: auid.unwrap_or(u32::MAX),
            binary: link(pid, "exe"),
            arguments: self.arguments(&read("cmdline").unwrap_or_default(), false),
            cwd: link(pid, "cwd"),
            comm: Arc::from(field("Name:")),
            place: Arc::new(cgroups.place_of_text(&String::from_utf8_lossy(&cgroup))),
            flags: "procFS",
            is_known: true,
            ..Process::default()
        };
        self.insert(process);
        true
    }

    /// A process ended; `false` if that is known already: two last threads may both see that none is left.
    pub(crate) fn exit(&mut self, key: Key, ts: u64) -> bool {
        let is_news = self.by_key.get_mut(&key).is_none_or(|process| !std::mem::replace(&mut process.has_exited, true));
        if is_news {
            self.exited.push_back((ts, key));
        }
        is_news
    }

    /// What a process may do has changed.
    pub(crate) fn changed(&mut self, key: Key, standing: Standing) {
        if let Some(process) = self.by_key.get_mut(&key) {
            process.standing = standing;
        }
    }

    /// A process moved to another cgroup.
    pub(crate) fn moved(&mut self, key: Key, cgroup: u64, cgroups: &mut Cgroups) {
        if let Some(process) = self.by_key.get_mut(&key) {
            process.place = cgroups.place(cgroup, key.pid);
        }
    }

    /// Forgets what ended long ago.
    pub(crate) fn forget(&mut self, now: u64) {
        while let Some((ended, key)) = self.exited.front().copied() {
            if now.saturating_sub(ended) < KEPT_AFTER_EXIT {
                break;
            }
            self.exited.pop_front();
            self.by_key.remove(&key);
        }
    }
}

/// Where a link of `/proc` leads; empty where that cannot be read.
fn link(pid: u32, name: &str) -> Arc<str> {
    let path = std::fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
    Arc::from(path.to_string_lossy().trim_end_matches(" (deleted)"))
}

/// Arguments after the first as one text; those with spaces in quotation marks, as Tetragon writes them.
fn join_arguments(bytes: &[u8], is_cut: bool) -> String {
    let bytes = if is_cut { bytes } else { bytes.strip_suffix(&[0]).unwrap_or(bytes) };
    let mut text = String::new();
    for argument in bytes.split(|byte| *byte == 0).skip(1) {
        let argument = String::from_utf8_lossy(argument);
        if !text.is_empty() {
            text.push(' ');
        }
        if argument.is_empty() || argument.contains(char::is_whitespace) {
            text.push('"');
            text.push_str(&argument);
            text.push('"');
        } else {
            text.push_str(&argument);
        }
    }
    text
}

/// The id of a process that Tetragon's clients know: node, start and pid. It is the same after a restart of the sensors.
pub(crate) fn exec_id(node: &str, key: Key) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{node}:{}:{}", key.start, key.pid))
}

#[cfg(test)]
mod tests;
