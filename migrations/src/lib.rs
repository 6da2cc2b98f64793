//! Hindcast migrations.
