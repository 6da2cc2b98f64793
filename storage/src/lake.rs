//! A lake that several share: segments of many recorders in one object store, named in one DuckLake catalogue in
//! PostgreSQL.
//!
//! Every recorder keeps a catalogue of its own beside its log, and nothing waits for the shared one: a recorder
//! *publishes* there, in one transaction and again and again, what its own catalogue says by now. It writes in a folder
//! of its own and deletes there alone, and no file before the shared catalogue has forgotten it. Who only reads takes
//! what is new from the shared catalogue once a second.

mod client;
mod config;
mod declare;
pub(crate) mod lease;
mod publish;
mod read;
mod schema;

use hindcast_model::{Kind, TableId, Timestamp};

pub use config::LakeConfig;
pub use lease::{Claim, LakeView, Share, SharedSource, lake_view, retire};
pub(crate) use publish::{Published, first_connect, publish_last, publish_loop, publish_now};
pub(crate) use read::{first_read, read_loop, read_now};

/// Why the shared catalogue could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// Its address is none.
    #[error("storage.lake.catalog is not the address of a PostgreSQL database")]
    Address(#[source] tokio_postgres::Error),
    /// A file that the connection needs cannot be read.
    #[error("cannot read {path} for the shared catalogue")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection cannot be encrypted as asked.
    #[error("cannot set up TLS for the shared catalogue")]
    Tls(#[source] rustls::Error),
    /// It does not answer, or said no.
    #[error("cannot {action} the shared catalogue at {at}")]
    Server {
        /// What was tried.
        action: &'static str,
        /// Where it is.
        at: String,
        /// Why not.
        #[source]
        source: tokio_postgres::Error,
    },
    /// It took too long.
    #[error("cannot {action} the shared catalogue at {at}: no answer in {waited:?}")]
    Slow {
        /// What was tried.
        action: &'static str,
        /// Where it is.
        at: String,
        /// How long was waited.
        waited: std::time::Duration,
    },
    /// A later build wrote it, or an earlier one and nobody has brought it up to date.
    #[error("the shared catalogue has version {found}, this build wants {known}: {advice}")]
    Version {
        /// Its version.
        found: i64,
        /// What this build knows.
        known: i64,
        /// What to do.
        advice: &'static str,
    },
    /// It names segments somewhere else.
    #[error("the shared catalogue is of segments in {found}, and storage.segments_url is {wanted}")]
    Elsewhere {
        /// Where its segments are.
        found: String,
        /// Where ours are.
        wanted: String,
    },
    /// The columns of a table have other numbers there than in this store's files.
    #[error(
        "the shared catalogue numbers the columns of {table} otherwise than this store: it needs a lake of its own"
    )]
    Columns {
        /// The table.
        table: TableId,
    },
    /// Another store has the recorder's name.
    #[error(
        "another store publishes as {recorder}: every recorder of a lake has a name of its own, storage.lake.recorder"
    )]
    NameTaken {
        /// The name.
        recorder: String,
    },
    /// The recorder was given up.
    #[error("{recorder} was retired from the lake: what it has not published stays in its data directory alone")]
    Retired {
        /// Its name.
        recorder: String,
    },
    /// There is no such recorder.
    #[error("no recorder of the lake is called {recorder}")]
    Unknown {
        /// The name.
        recorder: String,
    },
    /// The own catalogue cannot be read.
    #[error(transparent)]
    Own(#[from] crate::CatalogError),
}

impl LakeError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Address(_)
            | Self::File { .. }
            | Self::Tls(_)
            | Self::Elsewhere { .. }
            | Self::Columns { .. }
            | Self::NameTaken { .. }
            | Self::Unknown { .. }
            | Self::Retired { .. } => Kind::Invalid,
            Self::Version { found, known, .. } if found > known => Kind::Invalid,
            // A recorder makes it or brings it up to date.
            Self::Version { .. } | Self::Server { .. } | Self::Slow { .. } => Kind::Unavailable,
            Self::Own(source) => source.kind(),
        }
    }
}

/// How a shared lake fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LakeStatus {
    /// Why it was last not reached, or refused; `None` once it has answered.
    pub last_error: Option<String>,
    /// Segments that came or left here and that it does not say yet.
    pub n_waiting: usize,
    /// Who writes to it, by name, as far as is known here.
    pub recorders: Vec<RecorderStatus>,
}

/// A recorder of a shared lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderStatus {
    /// Its name.
    pub recorder: String,
    /// When it last said that it is there.
    pub seen_at: Timestamp,
    /// What it had received until then can be read by all.
    pub named_until: Timestamp,
    /// When it was given up; `None` while it may come back.
    pub retired_at: Option<Timestamp>,
}
