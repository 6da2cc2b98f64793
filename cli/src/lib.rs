//! Hindcast cli.
