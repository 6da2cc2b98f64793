//! The compiled probes. `make bpf` makes them from `probes/*.bpf.c`; they are committed, so that building needs no clang.

use aya::include_bytes_aligned;

/// Processes and privileges.
pub(crate) static PROCESS: &[u8] = include_bytes_aligned!("../../probes/process.o");
/// Connections, packets and drops.
pub(crate) static SOCKET: &[u8] = include_bytes_aligned!("../../probes/socket.o");
/// Files.
pub(crate) static FILE: &[u8] = include_bytes_aligned!("../../probes/file.o");
