//! Processes, privileges and files: what an event of them does to what is known, and the rows it makes.

use aya::maps::HashMap as KernelMap;

use super::{Class, State};
use crate::config::{Config, watched_name};
use crate::decode::{CgroupEvent, Change, Exec, Exit, Fork, Key, Open, RunningTask};
use crate::kernel::Kernel;
use crate::kernel::programs::Object;
use crate::privilege;
use crate::rows::{Event, Hook};
use crate::sensor::StartError;

/// The parent of the kernel's threads, which is in the machine's own namespaces.
const KTHREADD: u32 = 2;
/// Bytes of a name in the map of watched names.
const NAME: usize = 32;

/// Tells the kernel which names are worth a look. The path is compared here.
pub(super) fn watch(kernel: &mut Kernel, config: &Config) -> Result<(), StartError> {
    let Some(map) = kernel.object(Object::File).and_then(|ebpf| ebpf.take_map("watched")) else { return Ok(()) };
    let refused = |source| StartError::Map { map: "watched", source: Box::new(source) };
    let mut map = KernelMap::<_, [u8; NAME], u8>::try_from(map).map_err(refused)?;
    for path in &config.files.watch {
        let name = watched_name(path);
        let mut key = [0; NAME];
        for (slot, byte) in key.iter_mut().zip(name.bytes().take(NAME - 1)) {
            *slot = byte;
        }
        map.insert(key, 1, 0).map_err(refused)?;
    }
    Ok(())
}

impl State {
    /// Records of the iterator over tasks. Gives the processes that are new.
    pub(super) fn learn(&mut self, bytes: &[u8]) -> Vec<Key> {
        let tasks: Vec<RunningTask> = bytes.chunks_exact(RunningTask::SIZE).filter_map(RunningTask::decode).collect();
        let mut keys = Vec::new();
        for task in &tasks {
            if task.key.pid == KTHREADD {
                self.processes.host = task.spaces;
            }
            if !task.is_kernel {
                self.processes.found(task, &mut self.cgroups);
                keys.push(task.key);
            }
        }
        // Some kernels do not show the first process to an iterator: its children know it.
        for parent in tasks.iter().filter(|task| !task.is_kernel).filter_map(|task| task.parent.known()) {
            if self.processes.get(parent).is_none() && self.processes.found_in_proc(parent, &self.cgroups) {
                keys.push(parent);
            }
        }
        keys
    }

    /// A row for each process that was found running and has not started another program since.
    pub(super) fn tell_running(&mut self, keys: &[Key]) {
        let now = self.clocks.boot();
        for key in keys {
            if self.processes.get(*key).is_some_and(|process| process.flags == "procFS") {
                let event = Event::Exec { message: "" };
                self.rows.runtime(&self.clocks, &self.processes, (now, *key), (None, None), &event);
            }
        }
    }

    pub(super) fn exec(&mut self, exec: &Exec<'_>) {
        let header = exec.header;
        let before = self.processes.exec(exec, &mut self.cgroups);
        // A program that gives more, or less, than its caller had.
        let message = before.map(|before| privilege::credentials(&before.creds, &exec.creds)).unwrap_or_default();
        let event = Event::Exec { message: &message };
        let by = (Some(header.tid), Some(header.uid));
        self.rows.runtime(&self.clocks, &self.processes, (header.ts, header.process), by, &event);
    }

    pub(super) fn fork(&mut self, fork: &Fork) {
        let ts = fork.header.ts;
        self.processes.fork(fork, &mut self.cgroups);
        if self.config.processes.forks {
            let by = (Some(fork.child.pid), Some(fork.header.uid));
            self.rows.runtime(&self.clocks, &self.processes, (ts, fork.child), by, &Event::Clone);
        }
        let flags = privilege::clone_flags(fork.clone_flags);
        if !flags.is_empty() && self.config.processes.privileges {
            let hook = Event::Hook(Hook { message: &flags, ..Hook::of("copy_namespaces") });
            let by = (Some(fork.child.pid), Some(fork.header.uid));
            self.rows.runtime(&self.clocks, &self.processes, (ts, fork.child), by, &hook);
        }
    }

    pub(super) fn exit(&mut self, exit: &Exit) {
        let header = exit.header;
        if self.processes.exit(header.process, header.ts) {
            let by = (Some(header.tid), Some(header.uid));
            self.rows.runtime(&self.clocks, &self.processes, (header.ts, header.process), by, &Event::Exit(exit));
        }
    }

    pub(super) fn cgroup(&mut self, event: &CgroupEvent) {
        if self.cgroups.heard(event.hierarchy, event.id, &event.path)
            && let Some(task) = event.task
        {
            self.processes.moved(task, event.id, &mut self.cgroups);
        }
    }

    pub(super) fn change(&mut self, change: &Change) {
        let header = change.header;
        self.processes.changed(header.process, change.after);
        let by = (Some(header.tid), Some(header.uid));
        let at = (header.ts, header.process);
        let creds = privilege::credentials(&change.before.creds, &change.after.creds);
        if !creds.is_empty() && self.may(Class::Runtime) {
            let hook = Hook { message: &creds, creds: Some(&change.after.creds), ..Hook::of("commit_creds") };
            self.rows.runtime(&self.clocks, &self.processes, at, by, &Event::Hook(hook));
        }
        let spaces = privilege::namespaces(&change.before.spaces, &change.after.spaces);
        if !spaces.is_empty() && self.may(Class::Runtime) {
            let hook = Hook { message: &spaces, ..Hook::of("switch_task_namespaces") };
            self.rows.runtime(&self.clocks, &self.processes, at, by, &Event::Hook(hook));
        }
    }

    pub(super) fn open(&mut self, open: &Open<'_>) {
        let header = open.header;
        let path = String::from_utf8_lossy(open.path);
        let is_write = open.is_write || open.is_made;
        let is_wanted = if is_write {
            !self.config.files.ignore.iter().any(|prefix| path.starts_with(prefix.as_str()))
        } else {
            self.config.files.watch.iter().any(|watched| is_watched(&path, watched))
        };
        if !is_wanted || !self.may(Class::Runtime) {
            return;
        }
        let message = match (open.is_made, open.is_write, open.is_cut) {
            (true, _, false) => "create",
            (false, true, false) => "write",
            (false, false, false) => "read",
            (true, _, true) => "create; the path lacks its beginning",
            (false, true, true) => "write; the path lacks its beginning",
            (false, false, true) => "read; the path lacks its beginning",
        };
        // The function that gives a file its descriptor: the one known name for an open.
        let hook = Hook { message, file: Some((&path, open.fd)), ..Hook::of("fd_install") };
        let by = (Some(header.tid), Some(header.uid));
        self.rows.runtime(&self.clocks, &self.processes, (header.ts, header.process), by, &Event::Hook(hook));
    }
}

/// Whether a path is the watched file, or lies directly in the watched directory.
fn is_watched(path: &str, watched: &str) -> bool {
    if watched.ends_with('/') {
        path.strip_prefix(watched).is_some_and(|name| !name.contains('/'))
    } else {
        path == watched
    }
}
