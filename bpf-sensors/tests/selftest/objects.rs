//! The committed objects are what the sources compile to.

use std::path::Path;
use std::process::Command;

#[test]
fn the_objects_are_those_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    if Command::new("clang-14").arg("--version").output().is_err() {
        return crate::skip("the_objects_are_those_of_the_sources", "clang-14 is not installed");
    }
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new(root.join("scripts/bpf")).arg(directory.path()).status().unwrap();
    assert!(status.success(), "the sources do not compile; libbpf-dev and llvm-14 are needed beside clang-14");
    for name in ["process", "socket", "file"] {
        let read = |folder: &Path| std::fs::read(folder.join(format!("{name}.o"))).unwrap();
        let (made, committed) = (read(directory.path()), read(&root.join("bpf-sensors/probes")));
        assert!(made == committed, "{name}.o is not what {name}.bpf.c compiles to: run `make bpf`");
    }
}
