//! The `hindcast` binary: the allocator and the door into the library, nothing else.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hindcast_cli::main(std::env::args_os())
}
