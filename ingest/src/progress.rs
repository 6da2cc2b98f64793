//! The rows of table `ingested`: how far each input was read. They stand in the same append as the events they cover,
//! so a crash loses nothing and doubles nothing.

use hindcast_model::tables::ingested;
use hindcast_model::{Batch, SchemaError, TableId, Timestamp};

use crate::file::known::Reached;

/// The rows; `None` for no progress.
pub(crate) fn batch(reached: &[Reached], now: Timestamp) -> Result<Option<Batch>, SchemaError> {
    if reached.is_empty() {
        return Ok(None);
    }
    let mut builder = ingested::Builder::default();
    for reached in reached {
        let row = builder.row();
        builder.time.set(row, now.as_nanos());
        builder.source.set(row, &reached.source);
        if let Some(fingerprint) = reached.fingerprint_text() {
            builder.fingerprint.set(row, &fingerprint);
        }
        builder.position.set(row, reached.position);
        builder.is_complete.set(row, reached.is_complete);
        builder.recorded.set(row, reached.tally.recorded);
        builder.deduplicated.set(row, reached.tally.deduplicated);
        builder.rejected.set(row, reached.tally.rejected);
        if let Some(time) = reached.last_event_time {
            builder.last_event_time.set(row, time.as_nanos());
        }
        builder.commit();
    }
    Ok(Some(Batch { table: TableId::Ingested, records: builder.finish()? }))
}
