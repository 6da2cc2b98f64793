//! What changed in a task's standing, in words.

use crate::decode::{Creds, Spaces};

/// Names of capabilities, by number.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Sets of more names than this are written as numbers: all of root's would be a page.
const MAX_NAMES: u32 = 8;

/// How credentials changed; empty if they did not.
pub(crate) fn credentials(before: &Creds, after: &Creds) -> String {
    let mut words = Vec::new();
    for (name, before, after) in [
        ("uid", before.uid, after.uid),
        ("euid", before.euid, after.euid),
        ("suid", before.suid, after.suid),
        ("fsuid", before.fsuid, after.fsuid),
        ("gid", before.gid, after.gid),
        ("egid", before.egid, after.egid),
        ("sgid", before.sgid, after.sgid),
        ("fsgid", before.fsgid, after.fsgid),
    ] {
        if before != after {
            words.push(format!("{name} {before}→{after}"));
        }
    }
    for (name, before, after) in [
        ("permitted", before.permitted, after.permitted),
        ("effective", before.effective, after.effective),
        ("inheritable", before.inheritable, after.inheritable),
    ] {
        if before != after {
            words.push(format!("{name}{}{}", set('-', before & !after), set('+', after & !before)));
        }
    }
    words.join(", ")
}

fn set(sign: char, bits: u64) -> String {
    if bits == 0 {
        return String::new();
    }
    if bits.count_ones() > MAX_NAMES {
        return format!(" {sign}{bits:#x}");
    }
    let names = (0..64_usize).filter(|number| bits >> number & 1 == 1).map(|number| match CAPABILITIES.get(number) {
        Some(name) => format!(" {sign}{name}"),
        None => format!(" {sign}CAP_{number}"),
    });
    names.collect()
}

/// How namespaces changed; empty if they did not.
pub(crate) fn namespaces(before: &Spaces, after: &Spaces) -> String {
    let spaces = [
        ("user", before.user, after.user),
        ("mnt", before.mnt, after.mnt),
        ("pid_for_children", before.pid_for_children, after.pid_for_children),
        ("net", before.net, after.net),
        ("ipc", before.ipc, after.ipc),
        ("uts", before.uts, after.uts),
        ("cgroup", before.cgroup, after.cgroup),
        ("time", before.time, after.time),
    ];
    let changed = spaces.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(name, before, after)| format!("{name} {before}→{after}")).collect::<Vec<_>>().join(", ")
}

/// Namespaces that a new process gets of its own, by the flags of `clone`; empty for none.
pub(crate) fn clone_flags(flags: u64) -> String {
    const NAMES: [(u64, &str); 8] = [
        (0x0000_0080, "CLONE_NEWTIME"),
        (0x0002_0000, "CLONE_NEWNS"),
        (0x0200_0000, "CLONE_NEWCGROUP"),
        (0x0400_0000, "CLONE_NEWUTS"),
        (0x0800_0000, "CLONE_NEWIPC"),
        (0x1000_0000, "CLONE_NEWUSER"),
        (0x2000_0000, "CLONE_NEWPID"),
        (0x4000_0000, "CLONE_NEWNET"),
    ];
    NAMES.into_iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| name).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests;
