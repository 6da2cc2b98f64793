//! How many datagrams the kernel dropped because a socket's buffer was full: from its list of sockets.

use std::os::fd::AsFd;

/// The kernel's lists of UDP sockets, in this network namespace.
const LISTS: [&str; 2] = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
/// Place of the inode in a line, counted in words.
const INODE: usize = 9;

/// The drops of one socket.
#[derive(Debug)]
pub(super) struct Drops {
    inode: Option<u64>,
    n_told: u64,
}

impl Drops {
    pub(super) fn of(socket: &impl AsFd) -> Self {
        Self { inode: rustix::fs::fstat(socket).ok().map(|status| status.st_ino), n_told: 0 }
    }

    /// How many came on top since the last time.
    pub(super) fn news(&mut self) -> u64 {
        let Some(inode) = self.inode else { return 0 };
        let now = LISTS.iter().find_map(|list| count(&std::fs::read_to_string(list).ok()?, inode));
        let now = now.unwrap_or(self.n_told);
        let news = now.saturating_sub(self.n_told);
        self.n_told = now;
        news
    }
}

/// The last word of the socket's line.
fn count(list: &str, inode: u64) -> Option<u64> {
    let mut lines = list.lines().map(str::split_ascii_whitespace);
    let mut line = lines.find(|line| line.clone().nth(INODE).and_then(|word| word.parse().ok()) == Some(inode))?;
    line.next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernels_own_count_is_read() {
        let list = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n 1234: 0100007F:0807 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 ffff8880 17\n";
        assert_eq!(super::count(list, 4242), Some(17));
        assert_eq!(super::count(list, 1), None);
    }
}
