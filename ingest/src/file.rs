//! Recordings in files: read once ([`import()`]), followed while they are written ([`Follower`]), or shipped to a bucket
//! ([`BucketReader`]), which several recorders may share ([`SharedBuckets`]).

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
mod shared;
mod summary;
mod whole;

pub use bucket::BucketReader;
pub use config::{BucketConfig, FollowConfig, ImportConfig};
pub use content::Packing;
pub use follow::Follower;
pub use import::{ImportError, import};
pub use inputs::InputError;
pub use known::Tally;
pub use read::{Taken, read};
pub(crate) use report::{ReportArgs, report};
pub use shared::SharedBuckets;
pub(crate) use summary::Rejected as RejectedByReason;
pub use summary::{FileState, FileSummary, ImportSummary, Progress, RejectedLine, RejectedLines};

use tokio_util::sync::CancellationToken;

use crate::pipeline::{Pipeline, SubmitError};
use crate::source::{Source, SourceState};

/// Notes how a source that reads until it is stopped came to its end.
fn ended(
    pipeline: &Pipeline,
    source: &Source,
    cancel: &CancellationToken,
    result: Result<(), SubmitError>,
) -> Result<(), SubmitError> {
    match &result {
        Ok(()) => source.set_state(SourceState::Finished),
        Err(error) => {
            source.set_error(pipeline.now(), hindcast_model::report(error));
            source.set_state(SourceState::Failed);
        }
    }
    // A submission under way when the pipeline was stopped is no failure of the source.
    if cancel.is_cancelled() { Ok(()) } else { result }
}
