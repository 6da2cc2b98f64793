//! The benchmark: Hindcast beside DuckDB on the same generated flows.
fn main() {}
