//! Recordings in files: read once ([`import()`]), followed while they are written ([`Follower`]), or shipped to a bucket
//! ([`BucketReader`]).

mod blocks;
mod bucket;
mod config;
mod content;
mod decode;
mod follow;
mod frame;
mod import;
mod inputs;
pub(crate) mod known;
mod object;
mod open;
mod pump;
mod read;
mod report;
mod summary;

pub use bucket::BucketReader;
pub use config::{BucketConfig, FollowConfig, ImportConfig};
pub use content::Packing;
pub use follow::Follower;
pub use import::{ImportError, import};
pub use inputs::InputError;
pub use known::Tally;
pub use read::{Taken, read};
pub(crate) use report::{ReportArgs, report};
pub(crate) use summary::Rejected as RejectedByReason;
pub use summary::{FileState, FileSummary, ImportSummary, Progress, RejectedLine, RejectedLines};
