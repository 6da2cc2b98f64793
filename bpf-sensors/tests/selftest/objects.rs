//! The committed objects are what the sources compile to.

use std::path::Path;
use std::process::Command;

#[test]
fn the_objects_are_those_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let lacks = |program: &&str| Command::new(program).arg("--version").output().is_err();
    let has_headers = Path::new("/usr/include/bpf/bpf_helpers.h").is_file();
    if !has_headers || ["clang-14", "llvm-strip-14"].iter().any(lacks) {
        return crate::skip("the_objects_are_those_of_the_sources", "needs packages clang-14, llvm-14 and libbpf-dev");
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
