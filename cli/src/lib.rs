//! Hindcast cli.

pub mod generate;
