//! Changes in words.

use super::{clone_flags, credentials, namespaces};
use crate::decode::{Creds, Spaces};

#[test]
fn a_change_is_told_in_the_names_people_use() {
    let root = Creds { effective: 0x1ff_ffff_ffff, permitted: 1 << 13, ..Creds::default() };
    let nobody = Creds { uid: 65534, euid: 65534, permitted: 1 << 12, ..Creds::default() };
    assert_eq!(
        credentials(&root, &nobody),
        "uid 0→65534, euid 0→65534, permitted -CAP_NET_RAW +CAP_NET_ADMIN, effective -0x1ffffffffff"
    );
    assert_eq!(credentials(&root, &root), "");
    let future = Creds { inheritable: 1 << 50, ..Creds::default() };
    assert_eq!(credentials(&Creds::default(), &future), "inheritable +CAP_50");
}

#[test]
fn namespaces_are_told_by_inode() {
    let (before, after) =
        (Spaces { net: 1, user: 5, ..Spaces::default() }, Spaces { net: 2, user: 5, ..Spaces::default() });
    assert_eq!(namespaces(&before, &after), "net 1→2");
    assert_eq!(namespaces(&before, &before), "");
}

#[test]
fn flags_of_threads_and_signals_are_no_namespaces() {
    assert_eq!(clone_flags(0x11), "");
    assert_eq!(clone_flags(0x6000_0011), "CLONE_NEWPID|CLONE_NEWNET");
}
