//! `flow.Endpoint` and `flow.Service` → columns of one side.

use hindcast_model::column::{DictColumn, U32Column};
use hindcast_model::rest;

use super::fault::{Fault, bytes, number, text};
use super::row::{Row, Seen, put_list, put_list_item, put_text};
use crate::schema;
use crate::wire::{self, Reader, low32};

/// Which end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

struct EndpointColumns<'b> {
    endpoint_id: &'b mut U32Column,
    identity: &'b mut U32Column,
    cluster: &'b mut DictColumn,
    namespace: &'b mut DictColumn,
    pod: &'b mut DictColumn,
    workload: &'b mut DictColumn,
    workload_kind: &'b mut DictColumn,
    labels: &'b mut DictColumn,
}

impl Row<'_> {
    /// Reads an endpoint. Its presence shows in the identity column, which is set even to 0.
    pub(super) fn endpoint(&mut self, side: Side, message: &[u8]) -> Result<(), Fault> {
        let flows = &mut *self.columns;
        let (number, columns) = match side {
            Side::Source => (
                8,
                EndpointColumns {
                    endpoint_id: &mut flows.src_endpoint_id,
                    identity: &mut flows.src_identity,
                    cluster: &mut flows.src_cluster,
                    namespace: &mut flows.src_namespace,
                    pod: &mut flows.src_pod,
                    workload: &mut flows.src_workload,
                    workload_kind: &mut flows.src_workload_kind,
                    labels: &mut flows.src_labels,
                },
            ),
            Side::Destination => (
                9,
                EndpointColumns {
                    endpoint_id: &mut flows.dst_endpoint_id,
                    identity: &mut flows.dst_identity,
                    cluster: &mut flows.dst_cluster,
                    namespace: &mut flows.dst_namespace,
                    pod: &mut flows.dst_pod,
                    workload: &mut flows.dst_workload,
                    workload_kind: &mut flows.dst_workload_kind,
                    labels: &mut flows.dst_labels,
                },
            ),
        };
        let scratch = &mut *self.scratch;
        let open = wire::open(&mut scratch.rest, number);
        endpoint(columns, self.row, message, &mut scratch.list, &mut scratch.rest)?;
        open.close_or_drop(&mut scratch.rest, false);
        Ok(())
    }

    /// Reads a service.
    pub(super) fn service(&mut self, side: Side, message: &[u8]) -> Result<(), Fault> {
        let flows = &mut *self.columns;
        let (number, name, namespace) = match side {
            Side::Source => (20, &mut flows.src_service, &mut flows.src_service_namespace),
            Side::Destination => (21, &mut flows.dst_service, &mut flows.dst_service_namespace),
        };
        let rest = &mut self.scratch.rest;
        let open = wire::open(rest, number);
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            let column = match field.number {
                1 => &mut *name,
                2 => &mut *namespace,
                _ => {
                    rest.extend_from_slice(field.raw);
                    continue;
                }
            };
            seen.first(field.number)?;
            put_text(column, self.row, field.value).map_err(|fault| fault.in_field("flow.Service", field.number))?;
        }
        let is_visible = name.get(self.row).is_some() || namespace.get(self.row).is_some();
        open.close_or_drop(rest, !is_visible);
        Ok(())
    }
}

fn endpoint(
    columns: EndpointColumns<'_>,
    row: usize,
    message: &[u8],
    labels: &mut String,
    rest: &mut Vec<u8>,
) -> Result<(), Fault> {
    labels.clear();
    columns.identity.set(row, 0);
    let mut seen = Seen::default();
    let mut n_workloads = 0;
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        let read = match field.number {
            4 => put_list_item(labels, field.value),
            1 | 2 | 3 | 5 | 7 => seen.first(field.number).and_then(|()| match field.number {
                1 => number(field.value).map(|id| {
                    if low32(id) != 0 {
                        columns.endpoint_id.set(row, low32(id));
                    }
                }),
                2 => number(field.value).map(|identity| columns.identity.set(row, low32(identity))),
                3 => put_text(columns.namespace, row, field.value),
                5 => put_text(columns.pod, row, field.value),
                _ => put_text(columns.cluster, row, field.value),
            }),
            6 => {
                n_workloads += 1;
                if n_workloads == 1 && first_workload(columns.workload, columns.workload_kind, row, field.value)? {
                    continue;
                }
                if n_workloads == 1 {
                    wire::put_number(rest, rest::COPIED, 6);
                }
                check_workload(field.value).map(|()| rest.extend_from_slice(field.raw))
            }
            _ => {
                rest.extend_from_slice(field.raw);
                Ok(())
            }
        };
        read.map_err(|fault| fault.in_field("flow.Endpoint", field.number))?;
    }
    put_list(columns.labels, row, labels);
    Ok(())
}

/// Reads the first workload into its columns; `false` if they do not hold all of it.
fn first_workload(
    name: &mut DictColumn,
    kind: &mut DictColumn,
    row: usize,
    value: wire::Value<'_>,
) -> Result<bool, Fault> {
    let mut is_whole = true;
    let mut fields = Reader::new(bytes(value)?);
    let (mut workload, mut workload_kind) = ("", "");
    while let Some(field) = fields.next()? {
        match field.number {
            1 => workload = text(field.value)?,
            2 => workload_kind = text(field.value)?,
            _ => is_whole = false,
        }
    }
    if !workload.is_empty() {
        name.set(row, workload);
    }
    if !workload_kind.is_empty() {
        kind.set(row, workload_kind);
    }
    Ok(is_whole && !(workload.is_empty() && workload_kind.is_empty()))
}

fn check_workload(value: wire::Value<'_>) -> Result<(), Fault> {
    let message = schema::message("flow.Workload").ok_or(crate::json::WireError::malformed())?;
    Ok(wire::merge::check(message, bytes(value)?)?)
}
