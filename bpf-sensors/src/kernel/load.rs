//! Loads each program by itself: one that the kernel refuses is an entry of the report, and the others run.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aya::programs::{CgroupAttachMode, CgroupSkbAttachType, Iter, Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader};
use rustix::thread::CapabilitySet;

use super::objects;
use super::programs::{Hook, Object, PROBES, Probe, is_wanted};
use super::reasons::{bits_of, drop_reasons, first_reason};
use crate::capability::{Outcome, Report};
use crate::cgroup::Layout;
use crate::config::{Config, Sides, watched_name};

/// The probes in the kernel; they go when this does.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) report: Report,
    pub(crate) layout: Layout,
    /// What ran when the probes of processes were in place, as the iterator tells it.
    pub(crate) running: Vec<u8>,
    objects: HashMap<Object, Ebpf>,
}

/// Nothing at all could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel does not describe its types, or not to us.
    #[error("cannot read the kernel's type information at /sys/kernel/btf/vmlinux")]
    Btf(#[source] aya::BtfError),
    /// The kernel takes an object as a whole, and refused all of them.
    #[error("no probe could be loaded: {reasons}")]
    Refused {
        /// Object by object, what the kernel said.
        reasons: String,
    },
}

/// Loads what the configuration asks for.
///
/// # Errors
/// Nothing could be loaded at all.
pub(crate) fn load(config: &Config) -> Result<Kernel, LoadError> {
    let btf = Btf::from_sys_fs().map_err(LoadError::Btf)?;
    let kernel = release();
    let layout = Layout::of_machine(&config.cgroup_root);
    let cgroup = layout.unified.as_deref().and_then(|root| File::open(root).ok());
    let mut loaded = HashMap::new();
    let mut outcomes = Vec::new();
    let mut refused = Vec::new();
    let mut running = Vec::new();
    for object in Object::ALL {
        let of_object = PROBES.iter().filter(|probe| probe.object == object);
        if !of_object.clone().any(|probe| is_wanted(probe.sensor, config)) {
            outcomes.extend(of_object.map(|probe| (probe.sensor, probe.name, Outcome::Off)));
            continue;
        }
        match open(object, config, &btf, &layout, has_socket_cookies(&kernel)) {
            Ok(mut ebpf) => {
                for probe in of_object {
                    outcomes.push((probe.sensor, probe.name, start(&mut ebpf, probe, config, &btf, cgroup.as_ref())));
                }
                // At once: loading the others takes long enough for processes to come and go.
                if object == Object::Process {
                    running = iterate(&mut ebpf, "running_tasks").unwrap_or_else(|error| {
                        tracing::warn!(%error, "cannot list what runs already");
                        Vec::new()
                    });
                }
                loaded.insert(object, ebpf);
            }
            Err(error) => {
                let reason = explain(&error);
                refused.push(reason.clone());
                outcomes.extend(of_object.map(|probe| (probe.sensor, probe.name, Outcome::Failed(reason.clone()))));
            }
        }
    }
    if loaded.is_empty() {
        return Err(LoadError::Refused { reasons: refused.join("; ") });
    }
    Ok(Kernel { report: Report::from_programs(kernel, &outcomes), layout, running, objects: loaded })
}

impl Kernel {
    pub(crate) fn object(&mut self, object: Object) -> Option<&mut Ebpf> {
        self.objects.get_mut(&object)
    }

    /// What an iterator has to say now; empty where it is not loaded.
    ///
    /// # Errors
    /// The kernel stopped in the middle.
    pub(crate) fn iterate(&mut self, object: Object, name: &str) -> io::Result<Vec<u8>> {
        self.objects.get_mut(&object).map_or_else(|| Ok(Vec::new()), |ebpf| iterate(ebpf, name))
    }
}

fn iterate(ebpf: &mut Ebpf, name: &str) -> io::Result<Vec<u8>> {
    let Some(Program::Iter(program)) = ebpf.program_mut(name) else { return Ok(Vec::new()) };
    if program.fd().is_err() {
        // Not loaded: the report says why.
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    open_iterator(program).map_err(io::Error::other)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open_iterator(program: &mut Iter) -> Result<File, ProgramError> {
    let link = program.attach()?;
    let link = program.take_link(link)?;
    link.into_file().map_err(|error| ProgramError::IOError(io::Error::other(error)))
}

fn open(
    object: Object,
    config: &Config,
    btf: &Btf,
    layout: &Layout,
    has_cookies: bool,
) -> Result<Ebpf, aya::EbpfError> {
    let mut loader = EbpfLoader::new();
    // Parsed once for all objects and let go afterwards: it takes 25 MB.
    loader.btf(Some(btf));
    let (is_v1, cookies) = (u32::from(layout.is_v1), u32::from(has_cookies));
    let payload = u32::from(config.payload.enabled);
    let sides: u32 = match config.payload.http_sides {
        Sides::Server => 1,
        Sides::Client => 2,
        Sides::Both => 3,
    };
    let watch = u32::from(!config.files.watch.is_empty());
    let reasons = drop_reasons();
    let (first_reason, ignored) = (first_reason(&reasons), bits_of(&reasons, &config.sockets.ignored_drops));
    let names = config.files.watch.iter().map(|path| watched_name(path).len());
    let lengths = names.filter(|length| *length < 64).fold(0_u64, |mask, length| mask | 1 << length);
    let ring = u32::try_from(config.ring_size.as_u64()).unwrap_or(u32::MAX);
    let repeat = u64::try_from(config.files.repeat_interval.as_nanos()).unwrap_or(u64::MAX);
    let bytes = match object {
        Object::Process => {
            loader.override_global("cfg_cgroup_v1", &is_v1, true);
            objects::PROCESS
        }
        Object::Socket => {
            loader.override_global("cfg_cookie", &cookies, true);
            loader.override_global("cfg_first_reason", &first_reason, true);
            loader.override_global("cfg_ignored_reasons", &ignored, true);
            loader.override_global("cfg_payload", &payload, true);
            loader.override_global("cfg_http_sides", &sides, true);
            loader.map_max_entries("sockets", ring / 2);
            loader.map_max_entries("payloads", ring);
            loader.map_max_entries("connections", config.sockets.max_connections);
            objects::SOCKET
        }
        Object::File => {
            loader.override_global("cfg_watch", &watch, true);
            loader.override_global("cfg_watch_lengths", &lengths, true);
            loader.override_global("cfg_repeat_ns", &repeat, true);
            loader.map_max_entries("files", ring / 4);
            objects::FILE
        }
    };
    loader.load(bytes)
}

fn start(ebpf: &mut Ebpf, probe: &Probe, config: &Config, btf: &Btf, cgroup: Option<&File>) -> Outcome {
    if !is_wanted(probe.sensor, config) {
        return Outcome::Off;
    }
    let Some(program) = ebpf.program_mut(probe.name) else {
        return Outcome::Failed("not in the object".to_owned());
    };
    match attach(program, probe.hook, btf, cgroup) {
        Ok(()) => Outcome::Loaded,
        Err(error) => Outcome::Failed(explain(&error)),
    }
}

/// A program that does not run.
#[derive(Debug, thiserror::Error)]
enum AttachError {
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("the object and the table of programs disagree")]
    OtherType,
    #[error("there is no unified cgroup hierarchy (mount -t cgroup2)")]
    NoCgroup,
}

fn attach(program: &mut Program, hook: Hook, btf: &Btf, cgroup: Option<&File>) -> Result<(), AttachError> {
    match (program, hook) {
        (Program::BtfTracePoint(program), Hook::Typed(name)) => {
            program.load(name, btf)?;
            program.attach()?;
        }
        (Program::TracePoint(program), Hook::Syscalls(names)) => {
            program.load()?;
            let mut first_error = None;
            let mut n_attached = 0;
            for name in names {
                match program.attach("syscalls", name) {
                    Ok(_link) => n_attached += 1,
                    Err(error) => {
                        first_error.get_or_insert(error);
                    }
                }
            }
            if let Some(error) = first_error.filter(|_error| n_attached == 0) {
                return Err(error.into());
            }
        }
        (Program::CgroupSkb(program), Hook::Egress | Hook::Ingress) => {
            let cgroup = cgroup.ok_or(AttachError::NoCgroup)?;
            let side = if hook == Hook::Egress { CgroupSkbAttachType::Egress } else { CgroupSkbAttachType::Ingress };
            program.load()?;
            // A link is one of many whatever the mode says; the other mode's flag is one that links refuse.
            program.attach(cgroup, side, CgroupAttachMode::Single)?;
        }
        (Program::CgroupSock(program), Hook::SocketLife) => {
            let cgroup = cgroup.ok_or(AttachError::NoCgroup)?;
            program.load()?;
            program.attach(cgroup, CgroupAttachMode::Single)?;
        }
        (Program::Iter(program), Hook::Iterator(name)) => program.load(name, btf)?,
        _ => return Err(AttachError::OtherType),
    }
    Ok(())
}

/// What the kernel said, in one line: the chain of causes, and of the verifier's words the last.
fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let program = match error.downcast_ref::<AttachError>() {
        Some(AttachError::Program(program)) => Some(program),
        _ => None,
    };
    let mut text = match program {
        Some(ProgramError::LoadError { io_error, verifier_log }) => {
            let log = verifier_log.to_string();
            let mut lines = log.lines().rev().map(str::trim);
            match lines.find(|line| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start))) {
                // A call of a helper that cannot be: what stands where a field was not found.
                Some(last) if last.contains("unknown#195896080") => "the kernel lacks a field it reads".to_owned(),
                Some(last) if last.starts_with("invalid bpf_context access") => {
                    format!("this kernel's tracepoint lacks an argument that newer ones have ({last})")
                }
                Some(last) => format!("refused: {io_error}: {last}"),
                None => format!("refused: {io_error}"),
            }
        }
        _ => hindcast_model::report(error).replace('\n', " "),
    };
    if text.contains("tracefs not found") {
        text.push_str(" (mount -t tracefs tracefs /sys/kernel/tracing)");
    }
    if let Some((end, _)) = text.char_indices().nth(MAX_REASON) {
        text.truncate(end);
    }
    if text.contains("Operation not permitted") {
        text.push_str(&lacking());
    }
    text
}

/// What of the needed capabilities this process does not have, as the end of a reason.
fn lacking() -> String {
    let needed = [
        (CapabilitySet::BPF, "CAP_BPF"),
        (CapabilitySet::PERFMON, "CAP_PERFMON"),
        (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    ];
    let have = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    // What CAP_BPF and CAP_PERFMON allow was SYS_ADMIN's before, and still is.
    let is_enough = |capability| {
        have.contains(capability) || (capability != CapabilitySet::NET_ADMIN && have.contains(CapabilitySet::SYS_ADMIN))
    };
    let names: Vec<&str> =
        needed.into_iter().filter(|(capability, _)| !is_enough(*capability)).map(|(_, name)| name).collect();
    if names.is_empty() {
        " (no capability is missing: a policy of this machine)".to_owned()
    } else {
        format!(" (without {})", names.join(", "))
    }
}

/// How lines of the verifier begin that stand behind its verdict.
const STATISTICS: &[&str] = &["processed ", "stack depth ", "verification time "];
/// Letters of a reason at most.
const MAX_REASON: usize = 400;

/// Kernel release, as `uname -r` has it.
pub(crate) fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Whether tracing programs may ask for a socket's cookie: since 5.12.
fn has_socket_cookies(release: &str) -> bool {
    let mut numbers =
        release.split(|character: char| !character.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 12)
}

/// The tracefs mount, wherever it is.
pub(crate) fn tracefs() -> Option<PathBuf> {
    ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .into_iter()
        .map(Path::new)
        .find(|path| path.join("events").is_dir())
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests;
