//! Hindcast storage.
