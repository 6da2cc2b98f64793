//! The shared catalogue's schema: brought up to date by whoever publishes, checked by whoever reads.

use hindcast_migrations::lake::STEPS;
use tokio_postgres::Transaction;

use super::LakeError;
use super::client::Lake;

/// Who changes the catalogue holds this lock until the transaction ends: one at a time, whoever it is.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('hindcast lake'))";

/// The version this build knows.
fn known() -> i64 {
    STEPS.last().map_or(0, |step| i64::from(step.version))
}

/// Applies the steps that the catalogue lacks. The lock is held.
pub(super) async fn migrate(transaction: &Transaction<'_>) -> Result<(), Migrate> {
    transaction.batch_execute("CREATE TABLE IF NOT EXISTS hindcast_schema(version bigint NOT NULL)").await?;
    let row = transaction.query_one("SELECT COALESCE(MAX(version), 0) FROM hindcast_schema", &[]).await?;
    let found: i64 = row.get(0);
    if found > known() {
        return Err(Migrate::Version(found));
    }
    for step in STEPS.iter().filter(|step| i64::from(step.version) > found) {
        transaction.batch_execute(step.sql).await?;
        tracing::info!(step = step.name, version = step.version, "the shared catalogue is brought up to date");
    }
    if found < known() {
        transaction.execute("DELETE FROM hindcast_schema", &[]).await?;
        transaction.execute("INSERT INTO hindcast_schema VALUES ($1)", &[&known()]).await?;
    }
    Ok(())
}

/// Why [`migrate`] did not.
pub(super) enum Migrate {
    /// A later build was here.
    Version(i64),
    /// A statement failed.
    Failed(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Migrate {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error)
    }
}

impl Migrate {
    /// The error it is, with what `failed` makes of a statement's.
    pub(super) fn into_error(self, failed: impl FnOnce(tokio_postgres::Error) -> LakeError) -> LakeError {
        match self {
            Self::Version(found) => version(found),
            Self::Failed(error) => failed(error),
        }
    }
}

fn version(found: i64) -> LakeError {
    let advice = match found {
        0 => "no recorder has published there yet",
        found if found > known() => "use a later build",
        _ => "a recorder of this build brings it up to date",
    };
    LakeError::Version { found, known: known(), advice }
}

/// Checks that a reader of this build understands the catalogue and that its segments are in `data_path`.
pub(super) async fn check(lake: &Lake, data_path: &str) -> Result<(), LakeError> {
    let is_there = lake.query("SELECT to_regclass('hindcast_schema') IS NOT NULL", &[]).await?;
    let is_there = is_there.first().is_some_and(|row| row.get(0));
    if !is_there {
        return Err(version(0));
    }
    let rows = lake.query("SELECT COALESCE(MAX(version), 0) FROM hindcast_schema", &[]).await?;
    let found: i64 = rows.first().map_or(0, |row| row.get(0));
    if found != known() {
        return Err(version(found));
    }
    let rows = lake.query("SELECT value FROM ducklake_metadata WHERE key = 'data_path'", &[]).await?;
    match rows.first().map(|row| row.get::<_, String>(0)) {
        Some(found) if found != data_path => Err(LakeError::Elsewhere { found, wanted: data_path.to_owned() }),
        _ => Ok(()),
    }
}
