//! Writes to the shared catalogue what the own one says: segments that came, segments that left.
//!
//! What the shared catalogue says of this recorder is read when the connection is made, so it does not matter what an
//! earlier one achieved. All that changed in an hour changes in one transaction: who reads sees a segment or those that
//! it was made of, and roll-ups together with their flows.

mod expire;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hindcast_model::{Kind, Timestamp, report};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::client::Lake;
use super::{LakeError, LakeStatus, declare, lease, schema};
use crate::catalog::Tables;
use crate::ids::{Hour, SegmentId};
use crate::segment::Segment;
use crate::store::{Shared, blocking};

/// Segments of one transaction, give or take those of an hour.
const BATCH: usize = 200;
/// How often a recorder without news says that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// How long opening a store waits for the first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// What the shared catalogue says of this recorder's segments; nothing is known before it has answered.
#[derive(Debug, Default)]
pub(crate) struct Published {
    named: Mutex<Option<Named>>,
    /// Held by whoever publishes: news are what the publication before did not write.
    turn: tokio::sync::Mutex<()>,
}

/// What it names.
#[derive(Clone, Debug, Default)]
struct Named {
    now: BTreeMap<SegmentId, File>,
    /// Only earlier snapshots name them.
    before: BTreeSet<SegmentId>,
    /// What was received until then is named.
    until: Option<Timestamp>,
}

/// A segment in the shared catalogue.
#[derive(Clone, Copy, Debug)]
struct File {
    /// Its number there.
    id: i64,
    hour: Hour,
}

impl Published {
    /// Whether it is known that no snapshot names a segment.
    pub(crate) fn is_forgotten(&self, id: SegmentId) -> bool {
        self.named.lock().as_ref().is_some_and(|named| !named.now.contains_key(&id) && !named.before.contains(&id))
    }

    /// Until when everything that was received is named, as far as this process knows.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.named.lock().as_ref()?.until
    }

    fn now(&self) -> BTreeMap<SegmentId, File> {
        self.named.lock().as_ref().map(|named| named.now.clone()).unwrap_or_default()
    }
}

/// What is to be written.
#[derive(Debug)]
struct News {
    added: Vec<Arc<Segment>>,
    removed: Vec<(SegmentId, File)>,
    /// What came or left beyond that.
    n_later: usize,
    /// What had been received until then is said once this is written.
    named_until: Timestamp,
    now: Timestamp,
}

/// What came and what left in an hour.
#[derive(Debug, Default)]
struct Change {
    added: Vec<Arc<Segment>>,
    removed: Vec<(SegmentId, File)>,
}

/// A connection that writes.
#[derive(Debug)]
pub(crate) struct Publisher {
    lake: Lake,
    tables: Tables,
    /// When it last wrote, and when it last looked for what is over.
    wrote_at: Option<Timestamp>,
    expired_at: Option<Timestamp>,
}

/// Connects for whoever opens a store: what must not go on is said before anything is recorded.
///
/// # Errors
/// The catalogue is not for this store. One that does not answer is asked again later.
pub(crate) async fn first_connect(shared: &Shared) -> Result<Option<Publisher>, LakeError> {
    let connected = tokio::time::timeout(FIRST_ANSWER, Publisher::connect(shared)).await;
    let slow = |_elapsed| {
        let at = "its address".to_owned();
        Err(LakeError::Slow { action: "reach", at, waited: FIRST_ANSWER })
    };
    match connected.unwrap_or_else(slow) {
        Ok(publisher) => Ok(Some(publisher)),
        Err(error) if error.kind() == Kind::Invalid => Err(error),
        Err(error) => {
            note(shared, Err(error));
            Ok(None)
        }
    }
}

/// Publishes until cancelled.
pub(crate) async fn publish_loop(shared: Arc<Shared>, mut publisher: Option<Publisher>, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(shared.config.lake.interval) => {}
        }
        // Losing arm: a transaction that was not committed did not take place.
        let done = tokio::select! {
            () = cancel.cancelled() => return,
            done = rounds(&shared, &mut publisher) => done,
        };
        note(&shared, done);
    }
}

/// Publishes what there is now.
pub(crate) async fn publish_now(shared: &Arc<Shared>) -> Result<(), LakeError> {
    rounds(shared, &mut None).await.map(drop)
}

/// Publishes what there is, for a store that closes, and gives back the sources that it shares.
pub(crate) async fn publish_last(shared: &Arc<Shared>) {
    let work = async {
        publish_now(shared).await?;
        lease::release(&shared.config.lake, None).await?;
        Ok(0)
    };
    note(shared, work.await);
}

fn note(shared: &Shared, done: Result<usize, LakeError>) {
    let mut faults = shared.faults.lock();
    match done {
        Ok(n_waiting) => {
            if faults.lake.take().is_some() {
                tracing::info!("the shared catalogue answers again");
            }
            shared.metrics.lake_waiting.set(i64::try_from(n_waiting).unwrap_or(i64::MAX));
        }
        Err(error) => {
            shared.metrics.lake_errors.inc();
            let news = news(shared, &shared.published.now());
            let n_waiting = news.added.len() + news.removed.len() + news.n_later;
            shared.metrics.lake_waiting.set(i64::try_from(n_waiting).unwrap_or(i64::MAX));
            let text = report(&error);
            if faults.lake.as_ref() != Some(&text) {
                tracing::warn!(error = text, n_waiting, "segments are not in the shared catalogue");
            }
            faults.lake = Some(text);
        }
    }
}

/// Writes until nothing waits. After an error the connection is given up. Returns what still waits.
async fn rounds(shared: &Arc<Shared>, held: &mut Option<Publisher>) -> Result<usize, LakeError> {
    let config = &shared.config.lake;
    let _one_at_a_time = shared.published.turn.lock().await;
    loop {
        let work = async {
            let mut publisher = match held.take() {
                Some(publisher) => publisher,
                None => Publisher::connect(shared).await?,
            };
            let n_later = publisher.round(shared).await?;
            Ok((publisher, n_later))
        };
        let (publisher, n_later) = Lake::in_time(config, "write to", work).await?;
        *held = Some(publisher);
        if n_later == 0 {
            return Ok(0);
        }
    }
}

/// What the shared catalogue does not say yet.
fn news(shared: &Shared, named: &BTreeMap<SegmentId, File>) -> News {
    let mut hours: BTreeMap<Hour, Change> = BTreeMap::new();
    let mut here = BTreeSet::new();
    let state = shared.state.read();
    let now = shared.clock.now();
    let named_until = state.oldest_arrival().unwrap_or(now);
    for segment in state.segments.values().flat_map(|segments| segments.iter()) {
        here.insert(segment.id);
        if !named.contains_key(&segment.id) {
            hours.entry(segment.hour).or_default().added.push(Arc::clone(segment));
        }
    }
    drop(state);
    for (id, file) in named.iter().filter(|(id, _)| !here.contains(id)) {
        hours.entry(file.hour).or_default().removed.push((*id, *file));
    }
    let mut news = News { added: Vec::new(), removed: Vec::new(), n_later: 0, named_until, now };
    for Change { added, removed } in hours.into_values() {
        if news.added.len() + news.removed.len() >= BATCH {
            news.n_later += added.len() + removed.len();
            continue;
        }
        news.added.extend(added);
        news.removed.extend(removed);
    }
    news
}

impl Publisher {
    /// Connects, brings the catalogue up to date, and reads what it says of this recorder.
    async fn connect(shared: &Shared) -> Result<Self, LakeError> {
        let config = &shared.config.lake;
        let mut lake = Lake::connect(config).await?;
        let failed = lake.failed("prepare");
        let transaction = lake.begin().await?;
        transaction.batch_execute(schema::LOCK).await.map_err(&failed)?;
        schema::migrate(&transaction).await.map_err(|error| error.into_error(&failed))?;
        let place = shared.config.lake_path();
        let found = "SELECT value FROM ducklake_metadata WHERE key = 'data_path'";
        let found = transaction.query_opt(found, &[]).await.map_err(&failed)?.map(|row| row.get::<_, String>(0));
        if let Some(found) = found.filter(|found| *found != place) {
            return Err(LakeError::Elsewhere { found, wanted: place });
        }
        let now = shared.clock.now();
        let tables = declare::tables(&transaction, &place, now).await.map_err(&failed)?;
        for (table, ids) in &tables {
            if shared.catalog.table(*table).is_none_or(|own| own.column_ids != ids.column_ids) {
                return Err(LakeError::Columns { table: *table });
            }
        }
        let store = shared.catalog.store_name();
        let owner = rows::sign_in(&transaction, &config.recorder, store).await.map_err(&failed)?;
        if owner != store {
            return Err(LakeError::NameTaken { recorder: config.recorder.clone() });
        }
        lease::check_not_retired(&transaction, &config.recorder, &failed).await?;
        let named = rows::named(&transaction, &config.recorder).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        *shared.published.named.lock() = Some(named);
        Ok(Self { lake, tables, wrote_at: None, expired_at: None })
    }

    /// One transaction, if there is anything to say. Returns how much is left for the next one.
    async fn round(&mut self, shared: &Arc<Shared>) -> Result<usize, LakeError> {
        let news = news(shared, &shared.published.now());
        let is_over = |at: Option<Timestamp>, after: Duration| at.is_none_or(|at| news.now.since(at) >= after);
        let expires = is_over(self.expired_at, shared.config.segments.maintenance_interval);
        let has_news = !news.added.is_empty() || !news.removed.is_empty();
        if !has_news && !expires && !is_over(self.wrote_at, SIGN_OF_LIFE) {
            return Ok(0);
        }
        let (worker, ids) = (Arc::clone(shared), news.added.iter().map(|segment| segment.id).collect::<Vec<_>>());
        let stats = blocking(move || worker.catalog.column_stats(&ids)).await?;
        let recorder = &shared.config.lake.recorder;
        let failed = self.lake.failed("write to");
        let transaction = self.lake.begin().await?;
        transaction.batch_execute(schema::LOCK).await.map_err(&failed)?;
        // From then on others read its sources from where it had published them.
        lease::check_not_retired(&transaction, recorder, &failed).await?;
        let until = (news.n_later == 0).then_some(news.named_until);
        let written = async {
            let mut files = BTreeMap::new();
            if has_news {
                files = rows::write(&transaction, &self.tables, recorder, &news, &stats).await?;
            }
            let before = news.now.saturating_sub(shared.config.segments.delete_grace);
            let forgotten = match expires {
                true => expire::expire(&transaction, recorder, before).await?,
                false => Vec::new(),
            };
            rows::sign(&transaction, recorder, until).await?;
            Ok((files, forgotten))
        };
        let (files, forgotten) = written.await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        self.wrote_at = Some(news.now);
        if expires {
            self.expired_at = Some(news.now);
        }
        let mut published = shared.published.named.lock();
        let named = published.get_or_insert_default();
        for (id, _) in &news.removed {
            named.now.remove(id);
            named.before.insert(*id);
        }
        named.before.retain(|id| !forgotten.contains(id));
        named.now.extend(files);
        named.until = until.or(named.until);
        Ok(news.n_later)
    }
}

impl Shared {
    /// How the lake fares that it shares with others; `None` for one of its own.
    pub(crate) fn lake_status(&self) -> Option<LakeStatus> {
        self.config.lake.is_on().then(|| LakeStatus {
            last_error: self.faults.lock().lake.clone(),
            n_waiting: usize::try_from(self.metrics.lake_waiting.get()).unwrap_or_default(),
            recorders: self.recorders.lock().clone(),
        })
    }
}
