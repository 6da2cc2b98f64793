//! Retention: the oldest segments leave the catalogue first, their files when nobody can be reading them.

use std::collections::BTreeSet;
use std::sync::Arc;

use hindcast_model::TableId;
use object_store::path::Path;

use crate::catalog::{Commit, Shipment};
use crate::clickhouse::keep::is_over;
use crate::clickhouse::recheck;
use crate::clickhouse::ship::is_sent;
use crate::config::Retention;
use crate::error::SealError;
use crate::ids::PartitionKey;
use crate::segment::Segment;
use crate::store::Shared;

/// Drops what is over its table's limits.
pub(super) fn retire(shared: &Shared) -> Result<(), SealError> {
    let mut gone: Vec<Arc<Segment>> = Vec::new();
    {
        let state = shared.state.read();
        for table in TableId::ALL {
            if let Some(segments) = state.segments.get(&table) {
                gone.extend(over_limit(shared, table, segments));
            }
        }
    }
    if shared.has_clickhouse() {
        keep_what_is_nowhere_else(shared, &mut gone);
    }
    if gone.is_empty() {
        return Ok(());
    }
    for segment in &gone {
        shared.metrics.retired_segments.inc();
        shared.metrics.retired_rows.inc_by(segment.n_rows);
    }
    tracing::info!(n_segments = gone.len(), "retention drops segments");
    replace(shared, &gone, &[])
}

/// Forgets hours that had left the lake and that ClickHouse keeps no longer.
pub(super) fn forget_old(shared: &Shared) -> Result<(), SealError> {
    let (over, n_rows, oldest_needed, last_lsn) = {
        let state = shared.state.read();
        let over = state.moved.iter().filter(|(key, _)| is_over(shared, **key));
        let n_rows = over.clone().map(|(_, rows)| rows.n_rows).sum();
        (over.map(|(key, _)| *key).collect::<Vec<_>>(), n_rows, state.oldest_unsealed(), state.lsn)
    };
    if over.is_empty() {
        return Ok(());
    }
    let now = shared.clock.now();
    let commit =
        Commit { now, added: &[], removed: &[], marks: &[], moved: &[], brought: &over, oldest_needed, last_lsn };
    shared.catalog.commit(&commit)?;
    shared.state.write().forget(&over);
    shared.metrics.retired_rows.inc_by(n_rows);
    tracing::info!(n_hours = over.len(), n_rows, "ClickHouse keeps these rows no longer");
    Ok(())
}

fn over_limit(shared: &Shared, table: TableId, segments: &[Arc<Segment>]) -> Vec<Arc<Segment>> {
    let config = &shared.config.retention;
    let Retention { max_age, max_size } = config.tables.get(table.name()).copied().unwrap_or(config.default);
    let too_old = max_age.map(|age| shared.clock.now().saturating_sub(age));
    let limit = max_size.map_or(u64::MAX, |size| size.as_u64());
    let mut held = 0_u64;
    let (mut gone, mut kept) = (Vec::new(), BTreeSet::new());
    // Newest first: what comes after the limit is reached is the oldest.
    for segment in segments {
        held = held.saturating_add(segment.n_bytes);
        let is_over = held > limit || too_old.is_some_and(|too_old| segment.max_time < too_old);
        // A row that ClickHouse is to have does not go before it is there.
        if is_over && !(shared.has_clickhouse() && shared.is_to_be_sent(segment)) {
            gone.push(Arc::clone(segment));
        } else {
            kept.insert(segment.hour);
        }
    }
    // Rows of an hour that are there are counted, and leave, together.
    if shared.has_clickhouse() && is_sent(table) {
        gone.retain(|segment| !kept.contains(&segment.hour));
    }
    gone
}

/// Takes out what ClickHouse is to have and, as it says itself, has not.
fn keep_what_is_nowhere_else(shared: &Shared, gone: &mut Vec<Arc<Segment>>) {
    let key_of = |segment: &Segment| PartitionKey { table: segment.table, hour: segment.hour };
    let sent: BTreeSet<PartitionKey> = {
        let shipments = shared.shipments.lock();
        // What came back from there is its own copy, and roll-ups are made there anew.
        let sent = gone.iter().filter(|segment| shipments.get(&segment.id) == Some(&Shipment::Done));
        sent.map(|segment| key_of(segment)).collect()
    };
    let mut there = BTreeSet::new();
    for key in &sent {
        // One that does not answer for an hour is not asked for the next.
        let Some(is_there) = recheck::has(shared, *key) else { break };
        if is_there {
            there.insert(*key);
        }
    }
    gone.retain(|segment| !sent.contains(&key_of(segment)) || there.contains(&key_of(segment)));
}

/// Commits that segments leave and others take their place.
pub(super) fn replace(
    shared: &Shared,
    removed: &[Arc<Segment>],
    added: &[crate::catalog::NewSegment],
) -> Result<(), SealError> {
    let ids: Vec<_> = removed.iter().map(|segment| (segment.id, segment.table)).collect();
    let (oldest_needed, last_lsn) = {
        let state = shared.state.read();
        (state.oldest_unsealed(), state.lsn)
    };
    let now = shared.clock.now();
    shared.catalog.commit(&Commit {
        now,
        added,
        removed: &ids,
        marks: &[],
        moved: &[],
        brought: &[],
        oldest_needed,
        last_lsn,
    })?;
    // Known as sent before anybody sees them, and for as long as anybody does: else they would be sent again.
    shared.shipments.lock().extend(added.iter().filter_map(|new| Some((new.id, new.shipment?))));
    let added: Vec<_> = added.iter().map(|new| crate::seal::run::segment(shared, new)).collect();
    shared.state.write().replace(&[], removed, &added);
    shared.shipments.lock().retain(|id, _| removed.iter().all(|segment| segment.id != *id));
    // The file of a removed segment stays until the last snapshot that holds the segment is gone.
    shared.leaving.lock().extend(removed.iter().map(Arc::downgrade));
    Ok(())
}

/// Expires old catalogue snapshots and deletes files that neither the catalogue nor a running snapshot names.
pub(super) fn sweep(shared: &Shared) -> Result<(), SealError> {
    let now = shared.clock.now();
    shared.catalog.expire(now.saturating_sub(shared.config.segments.delete_grace), now)?;
    let in_use: Vec<_> = {
        let mut leaving = shared.leaving.lock();
        leaving.retain(|segment| segment.strong_count() > 0);
        leaving.iter().filter_map(std::sync::Weak::upgrade).map(|segment| segment.id).collect()
    };
    let mut deleted = Vec::new();
    for (id, path) in shared.catalog.scheduled()? {
        // Who shares the lake may still read what its catalogue names.
        let is_named = shared.config.lake.is_on() && !shared.published.is_forgotten(id);
        if !in_use.contains(&id) && !is_named {
            shared.tier.delete(&Path::from(path))?;
            deleted.push(id);
        }
    }
    if !deleted.is_empty() {
        shared.catalog.forget(&deleted)?;
    }
    Ok(())
}
