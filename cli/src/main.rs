//! The hindcast binary.
fn main() {}
