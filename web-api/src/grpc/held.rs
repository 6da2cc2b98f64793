//! What is held of a table, for clients that ask about a time before it.
//!
//! Every answer names the held range in the header `x-hindcast-held-range` (`from/to`). Where the whole range that was
//! asked for lies before it, the answer is the error `OutOfRange` with the range in its text, which the `hubble` CLI
//! prints as it stands: an empty answer would look like "nothing happened".

use hindcast_model::{TableId, Timestamp};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Response, Status};

use super::asked::Plan;
use crate::ask;
use crate::doors::Doors;
use crate::when;

const HELD_RANGE: &str = "x-hindcast-held-range";

/// Time of the first and of the last row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held(Option<(Timestamp, Timestamp)>);

impl Held {
    /// What is held of `table` now.
    pub(super) fn of(doors: &Doors, table: TableId) -> Self {
        Self(ask::held(doors, table))
    }

    /// An error where all that the plan asks for is older than what is held.
    pub(super) fn check(self, plan: &Plan) -> Result<(), Status> {
        let (Some((first, last)), Some((range, _))) = (self.0, plan.past) else { return Ok(()) };
        if plan.follow || range.end() > first {
            return Ok(());
        }
        let (first, last) = (when::format(first), when::format(last));
        let text = format!("nothing that old is held: what is held begins at {first} and ends at {last}");
        let mut status = Status::out_of_range(text);
        self.describe(status.metadata_mut());
        Err(status)
    }

    /// A response that names what is held.
    pub(super) fn respond<T>(self, body: T) -> Response<T> {
        let mut response = Response::new(body);
        self.describe(response.metadata_mut());
        response
    }

    fn describe(self, metadata: &mut MetadataMap) {
        if let Some((first, last)) = self.0
            && let Ok(value) = MetadataValue::try_from(format!("{}/{}", when::format(first), when::format(last)))
        {
            metadata.insert(HELD_RANGE, value);
        }
    }
}
