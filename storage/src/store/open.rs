//! Opening: directories, lock, catalogue, recovery of the log. Blocks.

use std::path::Path;
use std::sync::Arc;

use hindcast_model::Clock;
use object_store::local::LocalFileSystem;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};

use super::lock::DirLock;
use super::shared::{Faults, Shared};
use crate::config::ValidConfig;
use crate::error::OpenError;
use crate::ids::Lsn;
use crate::log::fs::LogFs;
use crate::log::reader::{Recovered, Recovery};
use crate::log::writer::LogWriter;
use crate::log::{LogError, payload};
use crate::memory::{self, State};
use crate::metrics::Metrics;
use crate::segment::MetadataCache;

/// A store that is ready to run.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: LogWriter,
}

pub(crate) fn open(config: ValidConfig, clock: Arc<dyn Clock>, fs: Arc<dyn LogFs>) -> Result<Opened, OpenError> {
    let log_dir = config.data_dir.join("log");
    let segments_dir = config.data_dir.join("segments");
    for dir in [&config.data_dir, &log_dir, &segments_dir] {
        std::fs::create_dir_all(dir).map_err(|source| OpenError::Directory {
            action: "create",
            path: dir.clone(),
            source,
        })?;
    }
    let lock = DirLock::take(&config.data_dir)?;
    let store = LocalFileSystem::new_with_prefix(&segments_dir).map_err(|error| OpenError::Directory {
        action: "use",
        path: segments_dir.clone(),
        source: std::io::Error::other(error),
    })?;
    let (tail, _) = broadcast::channel(config.memory.tail_len);
    let cache_size = usize::try_from(config.segments.metadata_cache_size.as_u64()).unwrap_or(usize::MAX);
    let shared = Arc::new(Shared {
        clock,
        state: RwLock::new(State::default()),
        metrics: Metrics::default(),
        store: Arc::new(store),
        cache: Arc::new(MetadataCache::new(cache_size)),
        room: Notify::new(),
        due: Notify::new(),
        faults: Mutex::new(Faults::default()),
        tail: Mutex::new(Some(tail)),
        _lock: lock,
        config,
    });
    let recovered =
        recover(&shared, fs.as_ref(), &log_dir).map_err(|source| OpenError::Log { path: log_dir.clone(), source })?;
    let max_file_size = shared.config.log.max_file_size.as_u64();
    {
        let mut faults = shared.faults.lock();
        faults.torn_bytes = recovered.torn_bytes;
        faults.log_files = recovered.files.len();
        faults.quarantined = recovered.quarantined.iter().map(|path| path.display().to_string()).collect();
    }
    shared.metrics.torn_bytes.inc_by(recovered.torn_bytes);
    let writer = LogWriter::new(fs, log_dir, max_file_size, recovered.next, recovered.files);
    shared.metrics.log_bytes.set(writer.n_bytes());
    Ok(Opened { shared, writer })
}

fn recover(shared: &Shared, fs: &dyn LogFs, dir: &Path) -> Result<Recovered, LogError> {
    let recovery = Recovery {
        fs,
        dir,
        on_corruption: shared.config.log.on_corruption,
        max_record: usize::try_from(shared.config.log.max_record_size.as_u64()).unwrap_or(usize::MAX),
        oldest_needed: Lsn::new(1),
        next_at_least: Lsn::new(1),
    };
    let now = shared.clock.now();
    let recovered = recovery.run(|lsn, bytes| {
        let damaged = |source| LogError::Damaged { path: dir.to_path_buf(), offset: lsn.get(), source };
        let batches = payload::decode(bytes).map_err(damaged)?;
        let (_, parts) = memory::prepare(&batches)
            .map_err(|_wrong| damaged(crate::log::Damage::Payload("a batch does not fit its table")))?;
        shared.state.write().apply(lsn, &parts, now);
        Ok(())
    })?;
    let mut state = shared.state.write();
    state.lsn = Lsn::new(recovered.next.get().saturating_sub(1));
    Ok(recovered)
}
