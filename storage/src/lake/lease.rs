//! Who reads a source that several could read, and who is given up.
//!
//! A source is one recorder's until that one gives it back, which it does once everything it had read is published, or
//! until it is retired. A retired recorder publishes nothing ever again: whoever reads its sources next goes on from what
//! it had published. One that is only away keeps its sources, because it has rows that nobody else has.

use hindcast_model::Timestamp;
use tokio_postgres::{Error, Row, Transaction};

use super::client::Lake;
use super::{LakeConfig, LakeError, RecorderStatus, schema};

/// How long a recorder counts among those who share sources after it said so.
const SHARES_FOR: &str = "interval '15 seconds'";

/// A source that is to be read here from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its name.
    pub source: String,
    /// The recorder that read it before; `None` for nobody, or for this one.
    pub previous: Option<String>,
}

/// What is to be done so that everyone has a fair share of the sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// These are this recorder's from now on.
    pub claimed: Vec<Claim>,
    /// These are to be given back.
    pub to_release: Vec<String>,
}

/// What a shared catalogue says of those who write to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LakeView {
    /// The recorders, by name.
    pub recorders: Vec<RecorderStatus>,
    /// The sources they share, by name.
    pub sources: Vec<SharedSource>,
}

/// A source that several could read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSource {
    /// Its name.
    pub source: String,
    /// Who reads it.
    pub recorder: Option<String>,
}

/// A time of the catalogue as a number: microseconds since 1970.
fn micros(column: &str) -> String {
    format!("(EXTRACT(EPOCH FROM {column}) * 1000000)::bigint")
}

fn time(row: &Row, at: usize) -> Option<Timestamp> {
    row.get::<_, Option<i64>>(at).map(|micros| Timestamp::from_nanos(micros.saturating_mul(1000)))
}

/// Fails if a recorder was retired. The lock is held.
pub(super) async fn check_not_retired(
    transaction: &Transaction<'_>,
    recorder: &str,
    failed: impl Fn(Error) -> LakeError,
) -> Result<(), LakeError> {
    let statement = "SELECT 1 FROM hindcast_recorder WHERE recorder = $1 AND retired_at IS NOT NULL";
    match transaction.query_opt(statement, &[&recorder]).await.map_err(failed)? {
        Some(_) => Err(LakeError::Retired { recorder: recorder.to_owned() }),
        None => Ok(()),
    }
}

/// The recorders of a lake.
pub(super) async fn recorders(lake: &Lake) -> Result<Vec<RecorderStatus>, LakeError> {
    let statement = format!(
        "SELECT recorder, {}, {}, {} FROM hindcast_recorder ORDER BY recorder",
        micros("seen_at"),
        micros("named_until"),
        micros("retired_at")
    );
    let rows = lake.query(&statement, &[]).await?;
    let recorders = rows.iter().map(|row| RecorderStatus {
        recorder: row.get(0),
        seen_at: time(row, 1).unwrap_or(Timestamp::MIN),
        named_until: time(row, 2).unwrap_or(Timestamp::MIN),
        retired_at: time(row, 3),
    });
    Ok(recorders.collect())
}

/// Who writes to the lake of a configuration, and what they share.
///
/// # Errors
/// Its catalogue does not answer, or is none of this build.
pub async fn lake_view(config: &crate::Config) -> Result<LakeView, LakeError> {
    let work = async {
        let lake = Lake::connect(&config.lake).await?;
        schema::check(&lake, &config.lake_path()).await?;
        let rows = lake.query("SELECT source, recorder FROM hindcast_source ORDER BY source", &[]).await?;
        let sources = rows.iter().map(|row| SharedSource { source: row.get(0), recorder: row.get(1) });
        Ok(LakeView { recorders: recorders(&lake).await?, sources: sources.collect() })
    };
    Lake::in_time(&config.lake, "read", work).await
}

/// Gives a recorder up for good: others read its sources from where it had published them, and it publishes no more.
///
/// # Errors
/// There is no such recorder, or the catalogue does not answer.
pub async fn retire(config: &crate::Config, recorder: &str) -> Result<(), LakeError> {
    let work = async {
        let mut lake = Lake::connect(&config.lake).await?;
        schema::check(&lake, &config.lake_path()).await?;
        let failed = lake.failed("write to");
        let transaction = lake.begin().await?;
        transaction.batch_execute(schema::LOCK).await.map_err(&failed)?;
        let statement = "UPDATE hindcast_recorder SET retired_at = COALESCE(retired_at, now()) WHERE recorder = $1";
        if transaction.execute(statement, &[&recorder]).await.map_err(&failed)? == 0 {
            return Err(LakeError::Unknown { recorder: recorder.to_owned() });
        }
        let statement = "UPDATE hindcast_source SET recorder = NULL, last_recorder = $1
                         WHERE recorder = $1";
        transaction.execute(statement, &[&recorder]).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    };
    Lake::in_time(&config.lake, "write to", work).await
}

/// Gives back sources, or all: everything that was read of them is published.
pub(crate) async fn release(config: &LakeConfig, sources: Option<&[String]>) -> Result<(), LakeError> {
    let work = async {
        let mut lake = Lake::connect(config).await?;
        let failed = lake.failed("write to");
        let transaction = lake.begin().await?;
        transaction.batch_execute(schema::LOCK).await.map_err(&failed)?;
        let statement = "UPDATE hindcast_source SET recorder = NULL, last_recorder = $1
                         WHERE recorder = $1 AND ($2::text[] IS NULL OR source = ANY($2))";
        transaction.execute(statement, &[&config.recorder, &sources]).await.map_err(&failed)?;
        if sources.is_none() {
            let statement = "UPDATE hindcast_recorder SET shares_until = NULL WHERE recorder = $1";
            transaction.execute(statement, &[&config.recorder]).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)
    };
    Lake::in_time(config, "write to", work).await
}

/// Claims sources nobody reads, up to a fair share of `sources`, and says which ones are too many. `held` are read here.
pub(crate) async fn balance(config: &LakeConfig, sources: &[String], held: &[String]) -> Result<Share, LakeError> {
    let work = async {
        let mut lake = Lake::connect(config).await?;
        let failed = lake.failed("write to");
        let me = &config.recorder;
        let transaction = lake.begin().await?;
        transaction.batch_execute(schema::LOCK).await.map_err(&failed)?;
        check_not_retired(&transaction, me, &failed).await?;
        let share = shared_out(&transaction, me, sources, held).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(share)
    };
    Lake::in_time(config, "write to", work).await
}

fn previous(row: &Row, me: &str) -> Option<String> {
    row.get::<_, Option<String>>(2).filter(|recorder| recorder != me)
}

async fn shared_out(
    transaction: &Transaction<'_>,
    me: &str,
    sources: &[String],
    held: &[String],
) -> Result<Share, Error> {
    let here = format!("UPDATE hindcast_recorder SET shares_until = now() + {SHARES_FOR} WHERE recorder = $1");
    transaction.execute(&here, &[&me]).await?;
    let insert = "INSERT INTO hindcast_source SELECT unnest($1::text[]), NULL, NULL ON CONFLICT DO NOTHING";
    transaction.execute(insert, &[&sources]).await?;
    let others = "SELECT count(*) FROM hindcast_recorder WHERE shares_until > now() AND retired_at IS NULL";
    let n_sharing: i64 = transaction.query_one(others, &[]).await?.get(0);
    let n_sharing = usize::try_from(n_sharing).unwrap_or(1).max(1);
    let statement =
        "SELECT source, recorder, last_recorder FROM hindcast_source WHERE source = ANY($1) ORDER BY source";
    let rows = transaction.query(statement, &[&sources]).await?;
    let fair = sources.len().div_ceil(n_sharing);
    let mut share = Share::default();
    let mine = |row: &&Row| row.get::<_, Option<&str>>(1) == Some(me);
    let mut n_mine = rows.iter().filter(mine).count();
    for row in rows.iter().filter(mine) {
        let source: String = row.get(0);
        if n_mine > fair {
            n_mine -= 1;
            share.to_release.push(source);
        } else if !held.contains(&source) {
            // It was read here when this process had another life, or was to be.
            share.claimed.push(Claim { source, previous: previous(row, me) });
        }
    }
    for row in rows.iter().filter(|row| row.get::<_, Option<&str>>(1).is_none()) {
        if n_mine >= fair {
            break;
        }
        let source: String = row.get(0);
        let claim = "UPDATE hindcast_source SET recorder = $2 WHERE source = $1";
        transaction.execute(claim, &[&source, &me]).await?;
        share.claimed.push(Claim { source, previous: previous(row, me) });
        n_mine += 1;
    }
    Ok(share)
}
