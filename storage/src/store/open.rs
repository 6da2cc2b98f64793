//! Opening: directories, lock, catalogue, segments, recovery of the log. Blocks.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hindcast_model::{Clock, report};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};

use super::lock::DirLock;
use super::shared::{Faults, Shared};
use crate::catalog::{Catalog, Loaded};
use crate::config::ValidConfig;
use crate::error::{OpenError, SealError};
use crate::lake::Published;
use crate::log::fs::{LogFs, RealFs};
use crate::log::reader::{Recovered, Recovery};
use crate::log::writer::LogWriter;
use crate::log::{Damage, LogError, payload};
use crate::memory::{self, State};
use crate::metrics::Metrics;
use crate::seal::run;
use crate::segment::{MetadataCache, Segment};
use crate::tier::Tier;

/// A store that is ready to run.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: LogWriter,
}

pub(crate) fn open(config: ValidConfig, clock: Arc<dyn Clock>, fs: Arc<dyn LogFs>) -> Result<Opened, OpenError> {
    let log_dir = config.data_dir.join("log");
    for dir in [&config.data_dir, &log_dir] {
        std::fs::create_dir_all(dir).map_err(|source| OpenError::Directory {
            action: "create",
            path: dir.clone(),
            source,
        })?;
    }
    if config.lake.is_on() && config.lake.recorder.is_empty() {
        return Err(OpenError::Nameless);
    }
    let lock = DirLock::take(&config.data_dir)?;
    let tier = Tier::open(&config, Arc::clone(&fs))?;
    let (catalog, loaded) = Catalog::open(&config.data_dir.join("catalog.sqlite"), &tier.data_path, clock.now())?;
    tier.claim(catalog.store_name())?;
    let shared = Arc::new(shared(config, clock, tier, catalog, &loaded, Some(lock)));
    link_segments(&shared, &loaded)?;
    let recovered = recover(&shared, fs.as_ref(), &log_dir, &loaded)?;
    {
        let mut faults = shared.faults.lock();
        faults.torn_bytes = recovered.torn_bytes;
        faults.log_files = recovered.files.len();
        faults.quarantined = recovered.quarantined.iter().map(|path| path.display().to_string()).collect();
    }
    shared.metrics.torn_bytes.inc_by(recovered.torn_bytes);
    let max_file_size = shared.config.log.max_file_size.as_u64();
    let writer = LogWriter::new(fs, log_dir, max_file_size, recovered.next, recovered.files);
    shared.metrics.log_bytes.set(writer.n_bytes());
    Ok(Opened { shared, writer })
}

/// A store without rows of its own, for one that only answers from what others wrote.
pub(crate) fn read_only(config: ValidConfig, clock: Arc<dyn Clock>) -> Result<Arc<Shared>, OpenError> {
    let has_clickhouse = !config.clickhouse.url.is_empty();
    if config.lake.is_on() == has_clickhouse {
        return Err(OpenError::NothingToRead);
    }
    let tier = Tier::read_only(&config, Arc::new(RealFs))?;
    let catalog = Catalog::in_memory(clock.now())?;
    Ok(Arc::new(shared(config, clock, tier, catalog, &Loaded::default(), None)))
}

fn shared(
    config: ValidConfig,
    clock: Arc<dyn Clock>,
    tier: Tier,
    catalog: Catalog,
    loaded: &Loaded,
    lock: Option<DirLock>,
) -> Shared {
    let (tail, _) = broadcast::channel(config.memory.tail_len);
    let cache_size = usize::try_from(config.segments.metadata_cache_size.as_u64()).unwrap_or(usize::MAX);
    Shared {
        clock,
        state: RwLock::new(State::default()),
        metrics: Metrics::default(),
        tier,
        catalog,
        next_file_id: AtomicU64::new(loaded.next_file_id),
        sealing: tokio::sync::Mutex::default(),
        maintaining: tokio::sync::Mutex::default(),
        leaving: Mutex::default(),
        newest_small: Mutex::default(),
        shipments: Mutex::new(loaded.shipments.clone()),
        cache: Arc::new(MetadataCache::new(cache_size)),
        room: Notify::new(),
        due: Notify::new(),
        faults: Mutex::new(Faults::default()),
        doubts: Mutex::default(),
        clickhouse: crate::clickhouse::watch::Watched::new(loaded.is_alone),
        tail: Mutex::new(Some(tail)),
        published: Published::default(),
        recorders: Mutex::default(),
        lock,
        config,
    }
}

/// Puts the catalogue's segments into the state, and removes files the catalogue does not know.
fn link_segments(shared: &Shared, loaded: &Loaded) -> Result<(), OpenError> {
    let files: BTreeSet<object_store::path::Path> = shared.tier.list()?.into_iter().map(|(path, _)| path).collect();
    let mut segments = Vec::with_capacity(loaded.segments.len());
    let mut missing = Vec::new();
    for row in &loaded.segments {
        let path = object_store::path::Path::from(row.path.as_str());
        if !files.contains(&path) {
            missing.push(path.to_string());
            continue;
        }
        segments.push(Arc::new(Segment {
            id: row.id,
            table: row.key.table,
            hour: row.key.hour,
            path,
            n_rows: row.n_rows,
            n_bytes: row.n_bytes,
            footer_bytes: row.footer_bytes,
            min_time: row.min_time,
            max_time: row.max_time,
            last_lsn: row.last_lsn,
            has_minutes: row.has_minutes,
            store: Arc::clone(&shared.tier.store),
            cache: Arc::clone(&shared.cache),
        }));
    }
    if !missing.is_empty() {
        tracing::error!(n_missing = missing.len(), first = missing.first(), "segments of the catalogue are missing");
    }
    shared.faults.lock().missing = missing;
    {
        let mut state = shared.state.write();
        state.replace(&[], &[], &segments);
        state.moved = Arc::new(loaded.moved.clone());
        // A segment that has left since may have had a number above those that are still here.
        state.newest = crate::ids::SegmentId::new(loaded.next_file_id.saturating_sub(1));
    }
    let known: BTreeSet<object_store::path::Path> =
        shared.catalog.all_paths()?.into_iter().map(object_store::path::Path::from).collect();
    for orphan in files.difference(&known).filter(|path| is_ours(path)) {
        // Written by a seal that did not commit: its rows are still in the log.
        match shared.tier.delete(orphan) {
            Ok(()) => {
                shared.metrics.orphans.inc();
            }
            Err(error) => tracing::warn!(error = report(&error), path = %orphan, "cannot remove an orphan"),
        }
    }
    Ok(())
}

/// Whether a path has the shape of a segment's, or of one that was being written.
fn is_ours(path: &object_store::path::Path) -> bool {
    let parts: Vec<_> = path.parts().collect();
    let [table, _, name] = parts.as_slice() else { return false };
    let stem = name.as_ref().strip_suffix(".parquet").or_else(|| name.as_ref().strip_suffix(".partial"));
    hindcast_model::TableId::parse(table.as_ref()).is_some()
        && stem.is_some_and(|stem| stem.len() == 12 && stem.bytes().all(|byte| byte.is_ascii_digit()))
}

fn recover(shared: &Shared, fs: &dyn LogFs, dir: &Path, loaded: &Loaded) -> Result<Recovered, OpenError> {
    let recovery = Recovery {
        fs,
        dir,
        on_corruption: shared.config.log.on_corruption,
        max_record: usize::try_from(shared.config.log.max_record_size.as_u64()).unwrap_or(usize::MAX),
        oldest_needed: loaded.oldest_needed,
        next_at_least: loaded.last_lsn.next(),
    };
    let mut seal_failure: Option<SealError> = None;
    let limit = shared.limits().max_bytes;
    let recovered = recovery.run(|lsn, bytes| {
        if lsn < loaded.oldest_needed {
            return Ok(());
        }
        replay(shared, loaded, lsn, bytes).map_err(|source| LogError::Damaged {
            path: dir.to_path_buf(),
            offset: lsn.get(),
            source,
        })?;
        // Recovery keeps to the memory the store may use, also when the log holds more.
        if seal_failure.is_none() && shared.state.read().n_bytes() > limit / 2 {
            seal_failure = seal_everything(shared).err();
        }
        Ok(())
    });
    let recovered = recovered.map_err(|source| OpenError::Log { path: dir.to_path_buf(), source })?;
    if let Some(error) = seal_failure {
        return Err(OpenError::Seal(error));
    }
    {
        let mut state = shared.state.write();
        state.lsn = crate::ids::Lsn::new(recovered.next.get().saturating_sub(1));
    }
    if !recovered.quarantined.is_empty() {
        seal_everything(shared).map_err(OpenError::Seal)?;
        set_aside(fs, dir, &recovered)?;
    }
    Ok(recovered)
}

fn replay(shared: &Shared, loaded: &Loaded, lsn: crate::ids::Lsn, bytes: &[u8]) -> Result<(), Damage> {
    let batches = payload::decode(bytes)?;
    let (_, mut parts) =
        memory::prepare(&batches).map_err(|_wrong| Damage::Payload("a batch does not fit its table"))?;
    parts.retain(|part| loaded.marks.get(&part.key).is_none_or(|mark| lsn > *mark));
    shared.state.write().apply(lsn, &parts, shared.clock.now());
    Ok(())
}

fn seal_everything(shared: &Shared) -> Result<(), SealError> {
    let keys: Vec<_> = shared.state.read().open.keys().copied().collect();
    run::seal(shared, &keys).map(drop)
}

/// Moves damaged files out of the log, once what could be read of them is sealed.
fn set_aside(fs: &dyn LogFs, dir: &Path, recovered: &Recovered) -> Result<(), OpenError> {
    let aside = dir.join("quarantine");
    let failed = |action, path: &Path| {
        let path = path.to_path_buf();
        move |source| OpenError::Directory { action, path, source }
    };
    fs.create_dir_all(&aside).map_err(failed("create", &aside))?;
    for path in &recovered.quarantined {
        fs.rename(path, &aside.join(path.file_name().unwrap_or_default())).map_err(failed("move aside", path))?;
    }
    fs.sync_dir(&aside).and_then(|()| fs.sync_dir(dir)).map_err(failed("sync", dir))
}
