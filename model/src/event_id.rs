//! Event ids: 64 bits from what was observed and where, never from the sender's random `uuid`.
//!
//! Two deliveries of one event agree in these columns whatever their route; together with `time` the id names an
//! event. Columns that an exporter may mask or that enrichment may add (labels, names, `uuid`, summary, …) take no
//! part. EV-2.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use crate::TableId;

/// The columns that make up the id of a flow.
pub const FLOW_COLUMNS: &[&str] = &[
    "time",
    "cluster",
    "node",
    "verdict",
    "drop_reason",
    "drop_reason_code",
    "direction",
    "is_reply",
    "ip_version",
    "src_ip",
    "dst_ip",
    "src_ip_xlated",
    "protocol",
    "src_port",
    "dst_port",
    "tcp_flags",
    "icmp_type",
    "icmp_code",
    "src_identity",
    "dst_identity",
    "src_namespace",
    "src_pod",
    "dst_namespace",
    "dst_pod",
    "event_type",
    "event_sub_type",
    "trace_observation_point",
    "interface_index",
    "ip_trace_id",
    "socket_cookie",
    "l7_type",
    "l7_protocol",
    "latency_ns",
    "dns_query",
    "dns_ips",
    "dns_rcode",
    "http_status",
    "http_method",
    "http_url",
    "kafka_topic",
    "kafka_api_key",
    "tls_server_name",
    "bytes_sent",
    "bytes_received",
    "packets_sent",
    "packets_received",
    "connection_id",
    "flow_count",
];

/// The columns that make up the id of a runtime event. `rest` belongs to it: arguments of a hook stand there.
pub const RUNTIME_COLUMNS: &[&str] =
    &["time", "cluster", "node", "kind", "exec_id", "pid", "tid", "function", "signal", "exit_status", "rest"];

/// The columns that make up the id of an agent event.
pub const AGENT_COLUMNS: &[&str] = &["time", "cluster", "node", "kind", "event_type", "rest"];

/// The columns that make up the id of a loss report.
pub const LOSS_COLUMNS: &[&str] =
    &["time", "end_time", "cluster", "node", "source", "stage", "reason", "count", "detail", "rest"];

/// The columns that make up an event's id in `table`; `None` for tables whose rows are not events.
#[must_use]
pub const fn columns(table: TableId) -> Option<&'static [&'static str]> {
    match table {
        TableId::Flows => Some(FLOW_COLUMNS),
        TableId::RuntimeEvents => Some(RUNTIME_COLUMNS),
        TableId::AgentEvents => Some(AGENT_COLUMNS),
        TableId::Losses => Some(LOSS_COLUMNS),
        TableId::Edges1m | TableId::Edges1h | TableId::Workloads | TableId::Policies | TableId::Ingested => None,
    }
}

/// The id of each row. A column that the batch lacks counts as null. Empty for tables without event ids.
#[must_use]
pub fn event_ids(table: TableId, records: &RecordBatch) -> Vec<u64> {
    let Some(names) = columns(table) else { return Vec::new() };
    let mut ids = vec![u64::from(table.code()); records.num_rows()];
    for (position, name) in (1_u64..).zip(names) {
        if let Some(array) = records.column_by_name(name) {
            mix_column(&mut ids, array, position);
        }
    }
    ids.into_iter().map(finish).collect()
}

/// A hash of the uuid, never 0; tells two events apart that agree in everything else.
#[must_use]
pub fn uuid_hash(uuid: &str) -> u64 {
    xxh3_64_with_seed(uuid.as_bytes(), 1).max(1)
}

/// The id of an event that shares its columns with another but has another `uuid`.
#[must_use]
pub const fn with_uuid(id: u64, uuid_hash: u64) -> u64 {
    finish(mix(id, uuid_hash))
}

/// A uuid (version 8 of RFC 9562) for an event whose sender has none: the same whenever it is made of the same text. For
/// events that agree in all columns of their id and are several: what one packet said more than once.
#[must_use]
pub fn made_uuid(of: &str) -> String {
    const VERSION: u128 = 0xF << 76;
    const VARIANT: u128 = 0b11 << 62;
    let id = (xxh3_128(of.as_bytes()) & !VERSION & !VARIANT) | 8 << 76 | 0b10 << 62;
    let [a, b, c, d] = [id >> 96, id >> 80 & 0xFFFF, id >> 64 & 0xFFFF, id >> 48 & 0xFFFF];
    format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{:012x}", id & 0xFFFF_FFFF_FFFF)
}

const fn mix(id: u64, value: u64) -> u64 {
    (id.rotate_left(23) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

const fn finish(id: u64) -> u64 {
    let id = (id ^ (id >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    id ^ (id >> 32)
}

/// Mixes one column into the ids. Null leaves a row as it is, so that an absent column and a null agree; `position`
/// tells columns apart. Equal values hash alike whether they stand in a dictionary or in the array.
fn mix_column(ids: &mut [u64], array: &ArrayRef, position: u64) {
    if array.null_count() == array.len() {
        return;
    }
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
        let hashes = value_hashes(dictionary.values(), position);
        for (row, id) in ids.iter_mut().enumerate() {
            if let Some(key) = dictionary.key(row)
                && let Some(hash) = hashes.get(key)
            {
                *id = mix(*id, *hash);
            }
        }
        return;
    }
    for ((row, id), hash) in ids.iter_mut().enumerate().zip(value_hashes(array, position)) {
        if array.is_valid(row) {
            *id = mix(*id, hash);
        }
    }
}

/// A hash of each value of a plain array; of bytes for texts, of 64 bits for numbers.
fn value_hashes(array: &ArrayRef, seed: u64) -> Vec<u64> {
    macro_rules! numbers {
        ($type:ty) => {
            array
                .as_primitive::<$type>()
                .values()
                .iter()
                .map(|value| mix(seed, u64::from_le_bytes(i64::from(*value).to_le_bytes())))
                .collect()
        };
    }
    use arrow::datatypes as types;
    match array.data_type() {
        DataType::Timestamp(_, _) => numbers!(types::TimestampNanosecondType),
        DataType::UInt8 => numbers!(types::UInt8Type),
        DataType::UInt16 => numbers!(types::UInt16Type),
        DataType::UInt32 => numbers!(types::UInt32Type),
        DataType::Int32 => numbers!(Int32Type),
        DataType::Int64 => numbers!(types::Int64Type),
        DataType::UInt64 => {
            array.as_primitive::<types::UInt64Type>().values().iter().map(|value| mix(seed, *value)).collect()
        }
        DataType::Boolean => array.as_boolean().values().iter().map(|value| mix(seed, u64::from(value))).collect(),
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            (0..texts.len()).map(|row| xxh3_64_with_seed(texts.value(row).as_bytes(), seed)).collect()
        }
        DataType::Binary => {
            let bytes = array.as_binary::<i32>();
            (0..bytes.len()).map(|row| xxh3_64_with_seed(bytes.value(row), seed)).collect()
        }
        other => {
            debug_assert!(false, "no event id column has type {other}");
            vec![0; array.len()]
        }
    }
}

#[cfg(test)]
mod tests;
