//! The forms of cgroup paths that runtimes and systemd write.

use std::path::PathBuf;

use super::{Layout, Place};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "6f1c2a8e-0b1d-4c7e-9a55-1f2e3d4c5b6a";

fn check(path: &str, pod: Option<&str>, container: Option<&str>, runtime: Option<&'static str>, unit: Option<&str>) {
    let path = path.replace("ID", ID).replace("U_ID", &UID.replace('-', "_")).replace("UID", UID);
    let expected = Place {
        pod_uid: pod.map(str::to_owned),
        container_id: container.map(str::to_owned),
        runtime,
        unit: unit.map(str::to_owned),
    };
    assert_eq!(Place::of_path(&path), expected, "{path}");
}

#[test]
fn paths_of_kubernetes_name_pod_and_container() {
    let under = UID.replace('-', "_");
    for (tail, runtime) in [
        ("cri-containerd-ID.scope", Some("containerd")),
        ("crio-ID.scope", Some("cri-o")),
        ("docker-ID.scope", Some("docker")),
        ("ID", None),
    ] {
        for head in [
            format!("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{under}.slice/"),
            format!("/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{under}.slice/"),
            format!("/kubepods/burstable/pod{UID}/"),
            format!("/kubepods/pod{UID}/"),
        ] {
            check(&format!("{head}{tail}"), Some(UID), Some(ID), runtime, None);
        }
    }
    check("/kubepods/besteffort/pod0123456789abcdef0123456789abcdef/ID", ID.get(..32), Some(ID), None, None);
    check(&format!("/kubepods/burstable/pod{UID}"), Some(UID), None, None, None);
}

#[test]
fn a_cluster_in_a_container_names_the_inner_one() {
    let outer = "f".repeat(64);
    let path = format!("/docker/{outer}/kubelet/kubepods/burstable/pod{UID}/cri-containerd-ID.scope");
    check(&path, Some(UID), Some(ID), Some("containerd"), None);
}

#[test]
fn paths_without_kubernetes_name_the_container() {
    check("/docker/ID", None, Some(ID), Some("docker"), None);
    check("/system.slice/docker-ID.scope", None, Some(ID), Some("docker"), None);
    check("/machine.slice/libpod-ID.scope/container", None, Some(ID), Some("podman"), None);
    check("/libpod_parent/libpod-ID", None, Some(ID), Some("podman"), None);
    let rootless = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container";
    check(rootless, None, Some(ID), Some("podman"), None);
    check("/default/nerdctl-ID.scope", None, Some(ID), Some("containerd"), None);
    check("/system.slice:docker:ID", None, Some(ID), Some("docker"), None);
    check("/kubepods-burstable.slice:cri-containerd:ID", None, Some(ID), Some("containerd"), None);
    check(
        "/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-2879",
        None,
        Some("0123456789abcdef0123456789abcdef-2879"),
        None,
        None,
    );
    check("/system.slice/docker-ID.scope/system.slice/nginx.service", None, Some(ID), Some("docker"), None);
}

#[test]
fn helpers_beside_containers_are_none() {
    check("/machine.slice/libpod-conmon-ID.scope", None, None, None, None);
    check("/kubepods.slice/crio-conmon-ID.scope", None, None, None, None);
}

#[test]
fn paths_without_containers_name_the_unit() {
    check("/system.slice/nginx.service", None, None, None, Some("nginx.service"));
    check("/system.slice/system-getty.slice/getty@tty1.service", None, None, None, Some("getty@tty1.service"));
    check("/system.slice/dev\\x2dlog.service", None, None, None, Some("dev-log.service"));
    let user = "/user.slice/user-1000.slice/user@1000.service/app.slice/editor.service";
    check(user, None, None, None, Some("editor.service"));
    check("/user.slice/user-1000.slice/session-3.scope", None, None, None, None);
    check("/init.scope", None, None, None, None);
    check("/", None, None, None, None);
    check("", None, None, None, None);
}

#[test]
fn what_only_looks_like_a_container_is_none() {
    check("/system.slice/docker-abc.scope", None, None, None, None);
    check("/podinfo/x", None, None, None, None);
    check("/kubepods/podnot-a-uid", None, None, None, None);
    check(&"/x".repeat(5000), None, None, None, None);
}

#[test]
fn the_layout_says_which_hierarchy_counts() {
    let v2 = Layout::parse("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", "0::/user.slice\n");
    assert_eq!((v2.is_v1, v2.unified.clone()), (false, Some(PathBuf::from("/sys/fs/cgroup"))));
    assert_eq!(v2.path_in("0::/a/b:c\n"), Some("/a/b:c"));

    let mounts =
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\n";
    let hybrid = Layout::parse(mounts, "8:pids:/docker/x\n1:name=systemd:/\n0::/\n");
    assert!(hybrid.is_v1);
    assert_eq!(hybrid.tree, Some(PathBuf::from("/sys/fs/cgroup/pids")));
    assert_eq!(hybrid.path_in("8:pids:/docker/x\n0::/\n"), Some("/docker/x"));
    assert_eq!(hybrid.path_in("garbage"), None);

    let v1 = Layout::parse("cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n", "3:pids:/\n");
    assert_eq!((v1.is_v1, v1.unified), (true, None));
}
