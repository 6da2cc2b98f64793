//! Hindcast query.
