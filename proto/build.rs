//! Compiles `proto/` to Rust and to a descriptor set, without a system `protoc`.

use std::error::Error;
use std::path::PathBuf;

/// Every file that declares something of its own; imports follow.
const FILES: &[&str] = &[
    "flow/agent.proto",
    "flow/filter.proto",
    "flow/flow.proto",
    "observer/observer.proto",
    "peer/peer.proto",
    "relay/relay.proto",
    "tetragon/events.proto",
    "tetragon/eventlogservice.proto",
    "tetragon/sensors.proto",
];

/// Streamed responses are passed on as bytes that are encoded already: no struct is built for an event.
const RAW: &[&str] = &[
    ".observer.GetFlowsResponse",
    ".observer.GetAgentEventsResponse",
    ".observer.GetDebugEventsResponse",
    ".tetragon.GetEventsResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let with_comments = compiler.file_descriptor_set();
    compiler.include_source_info(false);
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let mut builder = tonic_prost_build::configure();
    for name in RAW {
        builder = builder.extern_path(*name, "crate::RawMessage");
    }
    builder.compile_fds(with_comments)?;
    Ok(())
}
