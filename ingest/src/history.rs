//! What the store already holds, read back: event keys, progress of inputs, workload facts.

use futures::TryStreamExt as _;
use hashbrown::HashMap;
use hindcast_model::tables::{ingested, workloads};
use hindcast_model::{TableId, TimeRange, Timestamp, event_id};
use hindcast_storage::{ReadError, Remote, RemoteColumn, RemoteSelect, Segment, Snapshot};

use arrow::array::RecordBatch;

use crate::directory::{Directory, Fact, Subject};
use crate::file::known::{FingerprintText, Known, Reached, Tally};
use crate::seen::{BatchKeys, Key, Minute};

/// Minutes loaded together at most; more would hold many keys that may not be needed.
const MAX_MINUTES: i64 = 60;

/// The keys of some minutes.
#[derive(Debug)]
pub(crate) struct LoadedSeen {
    pub(crate) minutes: HashMap<Minute, Vec<Key>>,
    /// How many of the minutes asked for they are, counted from the first.
    pub(crate) n_done: usize,
}

/// What ClickHouse may take for a question about events that it has.
const REMOTE_TIME: std::time::Duration = std::time::Duration::from_secs(60);
const REMOTE_MEMORY: u64 = 2 << 30;

/// Rows of a table, of this recorder or of those that share its lake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) snapshot: &'a Snapshot,
    /// What is read; of other recorders' rows as well.
    pub(crate) of: Of<'a>,
}

/// Whose rows a snapshot has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of<'a> {
    /// This recorder's.
    This,
    /// Those of all who share a lake: the others' are read.
    Others(&'a Others),
}

/// The other recorders of a lake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Others {
    /// This recorder's name, which its folder has.
    pub(crate) own: String,
    /// Until when what a recorder noted of its progress can be believed, of those that were given up: what it had read
    /// later may be recorded nowhere.
    pub(crate) believed_until: HashMap<String, Timestamp>,
}

impl Rows<'_> {
    /// The folder of the lake that a segment is in: its recorder's name.
    fn recorder(segment: &Segment) -> String {
        segment.path.parts().next().map(|part| part.as_ref().to_owned()).unwrap_or_default()
    }
}

/// Hands every batch of a table with a row in `range` to `each`: `columns` of segments, all columns of memory. With each
/// goes until when its recorder's word on its progress holds.
async fn read(
    rows: Rows<'_>,
    table: TableId,
    range: TimeRange,
    columns: &[&str],
    mut each: impl FnMut(&RecordBatch, Timestamp) + Send,
) -> Result<(), ReadError> {
    let snapshot = rows.snapshot;
    for segment in snapshot.segments(table, range) {
        let mut until = Timestamp::MAX;
        if let Of::Others(others) = rows.of {
            let recorder = Rows::recorder(&segment);
            if recorder == others.own {
                continue;
            }
            until = others.believed_until.get(&recorder).copied().unwrap_or(until);
        }
        let mut batches = segment.scan(range, columns).await?;
        while let Some(records) = batches.try_next().await? {
            each(&records, until);
        }
    }
    for batch in snapshot.memory(table, range) {
        each(&batch.records, Timestamp::MAX);
    }
    read_remote(snapshot, table, range, columns, |records| each(records, Timestamp::MAX)).await
}

/// The same of rows that have left the lake for ClickHouse, which has to be there: else nobody can tell what comes again
/// from what is new.
async fn read_remote(
    snapshot: &Snapshot,
    table: TableId,
    range: TimeRange,
    columns: &[&str],
    mut each: impl FnMut(&RecordBatch) + Send,
) -> Result<(), ReadError> {
    let Some(remote) = snapshot.remote(table, range).and_then(Remote::own) else { return Ok(()) };
    let known = table.columns().iter().filter(|column| columns.contains(&column.name));
    let select = RemoteSelect {
        columns: known.map(|column| RemoteColumn::plain(column.name)).collect(),
        max_time: REMOTE_TIME,
        max_memory: REMOTE_MEMORY,
        ..RemoteSelect::default()
    };
    let Some(mut rows) = remote.select(&select) else { return Err(ReadError::Away { table }) };
    while let Some(records) = rows.next().await {
        each(&records?);
    }
    Ok(())
}

/// The keys recorded in the first of the `missing` minutes and in those that follow closely. Requires: sorted, not
/// empty.
pub(crate) async fn seen(rows: Rows<'_>, missing: &[Minute]) -> Result<LoadedSeen, ReadError> {
    let Some(first) = missing.first().copied() else { return Ok(LoadedSeen { minutes: HashMap::new(), n_done: 0 }) };
    let table = first.table;
    let together: Vec<Minute> = missing
        .iter()
        .copied()
        .take_while(|minute| minute.table == table && minute.number - first.number < MAX_MINUTES)
        .collect();
    let last = together.last().copied().unwrap_or(first);
    let mut minutes: HashMap<Minute, Vec<Key>> = together.iter().map(|minute| (*minute, Vec::new())).collect();
    let range = TimeRange::new(first.start(), last.end()).unwrap_or(TimeRange::ALL);
    let mut columns: Vec<&str> = event_id::columns(table).unwrap_or_default().to_vec();
    columns.push("uuid");
    read(rows, table, range, &columns, |records, _until| {
        let batch = BatchKeys::of(table, records);
        for (time, key) in batch.times.iter().zip(batch.keys) {
            if let Some(keys) = minutes.get_mut(&Minute::of(table, *time)) {
                keys.push(key);
            }
        }
    })
    .await?;
    Ok(LoadedSeen { minutes, n_done: together.len() })
}

/// How far each input was read: its latest row holds.
pub(crate) async fn known(from: &[Rows<'_>]) -> Result<Known, ReadError> {
    let mut rows: Vec<(i64, Reached)> = Vec::new();
    let mut latest: HashMap<(String, Option<u64>), usize> = HashMap::new();
    let columns: Vec<&str> = TableId::Ingested.columns().iter().map(|column| column.name).collect();
    let mut learn = |records: &RecordBatch, until: Timestamp| {
        let Ok(view) = ingested::View::new(records) else { return };
        for row in 0..view.n_rows() {
            let Some((time, reached)) = reached(&view, row).filter(|(time, _)| *time < until.as_nanos()) else {
                continue;
            };
            // One input by name and head; with each row it only moves forward.
            let name = (reached.source.clone(), reached.fingerprint.map(crate::file::known::Fingerprint::hash));
            match latest.get(&name).and_then(|index| rows.get_mut(*index)) {
                Some(known) if (known.0, known.1.position) <= (time, reached.position) => *known = (time, reached),
                Some(_) => {}
                None => {
                    latest.insert(name, rows.len());
                    rows.push((time, reached));
                }
            }
        }
    };
    for part in from {
        read(*part, TableId::Ingested, TimeRange::ALL, &columns, &mut learn).await?;
    }
    rows.sort_by_key(|(time, reached)| (*time, reached.position));
    let mut known = Known::default();
    rows.into_iter().for_each(|(_, reached)| known.learn(reached));
    Ok(known)
}

fn reached(view: &ingested::View<'_>, row: usize) -> Option<(i64, Reached)> {
    let text = view.fingerprint.get(row);
    // A text of another form is from a later build: the input is read again, and its events are known.
    let parsed = match text {
        Some(text) => Some(FingerprintText::parse(text)?),
        None => None,
    };
    let reached = Reached {
        source: view.source.get(row)?.to_owned(),
        fingerprint: parsed.map(|text| text.fingerprint),
        position: view.position.get(row)?,
        mark: parsed.map(|text| text.mark).unwrap_or_default(),
        pending: parsed.map(|text| text.pending).unwrap_or_default(),
        is_complete: view.is_complete.get(row)?,
        tally: Tally {
            recorded: view.recorded.get(row)?,
            deduplicated: view.deduplicated.get(row)?,
            rejected: view.rejected.get(row)?,
        },
        last_event_time: view.last_event_time.get(row).map(Timestamp::from_nanos),
    };
    Some((view.time.get(row)?, reached))
}

/// The workload facts, in the order in which they were learned.
pub(crate) async fn directory(snapshot: &Snapshot, mut directory: Directory) -> Result<Directory, ReadError> {
    let mut rows = Vec::new();
    let columns: Vec<&str> = TableId::Workloads.columns().iter().map(|column| column.name).collect();
    let own = Rows { snapshot, of: Of::This };
    read(own, TableId::Workloads, TimeRange::ALL, &columns, |records, _until| {
        let Ok(view) = workloads::View::new(records) else { return };
        for row in 0..view.n_rows() {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let fact = Fact {
                namespace: text(view.namespace.get(row)),
                pod: text(view.pod.get(row)),
                workload: text(view.workload.get(row)),
                workload_kind: text(view.workload_kind.get(row)),
                labels: text(view.labels.get(row)),
                identity: view.identity.get(row),
                images: text(view.images.get(row)),
            };
            let ip = text(view.ip.get(row));
            let pod = if ip.is_some() { None } else { fact.pod.clone().map(|pod| (fact.namespace.clone(), pod)) };
            let subject = Subject { cluster: text(view.cluster.get(row)), ip, pod };
            let times = view.valid_from.get(row).zip(view.learned_at.get(row));
            if let Some((valid_from, learned_at)) = times {
                rows.push((learned_at, Timestamp::from_nanos(valid_from), subject, fact));
            }
        }
    })
    .await?;
    rows.sort_by_key(|(learned_at, valid_from, _, _)| (*learned_at, *valid_from));
    for (_, valid_from, subject, fact) in rows {
        directory.restore(subject, valid_from, fact);
    }
    let _n_entries = directory.forget();
    Ok(directory)
}
