//! Field filters of `GetEvents`: masks over the inner event, by kind, applied in order. `node_name` and `time` stay.

use std::collections::BTreeMap;

use hindcast_proto::tetragon::{FieldFilter, FieldFilterAction};
use prost_reflect::{Kind, MessageDescriptor};
use tonic::Status;

use crate::grpc::descriptors;
use crate::grpc::mask::{Fields, Mask};

/// The filters of a request, ready to be applied.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldFilters {
    /// By the number of the kind: masks in order.
    by_kind: BTreeMap<u32, Vec<(FieldFilterAction, Mask)>>,
}

impl FieldFilters {
    /// The filters that a request names.
    pub(super) fn new(filters: &[FieldFilter]) -> Result<Self, Status> {
        let mut this = Self::default();
        if filters.is_empty() {
            return Ok(this);
        }
        let response = descriptors::message("tetragon.GetEventsResponse")
            .ok_or_else(|| Status::internal("the event types are not described"))?;
        for filter in filters {
            let action = FieldFilterAction::try_from(filter.action).map_err(|_unknown| {
                Status::invalid_argument(format!("there is no field filter action {}", filter.action))
            })?;
            for (number, event) in kinds(&response) {
                if applies(filter, number) {
                    let paths = filter.fields.iter().flat_map(|mask| mask.paths.iter().map(String::as_str));
                    this.by_kind.entry(number).or_default().push((action, Mask::new(&event, paths)));
                }
            }
        }
        Ok(this)
    }

    /// The response with its event's fields filtered; `None` where it is no message.
    pub(super) fn apply(&self, response: Vec<u8>) -> Option<Vec<u8>> {
        if self.by_kind.is_empty() {
            return Some(response);
        }
        let mut out = Vec::with_capacity(response.len());
        for field in Fields(&response) {
            let field = field?;
            match self.by_kind.get(&field.number) {
                None => out.extend_from_slice(field.whole),
                Some(masks) => field.rewrite(&mut out, |event, out| filtered(masks, event, out))?,
            }
        }
        Some(out)
    }
}

fn filtered(masks: &[(FieldFilterAction, Mask)], event: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut current = event.to_vec();
    for (action, mask) in masks {
        let mut next = Vec::with_capacity(current.len());
        match action {
            FieldFilterAction::Include => mask.keep(&current, &mut next)?,
            FieldFilterAction::Exclude => mask.prune(&current, &mut next)?,
        }
        current = next;
    }
    out.append(&mut current);
    Some(())
}

/// The kinds of events by number, with the type of each.
fn kinds(response: &MessageDescriptor) -> Vec<(u32, MessageDescriptor)> {
    let fields = response.oneofs().flat_map(|oneof| oneof.fields().collect::<Vec<_>>());
    fields
        .filter_map(|field| match field.kind() {
            Kind::Message(event) => Some((field.number(), event)),
            _ => None,
        })
        .collect()
}

/// Whether a filter is for events of the kind with that number.
fn applies(filter: &FieldFilter, number: u32) -> bool {
    if filter.event_set.is_empty() {
        return true;
    }
    let is_named = filter.event_set.iter().any(|kind| u32::try_from(*kind) == Ok(number));
    is_named != filter.invert_event_set.unwrap_or(false)
}
