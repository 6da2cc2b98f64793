//! Objects of a bucket that others fill: listed, read from any place on, removed. Its calls block.
//!
//! An object that was replaced while it is read is told from the one that was listed, and not mixed with it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use hindcast_model::Timestamp;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig};
use tokio::runtime::Handle;
use url::Url;

/// How often a request that the store refused for now is repeated, and how long at most.
const MAX_RETRIES: usize = 6;
const RETRY_TIMEOUT: Duration = Duration::from_secs(45);

/// Why a bucket did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The address is none.
    #[error("{url} is not the address of a bucket: s3://, gs:// or az:// with its name is wanted")]
    BadUrl {
        /// As given.
        url: String,
    },
    /// The store did not do it.
    #[error("cannot {action} {url}")]
    Store {
        /// What was tried.
        action: &'static str,
        /// On what.
        url: String,
        /// Why not.
        #[source]
        source: object_store::Error,
    },
}

impl ObjectsError {
    /// Whether what was asked for is not there, or is another thing by now.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Store { source: object_store::Error::NotFound { .. } | object_store::Error::Precondition { .. }, .. }
        )
    }
}

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name in the bucket.
    pub key: String,
    /// Bytes.
    pub n_bytes: u64,
    /// What tells its versions apart, where the store says it.
    pub e_tag: Option<String>,
    /// When it was written.
    pub modified: Timestamp,
}

impl Object {
    fn of(meta: ObjectMeta) -> Self {
        let nanos = meta.last_modified.timestamp_nanos_opt().unwrap_or_default();
        let modified = Timestamp::from_nanos(nanos);
        Self { key: meta.location.into(), n_bytes: meta.size, e_tag: meta.e_tag, modified }
    }
}

/// A bucket, or what lies in it under a prefix.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Where requests run; whoever asks waits.
    runtime: Handle,
    /// The bucket's address, without an end.
    root: String,
    prefix: Option<Path>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Objects")
            .field("root", &self.root)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Objects {
    fn eq(&self, other: &Self) -> bool {
        (&self.root, &self.prefix) == (&other.root, &other.prefix)
    }
}

impl Eq for Objects {}

/// Whether a text is the address of a bucket.
#[must_use]
pub fn is_bucket(text: &str) -> bool {
    ["s3://", "gs://", "az://", "abfs://", "abfss://"].iter().any(|scheme| text.starts_with(scheme))
}

impl Objects {
    /// A bucket by its address, for callers that may block: a runtime is at hand, and is not what they run on. Who may
    /// use it is said by the environment, as the vendors' own tools read it
    /// (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, …).
    ///
    /// # Errors
    /// The address is none, or the environment does not say what is needed.
    pub fn open(address: &str) -> Result<Self, ObjectsError> {
        let bad = || ObjectsError::BadUrl { url: address.to_owned() };
        let url = Url::parse(address).map_err(|_error| bad())?;
        let failed = |source| ObjectsError::Store { action: "open", url: address.to_owned(), source };
        if !is_bucket(address) {
            return Err(bad());
        }
        let store = bucket(&url).map_err(failed)?;
        let prefix = Path::from_url_path(url.path()).map_err(|_error| bad())?;
        let prefix = (!prefix.as_ref().is_empty()).then_some(prefix);
        Ok(Self { store, runtime: Handle::current(), root: bucket_of(&url), prefix })
    }

    /// The address of an object.
    #[must_use]
    pub fn url(&self, key: &str) -> String {
        format!("{}/{key}", self.root)
    }

    fn failed(&self, action: &'static str, key: &str) -> impl Fn(object_store::Error) -> ObjectsError + '_ {
        let url = self.url(key);
        move |source| ObjectsError::Store { action, url: url.clone(), source }
    }

    /// All objects under the prefix, or the one of that name, by name.
    ///
    /// # Errors
    /// The store does not answer, or not to this user.
    pub fn list(&self) -> Result<Vec<Object>, ObjectsError> {
        let prefix = self.prefix.as_ref();
        let name = prefix.map_or("", AsRef::as_ref);
        let listed = self.runtime.block_on(self.store.list(prefix).try_collect::<Vec<_>>());
        let mut found: Vec<Object> = listed.map_err(self.failed("list", name))?.into_iter().map(Object::of).collect();
        // A prefix ends where a name does; what it names itself is not under it.
        if found.is_empty() && prefix.is_some() {
            match self.look(name) {
                Ok(object) => found.push(object),
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
        }
        // Some stores show a folder as an object without content.
        found.retain(|object| !(object.n_bytes == 0 && object.key.ends_with('/')));
        found.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(found)
    }

    /// What an object is now.
    ///
    /// # Errors
    /// It is not there, or the store does not answer.
    pub fn look(&self, key: &str) -> Result<Object, ObjectsError> {
        let meta = self.runtime.block_on(self.store.head(&Path::from(key)));
        meta.map(Object::of).map_err(self.failed("look at", key))
    }

    /// Bytes of that version of an object.
    ///
    /// # Errors
    /// It is gone or another one by now, or the store does not give all of them.
    pub fn read(&self, object: &Object, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        let options = GetOptions {
            if_match: object.e_tag.clone(),
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let path = Path::from(object.key.as_str());
        let read = async { self.store.get_opts(&path, options).await?.bytes().await };
        self.runtime.block_on(read).map_err(self.failed("read", &object.key))
    }

    /// Removes an object; one that is gone is fine.
    ///
    /// # Errors
    /// The store does not answer, or not to this user.
    pub fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        match self.runtime.block_on(self.store.delete(&Path::from(key))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed("remove", key)(source)),
        }
    }
}

/// The store behind an address; who may use it is said by the environment.
pub(crate) fn bucket(url: &Url) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let retry = RetryConfig { max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let url_text = url.as_str();
    Ok(match url.scheme() {
        "s3" => Arc::new(AmazonS3Builder::from_env().with_url(url_text).with_retry(retry).build()?),
        "gs" => Arc::new(GoogleCloudStorageBuilder::from_env().with_url(url_text).with_retry(retry).build()?),
        _ => Arc::new(MicrosoftAzureBuilder::from_env().with_url(url_text).with_retry(retry).build()?),
    })
}

/// The address without what lies in the bucket.
fn bucket_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.username() {
        "" => format!("{}://{host}", url.scheme()),
        container => format!("{}://{container}@{host}", url.scheme()),
    }
}
