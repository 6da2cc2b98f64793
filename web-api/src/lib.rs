//! Hindcast web-api.
