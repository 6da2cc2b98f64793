//! From a cgroup to what runs in it: container, pod or systemd unit. The forms of paths are pure functions; the tree of
//! cgroups is read once at the start and kept up by the kernel's own word.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a cgroup path says of the tasks in it. What it does not say stays absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Uid of the pod.
    pub pod_uid: Option<String>,
    /// Id of the container, without its runtime.
    pub container_id: Option<String>,
    /// Runtime of the container, where the path names it.
    pub runtime: Option<&'static str>,
    /// The systemd unit outside of containers.
    pub unit: Option<String>,
}

/// How the last part of a container's cgroup begins, by runtime; what is left is the id.
const PREFIXES: &[(&str, &str)] = &[
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
    ("docker-", "docker"),
    ("libpod-", "podman"),
];

/// How the parts of helper processes begin, which stand beside a container and are none.
const HELPERS: &[&str] = &["crio-conmon-", "libpod-conmon-"];

/// Length of a container id: a SHA-256 in hexadecimal.
const ID_LEN: usize = 64;

impl Place {
    /// Reads a cgroup path, as `/proc/PID/cgroup` has it.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let mut place = Self::default();
        let mut above = "";
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if let Some(uid) = pod_uid(part) {
                place = Self { pod_uid: Some(uid), ..Self::default() };
            } else if let Some((id, runtime)) = container(part) {
                place.container_id = Some(id.to_owned());
                place.runtime = runtime.or_else(|| runtime_of_parent(above));
                place.unit = None;
            } else if part.ends_with(".service") && place.container_id.is_none() && place.pod_uid.is_none() {
                place.unit = Some(unescape_unit(part));
            }
            above = part;
        }
        place
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `pod<uid>` and, with systemd, `…kubepods-<class>-pod<uid with underscores>.slice`.
fn pod_uid(part: &str) -> Option<String> {
    let uid = match part.strip_suffix(".slice") {
        Some(slice) if slice.contains("kubepods") => slice.rsplit_once("-pod")?.1,
        Some(_) => return None,
        None => part.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    // A pod of the API server has a UUID, one of a file on the node 32 hexadecimal digits.
    let is_uid = matches!(uid.len(), 32 | 36) && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uid.then_some(uid)
}

fn container(part: &str) -> Option<(&str, Option<&'static str>)> {
    if HELPERS.iter().any(|helper| part.starts_with(helper)) {
        return None;
    }
    let part = part.strip_suffix(".scope").unwrap_or(part);
    // runc's form without systemd: slice:prefix:id.
    let (runtime, id) = match part.rsplit_once(':') {
        Some((before, id)) => {
            let prefix = before.rsplit(':').next().unwrap_or_default();
            (PREFIXES.iter().find(|(known, _)| known.trim_end_matches('-') == prefix).map(|(_, runtime)| *runtime), id)
        }
        None => PREFIXES
            .iter()
            .find_map(|(prefix, runtime)| Some((Some(*runtime), part.strip_prefix(prefix)?)))
            .unwrap_or((None, part)),
    };
    let is_id = id.len() == ID_LEN && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    // ECS on Fargate: task id, a dash, a number.
    let is_fargate = || {
        id.split_once('-').is_some_and(|(task, number)| {
            task.len() == 32
                && task.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    (is_id || is_fargate()).then_some((id, runtime))
}

fn runtime_of_parent(part: &str) -> Option<&'static str> {
    match part {
        "docker" => Some("docker"),
        "libpod_parent" => Some("podman"),
        _ => None,
    }
}

/// systemd writes bytes that a name may not have as `\xNN`.
fn unescape_unit(unit: &str) -> String {
    let mut text = String::with_capacity(unit.len());
    let mut rest = unit;
    while let Some((before, after)) = rest.split_once("\\x") {
        text.push_str(before);
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(u8::is_ascii) {
            Some(byte) => {
                text.push(char::from(byte));
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                text.push_str("\\x");
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

/// Where this machine keeps its cgroups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Mount of the unified hierarchy.
    pub(crate) unified: Option<PathBuf>,
    /// Tasks live in version 1 hierarchies; the one of the pids controller tells where.
    pub(crate) is_v1: bool,
    /// Number of the hierarchy that tells where tasks live.
    hierarchy: u32,
    /// Its mount.
    tree: Option<PathBuf>,
}

impl Layout {
    pub(crate) fn of_machine(configured: &Path) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let mut layout = Self::parse(&read("/proc/self/mounts"), &read("/proc/self/cgroup"));
        if !configured.as_os_str().is_empty() {
            layout.unified = Some(configured.to_owned());
            if !layout.is_v1 {
                layout.tree = layout.unified.clone();
            }
        }
        layout
    }

    /// From the texts of `/proc/self/mounts` and `/proc/self/cgroup`.
    fn parse(mounts: &str, own: &str) -> Self {
        let pids = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (number, controllers) = (parts.next()?, parts.next()?);
            controllers.split(',').any(|controller| controller == "pids").then(|| number.parse().ok())?
        });
        let mount = |wanted: &str, option: Option<&str>| {
            mounts.lines().find_map(|line| {
                let mut parts = line.split(' ').skip(1);
                let (path, kind, options) = (parts.next()?, parts.next()?, parts.next()?);
                let fits = kind == wanted && option.is_none_or(|option| options.split(',').any(|have| have == option));
                fits.then(|| PathBuf::from(path))
            })
        };
        let unified = mount("cgroup2", None);
        let tree = if pids.is_some() { mount("cgroup", Some("pids")) } else { unified.clone() };
        Self { unified, is_v1: pids.is_some(), hierarchy: pids.unwrap_or(0), tree }
    }

    /// The path of a process in the hierarchy that counts, from the text of its `/proc/PID/cgroup`.
    pub(crate) fn path_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (number, _controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            (number.parse() == Ok(self.hierarchy)).then_some(path)
        })
    }
}

/// The cgroups that are known, by id: the inode of their directory.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    layout: Layout,
    places: HashMap<u64, Arc<Place>>,
    nowhere: Arc<Place>,
}

/// Cgroups that are remembered. On a machine that makes more they are learned again as tasks show up in them.
const MAX_CGROUPS: usize = 32_768;
/// Depth to which the tree is read; kubelet's deepest is 6.
const MAX_DEPTH: usize = 16;

impl Cgroups {
    pub(crate) fn new(layout: Layout) -> Self {
        let mut cgroups = Self { layout, ..Self::default() };
        if let Some(root) = cgroups.layout.tree.clone() {
            cgroups.read_tree(&root, &mut String::new(), 0);
        }
        cgroups
    }

    fn read_tree(&mut self, directory: &Path, path: &mut String, depth: usize) {
        let Ok(metadata) = fs::metadata(directory) else { return };
        self.learn(metadata.ino(), if path.is_empty() { "/" } else { path });
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            if depth < MAX_DEPTH && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let length = path.len();
                path.push('/');
                path.push_str(&entry.file_name().to_string_lossy());
                self.read_tree(&entry.path(), path, depth + 1);
                path.truncate(length);
            }
        }
    }

    fn learn(&mut self, id: u64, path: &str) {
        if self.places.len() >= MAX_CGROUPS {
            self.places.clear();
        }
        self.places.insert(id, Arc::new(Place::of_path(path)));
    }

    /// Takes the kernel's word that a cgroup was made or entered; `false` if it is of a hierarchy that does not count.
    pub(crate) fn heard(&mut self, hierarchy: u32, id: u64, path: &str) -> bool {
        let counts = hierarchy == self.layout.hierarchy;
        if counts {
            self.learn(id, path);
        }
        counts
    }

    /// Where a process is, from the text of its `/proc/PID/cgroup`.
    pub(crate) fn place_of_text(&self, text: &str) -> Place {
        self.layout.path_in(text).map(Place::of_path).unwrap_or_default()
    }

    /// Where the tasks of a cgroup are. Of one that is not known, a process in it is asked.
    pub(crate) fn place(&mut self, id: u64, pid: u32) -> Arc<Place> {
        if let Some(place) = self.places.get(&id) {
            return Arc::clone(place);
        }
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return Arc::clone(&self.nowhere) };
        let Some(path) = self.layout.path_in(&text).map(str::to_owned) else { return Arc::clone(&self.nowhere) };
        self.learn(id, &path);
        self.places.get(&id).map_or_else(|| Arc::clone(&self.nowhere), Arc::clone)
    }
}

#[cfg(test)]
mod tests;
