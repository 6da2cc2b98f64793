//! Hindcast ingest.
