//! One append: which rows are new, what they teach, and the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use hindcast_model::{Batch, Kind, TableId, Timestamp};
use hindcast_storage::{Append, AppendError, Receipt};

use super::{Core, Job, Outcome, Prepared, Shared, SubmitError};
use crate::file::known::Reached;
use crate::history::{self, Of, Rows};
use crate::progress;
use crate::seen::{Minute, Seen};
use crate::source::{Settled, SourceState};

/// How long to wait before an append is tried again, at first.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// How long at most.
const LAST_RETRY: Duration = Duration::from_secs(2);

/// What is new of some jobs.
#[derive(Debug, Default)]
struct Sifted {
    batches: Vec<Batch>,
    /// Which rows are new, for every prepared batch with keys, in order.
    masks: Vec<Vec<bool>>,
    /// Per job, per part.
    outcomes: Vec<Vec<Outcome>>,
    /// Per job.
    n_future: Vec<u64>,
    reached: Vec<Reached>,
    learned: crate::directory::Learned,
}

/// Records jobs as one append and answers them. On an error the jobs come back unanswered and nothing has changed.
pub(super) async fn append(shared: &Arc<Shared>, jobs: Vec<Job>) -> Result<(), (SubmitError, Vec<Job>)> {
    let started = shared.clock.now();
    if let Err(error) = load(shared, &jobs).await {
        return Err((error, jobs));
    }
    let worker = Arc::clone(shared);
    let sifting = tokio::task::spawn_blocking(move || {
        let mut sifted = Sifted::default();
        let result = sift(&worker, &jobs, &mut sifted);
        (jobs, sifted, result)
    });
    let (jobs, sifted) = match sifting.await {
        Ok((jobs, sifted, Ok(()))) => (jobs, sifted),
        Ok((jobs, sifted, Err(error))) => {
            retract(&shared.core, &jobs, &sifted);
            return Err((error, jobs));
        }
        // The jobs went down with the task; their submitters learn it by the dropped reply.
        Err(error) => return Err((SubmitError::Assemble(Arc::new(error)), Vec::new())),
    };
    let receipt = if sifted.batches.is_empty() {
        None
    } else {
        match patiently(shared, &jobs, &sifted.batches).await {
            Ok(receipt) => Some(receipt),
            Err(error) => {
                retract(&shared.core, &jobs, &sifted);
                return Err((SubmitError::Append(error), jobs));
            }
        }
    };
    shared.metrics.append_seconds.observe(shared.clock.now().since(started).as_secs_f64());
    answer(shared, jobs, sifted, receipt.as_ref());
    Ok(())
}

fn prepared(jobs: &[Job]) -> impl Iterator<Item = &Prepared> {
    jobs.iter().flat_map(|job| &job.parts).flat_map(|part| part.events.iter().chain(&part.reports))
}

/// Makes sure that all minutes the rows lie in are held.
async fn load(shared: &Shared, jobs: &[Job]) -> Result<(), SubmitError> {
    if shared.has_news.swap(false, Ordering::AcqRel) {
        // Between two appends: what was admitted is recorded, and is found again.
        *shared.core.seen.lock() = Seen::new(shared.config.max_seen_keys);
    }
    let mut minutes = Vec::new();
    for prepared in prepared(jobs) {
        prepared.keys.minutes(prepared.batch.table, &mut minutes);
    }
    let missing: Vec<Minute> = {
        let mut seen = shared.core.seen.lock();
        minutes.retain(|minute| !seen.holds(*minute));
        minutes
    };
    if missing.is_empty() {
        return Ok(());
    }
    let snapshot = shared.store.snapshot();
    let lake = shared.lake.get().map(|lake| (lake.view.snapshot(), lake.others.lock().clone()));
    shared.metrics.seen_loads.inc_by(missing.len() as u64);
    let mut rest = missing.as_slice();
    while !rest.is_empty() {
        let own = Rows { snapshot: &snapshot, of: Of::This };
        let mut loaded = history::seen(own, rest).await.map_err(SubmitError::Look)?;
        if let Some((snapshot, others)) = &lake {
            let theirs = Rows { snapshot, of: Of::Others(others) };
            for (minute, keys) in history::seen(theirs, rest).await.map_err(SubmitError::Look)?.minutes {
                loaded.minutes.entry(minute).or_default().extend(keys);
            }
        }
        let mut seen = shared.core.seen.lock();
        for (minute, keys) in loaded.minutes {
            if !seen.holds(minute) {
                seen.load(minute, keys);
            }
        }
        rest = rest.get(loaded.n_done.max(1)..).unwrap_or_default();
    }
    Ok(())
}

/// Finds the new rows and puts the append together.
fn sift(shared: &Shared, jobs: &[Job], sifted: &mut Sifted) -> Result<(), SubmitError> {
    let now = shared.clock.now();
    let future = now.saturating_add(shared.config.future_tolerance);
    let mut reached = Vec::new();
    for job in jobs {
        let (mut outcomes, mut n_future) = (Vec::new(), 0);
        for part in &job.parts {
            let mut outcome = Outcome::default();
            for events in &part.events {
                let first_new = sifted.batches.len();
                let n_new = keep_new(&mut shared.core.seen.lock(), events, sifted)? as u64;
                outcome.recorded += n_new;
                outcome.deduplicated += events.batch.n_rows() as u64 - n_new;
                if let Some(batch) = sifted.batches.get(first_new) {
                    let (last, n_late) = latest(batch, future);
                    outcome.last_event_time = outcome.last_event_time.max(last);
                    n_future += n_late;
                    shared.core.directory.lock().learn(batch, now, &mut sifted.learned);
                }
            }
            for report in &part.reports {
                let _n_new = keep_new(&mut shared.core.seen.lock(), report, sifted)?;
            }
            if let Some(progress) = &part.progress {
                let mut progress = progress.clone();
                progress.tally.recorded += outcome.recorded;
                progress.tally.deduplicated += outcome.deduplicated;
                progress.tally.rejected += part.n_rejected;
                progress.last_event_time = progress.last_event_time.max(outcome.last_event_time);
                reached.push(progress);
            }
            outcomes.push(outcome);
        }
        sifted.outcomes.push(outcomes);
        sifted.n_future.push(n_future);
    }
    let assemble = |error| SubmitError::Assemble(Arc::new(error));
    sifted.batches.extend(sifted.learned.batch().map_err(assemble)?);
    sifted.batches.extend(progress::batch(&reached, now).map_err(assemble)?);
    sifted.reached = reached;
    Ok(())
}

/// Adds the new rows of a batch; how many they are.
fn keep_new(seen: &mut Seen, prepared: &Prepared, sifted: &mut Sifted) -> Result<usize, SubmitError> {
    let Prepared { batch, keys } = prepared;
    if keys.keys.is_empty() {
        sifted.masks.push(Vec::new());
        if batch.n_rows() > 0 {
            sifted.batches.push(batch.clone());
        }
        return Ok(batch.n_rows());
    }
    let is_new = seen.admit(batch.table, keys);
    let n_new = is_new.iter().filter(|new| **new).count();
    let mask = (n_new < is_new.len()).then(|| BooleanArray::from(is_new.clone()));
    sifted.masks.push(is_new);
    if let Some(mask) = mask.filter(|_| n_new > 0) {
        let records =
            filter_record_batch(&batch.records, &mask).map_err(|error| SubmitError::Assemble(Arc::new(error)))?;
        sifted.batches.push(Batch { table: batch.table, records });
    } else if n_new > 0 {
        sifted.batches.push(batch.clone());
    }
    Ok(n_new)
}

/// The latest time of a batch, and how many rows lie after `future`.
fn latest(batch: &Batch, future: Timestamp) -> (Option<Timestamp>, u64) {
    use arrow::array::AsArray as _;
    use arrow::datatypes::TimestampNanosecondType;
    if matches!(batch.table, TableId::Losses) {
        // A source's word on itself is no event.
        return (None, 0);
    }
    let times = batch.records.column_by_name("time").and_then(|it| it.as_primitive_opt::<TimestampNanosecondType>());
    let times = times.map(|times| times.values().as_ref()).unwrap_or_default();
    let n_late = times.iter().filter(|time| **time > future.as_nanos()).count();
    (times.iter().max().map(|time| Timestamp::from_nanos(*time)), n_late as u64)
}

/// Takes back what [`sift`] noted.
fn retract(core: &Core, jobs: &[Job], sifted: &Sifted) {
    let mut seen = core.seen.lock();
    for (prepared, is_new) in prepared(jobs).zip(&sifted.masks) {
        seen.retract(prepared.batch.table, &prepared.keys, is_new);
    }
    drop(seen);
    core.directory.lock().unlearn(&sifted.learned);
}

/// Appends, and tries again for a while when the store is full or away.
async fn patiently(shared: &Shared, jobs: &[Job], batches: &[Batch]) -> Result<Receipt, AppendError> {
    let (mut waited, mut pause) = (Duration::ZERO, FIRST_RETRY);
    let mut states = Vec::new();
    let result = loop {
        let error = match shared.store.append(Append { batches: batches.to_vec() }).await {
            Ok(receipt) => break Ok(receipt),
            Err(error) => error,
        };
        let is_final = matches!(error, AppendError::Closed)
            || !matches!(error.kind(), Kind::Busy | Kind::Unavailable)
            || waited >= shared.config.append_patience
            || shared.stop.is_cancelled();
        for job in jobs {
            job.source.set_error(shared.clock.now(), hindcast_model::report(&error));
        }
        if is_final {
            break Err(error);
        }
        if states.is_empty() {
            states = jobs.iter().map(|job| job.source.status().state).collect();
            jobs.iter().for_each(|job| job.source.set_state(SourceState::Waiting));
            tracing::warn!(error = %hindcast_model::report(&error), "cannot append, trying again");
        }
        shared.metrics.append_retries.inc();
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(LAST_RETRY);
    };
    for (job, state) in jobs.iter().zip(states) {
        job.source.set_state(state);
    }
    result
}

/// Settles the accounts, remembers progress and answers.
fn answer(shared: &Shared, jobs: Vec<Job>, sifted: Sifted, receipt: Option<&Receipt>) {
    {
        let mut known = shared.core.known.lock();
        sifted.reached.into_iter().for_each(|reached| known.learn(reached));
    }
    {
        let mut seen = shared.core.seen.lock();
        seen.forget();
        shared.metrics.seen_keys.set(i64::try_from(seen.n_keys()).unwrap_or(i64::MAX));
        shared.metrics.seen_minutes.set(i64::try_from(seen.n_minutes()).unwrap_or(i64::MAX));
    }
    let n_entries = shared.core.directory.lock().forget();
    shared.metrics.directory_entries.set(i64::try_from(n_entries).unwrap_or(i64::MAX));
    let now = shared.clock.now();
    let lsn = receipt.map(|receipt| receipt.lsn);
    for ((job, mut outcomes), n_future) in jobs.into_iter().zip(sifted.outcomes).zip(sifted.n_future) {
        let mut settled = Settled { n_future, ..Settled::default() };
        for outcome in &mut outcomes {
            outcome.lsn = lsn;
            settled.recorded += outcome.recorded;
            settled.deduplicated += outcome.deduplicated;
            settled.last_event_time = settled.last_event_time.max(outcome.last_event_time);
        }
        job.source.settle(&settled, now);
        // A submitter that went away does not need its answer.
        let _gone = job.reply.send(Ok(outcomes));
    }
}
