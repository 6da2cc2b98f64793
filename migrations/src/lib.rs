//! Numbered steps of the schemas that are shipped, and their runner.
//!
//! A step never changes once it is released; a new state of a schema is a new step. The number of the last step that
//! was applied is kept in the file itself.
//!
//! Not here: rows. What a schema holds is its owner's business.
#![forbid(unsafe_code)]

pub mod clickhouse;
pub mod lake;

use rusqlite::{Connection, TransactionBehavior};

/// One step of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number: 1 for the first, then one more for each.
    pub version: u32,
    /// What it does, in a word.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// The steps of the segment catalogue.
pub const CATALOG: &[Step] = &[
    Step { version: 1, name: "ducklake", sql: include_str!("../catalog/0001-ducklake.sql") },
    Step { version: 2, name: "hindcast", sql: include_str!("../catalog/0002-hindcast.sql") },
    Step { version: 3, name: "rolled-up", sql: include_str!("../catalog/0003-rolled-up.sql") },
    Step { version: 4, name: "shipments", sql: include_str!("../catalog/0004-shipments.sql") },
    Step { version: 5, name: "moved", sql: include_str!("../catalog/0005-moved.sql") },
    Step { version: 6, name: "sent-again", sql: include_str!("../catalog/0006-sent-again.sql") },
];

/// Why a schema could not be brought up to date. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A later build wrote the file.
    #[error("the schema has version {found}, this build knows versions up to {known}: use a later build")]
    FromTheFuture {
        /// The file's version.
        found: u32,
        /// The last this build knows.
        known: u32,
    },
    /// A step failed.
    #[error("cannot apply step {version} ({name})")]
    Step {
        /// Its number.
        version: u32,
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file cannot be read or written.
    #[error("cannot use the schema's file")]
    File(#[source] rusqlite::Error),
}

/// The version of the schema in a file; 0 for an empty one.
///
/// # Errors
/// The file cannot be read.
pub fn version(connection: &Connection) -> Result<u32, MigrateError> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(MigrateError::File)
}

/// Applies the steps a file lacks, each whole or not at all. Returns the version before.
///
/// # Errors
/// The file is from a later build, or a step fails.
pub fn migrate(connection: &mut Connection, steps: &[Step]) -> Result<u32, MigrateError> {
    let found = version(connection)?;
    let known = steps.last().map_or(0, |step| step.version);
    if found > known {
        return Err(MigrateError::FromTheFuture { found, known });
    }
    for step in steps.iter().filter(|step| step.version > found) {
        let failed = |source| MigrateError::Step { version: step.version, name: step.name, source };
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(MigrateError::File)?;
        transaction.execute_batch(step.sql).map_err(failed)?;
        transaction.pragma_update(None, "user_version", step.version).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
