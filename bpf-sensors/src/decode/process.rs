//! Events of processes, privileges and files.

use super::{Fields, Header, Key};

/// User and group ids and capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Creds {
    pub(crate) uid: u32,
    pub(crate) euid: u32,
    pub(crate) suid: u32,
    pub(crate) fsuid: u32,
    pub(crate) gid: u32,
    pub(crate) egid: u32,
    pub(crate) sgid: u32,
    pub(crate) fsgid: u32,
    pub(crate) permitted: u64,
    pub(crate) effective: u64,
    pub(crate) inheritable: u64,
}

impl Creds {
    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            uid: fields.u32()?,
            euid: fields.u32()?,
            suid: fields.u32()?,
            fsuid: fields.u32()?,
            gid: fields.u32()?,
            egid: fields.u32()?,
            sgid: fields.u32()?,
            fsgid: fields.u32()?,
            permitted: fields.u64()?,
            effective: fields.u64()?,
            inheritable: fields.u64()?,
        })
    }
}

/// Inode numbers of namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spaces {
    pub(crate) user: u32,
    pub(crate) mnt: u32,
    pub(crate) pid: u32,
    pub(crate) pid_for_children: u32,
    pub(crate) net: u32,
    pub(crate) ipc: u32,
    pub(crate) uts: u32,
    pub(crate) cgroup: u32,
    pub(crate) time: u32,
    /// The pid in the process's own namespace.
    pub(crate) inner_pid: u32,
}

impl Spaces {
    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            user: fields.u32()?,
            mnt: fields.u32()?,
            pid: fields.u32()?,
            pid_for_children: fields.u32()?,
            net: fields.u32()?,
            ipc: fields.u32()?,
            uts: fields.u32()?,
            cgroup: fields.u32()?,
            time: fields.u32()?,
            inner_pid: fields.u32()?,
        })
    }
}

/// A program was started.
#[derive(Debug)]
pub(crate) struct Exec<'a> {
    pub(crate) header: Header,
    pub(crate) parent: Key,
    pub(crate) cgroup: u64,
    pub(crate) inode: u64,
    pub(crate) links: u32,
    pub(crate) auid: u32,
    pub(crate) creds: Creds,
    pub(crate) spaces: Spaces,
    pub(crate) comm: String,
    pub(crate) binary: &'a [u8],
    pub(crate) cwd: &'a [u8],
    /// Arguments, each ended by a zero, the first the program's name.
    pub(crate) arguments: &'a [u8],
    pub(crate) are_arguments_cut: bool,
    pub(crate) is_cwd_cut: bool,
}

impl<'a> Exec<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let header = fields.header()?;
        let (parent_start, cgroup, inode) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (_device, links, parent_pid, auid) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        let (creds, spaces) = (Creds::take(&mut fields)?, Spaces::take(&mut fields)?);
        let lengths = [fields.u16()?, fields.u16()?, fields.u16()?];
        let cut = fields.u16()?;
        let comm = fields.text(16)?;
        let [binary, cwd, arguments] = lengths.map(|length| fields.bytes(usize::from(length)));
        Some(Self {
            header,
            parent: Key { pid: parent_pid, start: parent_start },
            cgroup,
            inode,
            links,
            auid,
            creds,
            spaces,
            comm,
            binary: binary?,
            cwd: cwd?,
            arguments: arguments?,
            are_arguments_cut: cut & 1 != 0,
            is_cwd_cut: cut & 4 != 0,
        })
    }
}

/// A process was made; the header is its maker's.
#[derive(Debug)]
pub(crate) struct Fork {
    pub(crate) header: Header,
    pub(crate) child: Key,
    pub(crate) cgroup: u64,
    pub(crate) clone_flags: u64,
    pub(crate) spaces: Spaces,
    pub(crate) comm: String,
}

impl Fork {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let header = fields.header()?;
        let (start, cgroup, clone_flags) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let pid = fields.u32()?;
        let _pad = fields.u32()?;
        let (spaces, comm) = (Spaces::take(&mut fields)?, fields.text(16)?);
        Some(Self { header, child: Key { pid, start }, cgroup, clone_flags, spaces, comm })
    }
}

/// A process ended.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) header: Header,
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
    pub(crate) max_rss_pages: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    /// As `wait` gives it: the status in the second byte, the signal in the low seven bits.
    pub(crate) code: u32,
    /// Whether the kernel counts what is read and written.
    pub(crate) has_io: bool,
}

impl Exit {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        Some(Self {
            header: fields.header()?,
            user_ns: fields.u64()?,
            system_ns: fields.u64()?,
            max_rss_pages: fields.u64()?,
            read_bytes: fields.u64()?,
            written_bytes: fields.u64()?,
            code: fields.u32()?,
            has_io: fields.u32()? == 0,
        })
    }
}

/// A cgroup was made, or a task moved into one.
#[derive(Debug)]
pub(crate) struct CgroupEvent {
    pub(crate) id: u64,
    pub(crate) hierarchy: u32,
    /// Who moved.
    pub(crate) task: Option<Key>,
    pub(crate) path: String,
}

impl CgroupEvent {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let _header = fields.header()?;
        let (id, start, hierarchy, pid) = (fields.u64()?, fields.u64()?, fields.u32()?, fields.u32()?);
        Some(Self { id, hierarchy, task: Key { pid, start }.known(), path: fields.text(512)? })
    }
}

/// What a task may do and where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) creds: Creds,
    pub(crate) spaces: Spaces,
}

/// A system call changed a task's standing.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) header: Header,
    pub(crate) before: Standing,
    pub(crate) after: Standing,
}

impl Change {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let header = fields.header()?;
        let _syscall = fields.u64()?;
        let mut standing = || Some(Standing { creds: Creds::take(&mut fields)?, spaces: Spaces::take(&mut fields)? });
        Some(Self { header, before: standing()?, after: standing()? })
    }
}

/// A file was opened.
#[derive(Debug)]
pub(crate) struct Open<'a> {
    pub(crate) header: Header,
    /// Whether it may be written.
    pub(crate) is_write: bool,
    /// Whether it was made by this.
    pub(crate) is_made: bool,
    /// Whether the path lacks its beginning.
    pub(crate) is_cut: bool,
    pub(crate) fd: u32,
    pub(crate) path: &'a [u8],
}

impl<'a> Open<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let header = fields.header()?;
        let _inode = fields.u64()?;
        let (_device, flags, made, cut) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        let (length, fd) = (fields.u32()?, fields.u32()?);
        let path = fields.bytes(usize::try_from(length).ok()?)?;
        Some(Self { header, is_write: flags & 3 != 0, is_made: made != 0, is_cut: cut != 0, fd, path })
    }
}

/// A task that ran before we did.
#[derive(Debug)]
pub(crate) struct RunningTask {
    pub(crate) key: Key,
    pub(crate) parent: Key,
    pub(crate) cgroup: u64,
    pub(crate) auid: u32,
    pub(crate) is_kernel: bool,
    pub(crate) inode: u64,
    pub(crate) links: u32,
    pub(crate) creds: Creds,
    pub(crate) spaces: Spaces,
    pub(crate) comm: String,
}

impl RunningTask {
    /// Bytes of one record.
    pub(crate) const SIZE: usize = 168;

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let (start, parent_start, cgroup) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (pid, parent_pid, auid, kernel) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        let inode = fields.u64()?;
        let (_device, links) = (fields.u32()?, fields.u32()?);
        Some(Self {
            key: Key { pid, start },
            parent: Key { pid: parent_pid, start: parent_start },
            cgroup,
            auid,
            is_kernel: kernel != 0,
            inode,
            links,
            creds: Creds::take(&mut fields)?,
            spaces: Spaces::take(&mut fields)?,
            comm: fields.text(16)?,
        })
    }
}
