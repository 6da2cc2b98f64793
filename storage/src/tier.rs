//! Where sealed files live: a local directory or an object store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Handle;
use url::Url;

use crate::config::Config;
use crate::log::fs::LogFs;
use crate::objects::bucket;

/// Sealed files by path. Its calls block.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The directory, where it is a local one: written through `fs`, since an object store does not sync.
    local: Option<PathBuf>,
    fs: Arc<dyn LogFs>,
    /// What paths are relative to, for the catalogue; ends in a slash.
    pub(crate) data_path: String,
}

/// Why a file could not be put or removed.
#[derive(Debug, thiserror::Error)]
pub enum TierError {
    /// A local file.
    #[error("cannot {action} segment file {path}")]
    Local {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// An object.
    #[error("cannot {action} segment {path} in the object store")]
    Remote {
        /// What was tried.
        action: &'static str,
        /// On which object.
        path: String,
        /// Why it failed.
        #[source]
        source: object_store::Error,
    },
    /// Another store writes there.
    #[error("segments in {place} are those of another store: a store deletes there what it does not know")]
    Claimed {
        /// Where.
        place: String,
    },
}

/// The object that says whose a place is.
const MARK: &str = "hindcast-store";

impl Tier {
    /// The tier a configuration names: in a lake that others share, the folder of this recorder.
    pub(crate) fn open(config: &Config, fs: Arc<dyn LogFs>) -> Result<Self, TierError> {
        let mut url = config.object_store_url();
        if let Some(url) = url.as_mut().filter(|_| config.lake.is_on()) {
            let path = format!("{}/{}", url.path().trim_end_matches('/'), config.lake.recorder);
            url.set_path(&path);
        }
        Self::of(config, url, fs)
    }

    /// All of a lake that others write to; without one a place where nothing is.
    pub(crate) fn read_only(config: &Config, fs: Arc<dyn LogFs>) -> Result<Self, TierError> {
        match config.object_store_url().filter(|_| config.lake.is_on()) {
            Some(url) => Self::of(config, Some(url), fs),
            None => {
                let store = Arc::new(object_store::memory::InMemory::new());
                Ok(Self { store, local: None, fs, data_path: String::new() })
            }
        }
    }

    fn of(config: &Config, url: Option<Url>, fs: Arc<dyn LogFs>) -> Result<Self, TierError> {
        match url {
            Some(url) if url.scheme() != "file" => Self::remote(&url, fs),
            Some(url) => Self::at(url.to_file_path().unwrap_or_else(|()| PathBuf::from(url.path())), fs),
            None => Self::at(config.data_dir.join("segments"), fs),
        }
    }

    fn at(dir: PathBuf, fs: Arc<dyn LogFs>) -> Result<Self, TierError> {
        let failed = |action| {
            let path = dir.clone();
            move |source| TierError::Local { action, path, source }
        };
        std::fs::create_dir_all(&dir).map_err(failed("create"))?;
        let dir = std::fs::canonicalize(&dir).map_err(failed("find"))?;
        let store = LocalFileSystem::new_with_prefix(&dir).map_err(|source| TierError::Remote {
            action: "open",
            path: dir.display().to_string(),
            source,
        })?;
        let data_path = format!("{}/", dir.display());
        Ok(Self { store: Arc::new(store), local: Some(dir), fs, data_path })
    }

    fn remote(url: &Url, fs: Arc<dyn LogFs>) -> Result<Self, TierError> {
        let failed = |source| TierError::Remote { action: "open", path: url.to_string(), source };
        let store = bucket(url).map_err(failed)?;
        let store: Arc<dyn ObjectStore> = match url.path().trim_matches('/') {
            "" => store,
            prefix => Arc::new(PrefixStore::new(store, prefix)),
        };
        let data_path = format!("{}/", url.as_str().trim_end_matches('/'));
        Ok(Self { store, local: None, fs, data_path })
    }

    /// Takes a place for a store, for good. What lies there belongs to one store alone.
    pub(crate) fn claim(&self, store: &str) -> Result<(), TierError> {
        let mark = Path::from(MARK);
        let failed = |source| TierError::Remote { action: "claim", path: format!("{}{MARK}", self.data_path), source };
        let claimed = async {
            let options = object_store::PutOptions::from(object_store::PutMode::Create);
            match self.store.put_opts(&mark, store.to_owned().into(), options).await {
                Ok(_) => return Ok(store.to_owned()),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
                Err(error) => return Err(error),
            }
            let found = self.store.get(&mark).await?.bytes().await?;
            Ok(String::from_utf8_lossy(&found).into_owned())
        };
        match Handle::current().block_on(claimed).map_err(failed)? {
            found if found.trim() == store => Ok(()),
            _other => Err(TierError::Claimed { place: self.data_path.clone() }),
        }
    }

    /// Writes a file; it is durable and whole on return. What is there is replaced.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), TierError> {
        let Some(dir) = &self.local else {
            let put = Handle::current().block_on(self.store.put(path, bytes.into()));
            return put.map(drop).map_err(|source| TierError::Remote {
                action: "write",
                path: path.to_string(),
                source,
            });
        };
        let target = dir.join(path.as_ref());
        let partial = target.with_extension("partial");
        let failed = |action| {
            let path = partial.clone();
            move |source| TierError::Local { action, path, source }
        };
        let parent = target.parent().unwrap_or(dir);
        self.fs.create_dir_all(parent).map_err(failed("create the directory of"))?;
        // Left over from an attempt that failed.
        if let Err(source) = self.fs.remove(&partial)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(failed("replace")(source));
        }
        let mut file = self.fs.create(&partial).map_err(failed("create"))?;
        let written = file.append(&bytes).and_then(|()| file.sync());
        drop(file);
        if let Err(source) = written {
            // Best effort: what is left is removed by the next attempt or the next open.
            drop(self.fs.remove(&partial));
            return Err(failed("write")(source));
        }
        self.fs.rename(&partial, &target).map_err(failed("rename"))?;
        // A new directory is durable once those above it are.
        for above in parent.ancestors().take_while(|above| above.starts_with(dir)) {
            self.fs.sync_dir(above).map_err(failed("sync the directory of"))?;
        }
        Ok(())
    }

    /// All files with their sizes.
    pub(crate) fn list(&self) -> Result<Vec<(Path, u64)>, TierError> {
        let listed = Handle::current().block_on(self.store.list(None).try_collect::<Vec<_>>());
        let listed =
            listed.map_err(|source| TierError::Remote { action: "list", path: self.data_path.clone(), source })?;
        Ok(listed.into_iter().map(|object| (object.location, object.size)).collect())
    }

    /// Removes a file; one that is not there is fine.
    pub(crate) fn delete(&self, path: &Path) -> Result<(), TierError> {
        match Handle::current().block_on(self.store.delete(path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(TierError::Remote { action: "remove", path: path.to_string(), source }),
        }
    }
}
