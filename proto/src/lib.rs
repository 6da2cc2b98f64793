//! Hindcast proto.
