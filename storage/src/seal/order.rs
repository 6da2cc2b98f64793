//! The order of a segment's rows, and which rows share an edge.
//!
//! Rows are sorted by time and cut into row groups; inside a row group rows of one key stand together, keys in the
//! order of their texts, and rows of one key by time. The key of a flow is the key of its edge and both addresses:
//! what an address determines (pod, node, endpoint) then changes as seldom as it does.

use arrow::array::{Array as _, ArrayRef, AsArray as _, UInt32Array};
use arrow::datatypes::{TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type};
use arrow::error::ArrowError;
use hashbrown::{DefaultHashBuilder, HashTable};
use hindcast_model::{ColumnKind, TableId, list};
use std::hash::BuildHasher as _;

use super::merge::{Column, Merged, NULL_KEY, values_array};
use crate::ids::time_column;

/// Columns of a key at most.
pub(crate) const KEY_WIDTH: usize = 22;
/// A row's key: per key column 0 for null, else 1 + the rank of its value.
pub(crate) type Key = [u32; KEY_WIDTH];

/// Texts that an edge takes from its flows as they are.
const PLAIN: [&str; 10] = [
    "verdict",
    "l7_protocol",
    "l7_type",
    "cluster",
    "src_workload_kind",
    "dst_workload_kind",
    "protocol",
    "drop_reason",
    "direction",
    "trace_observation_point",
];

/// What stands behind the edge in the key of a flow.
const ADDRESSES: [&str; 2] = ["src_ip", "dst_ip"];

/// One column of the key.
#[derive(Debug)]
pub(crate) struct KeyColumn {
    /// Name of the edges column it becomes, or of the table's own column.
    pub(crate) name: &'static str,
    /// Distinct values by rank, for a column of texts.
    pub(crate) values: Option<ArrayRef>,
    /// Per row: 0 for null, else 1 + rank, or 1 + number.
    codes: Vec<u32>,
}

/// The columns a table's rows are grouped by.
fn key_columns(merged: &Merged) -> Result<Vec<KeyColumn>, ArrowError> {
    match merged.table {
        TableId::Flows => {
            let mut columns = edge_columns(merged)?;
            columns.extend(texts(merged, &ADDRESSES)?);
            Ok(columns)
        }
        TableId::RuntimeEvents => texts(merged, &["namespace", "workload", "pod", "kind", "binary"]),
        TableId::Edges1m | TableId::Edges1h => {
            texts(merged, &["src_namespace", "src_workload", "dst_namespace", "dst_workload"])
        }
        TableId::AgentEvents | TableId::Workloads | TableId::Policies | TableId::Losses | TableId::Ingested => {
            Ok(Vec::new())
        }
    }
}

fn texts(merged: &Merged, names: &[&'static str]) -> Result<Vec<KeyColumn>, ArrowError> {
    names.iter().filter_map(|name| text_column(merged, name, name, None).transpose()).collect()
}

/// A text column by rank; rows where `hidden` holds become null.
fn text_column(
    merged: &Merged,
    from: &str,
    name: &'static str,
    hidden: Option<&[bool]>,
) -> Result<Option<KeyColumn>, ArrowError> {
    let Some(Column::Dict { keys, values }) = merged.column(from) else { return Ok(None) };
    let texts = values.as_string::<i32>();
    ranked(name, keys, texts.len(), |at| texts.value(at), hidden).map(Some)
}

fn ranked<'a>(
    name: &'static str,
    keys: &[i32],
    n_values: usize,
    text: impl Fn(usize) -> &'a str,
    hidden: Option<&[bool]>,
) -> Result<KeyColumn, ArrowError> {
    let mut order: Vec<usize> = (0..n_values).collect();
    order.sort_unstable_by_key(|at| text(*at));
    let mut codes_of = vec![0_u32; n_values];
    let mut distinct: Vec<&str> = Vec::with_capacity(n_values);
    for at in order {
        if distinct.last() != Some(&text(at)) {
            distinct.push(text(at));
        }
        if let Some(code) = codes_of.get_mut(at) {
            *code = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
        }
    }
    let code = |key: i32| usize::try_from(key).ok().and_then(|key| codes_of.get(key)).copied().unwrap_or(0);
    let codes = match hidden {
        None => keys.iter().map(|key| code(*key)).collect(),
        Some(hidden) => keys.iter().zip(hidden).map(|(key, hidden)| if *hidden { 0 } else { code(*key) }).collect(),
    };
    let values = values_array(ColumnKind::Dict, distinct.iter().map(|text| text.as_bytes()))?;
    Ok(KeyColumn { name, values: Some(values), codes })
}

/// The key columns of `edges`, in the order in which flows are sorted.
fn edge_columns(merged: &Merged) -> Result<Vec<KeyColumn>, ArrowError> {
    let mut columns = Vec::with_capacity(KEY_WIDTH);
    let src = Side::of(merged, "src_workload");
    let dst = Side::of(merged, "dst_workload");
    for (from, name) in [
        ("src_namespace", "src_namespace"),
        ("src_workload", "src_workload"),
        ("dst_namespace", "dst_namespace"),
        ("dst_workload", "dst_workload"),
    ] {
        columns.extend(text_column(merged, from, name, None)?);
    }
    columns.extend(identity(merged, "src_identity", &src));
    columns.extend(first_name(merged, "src_names", "src_name", &src)?);
    columns.extend(identity(merged, "dst_identity", &dst));
    columns.extend(first_name(merged, "dst_names", "dst_name", &dst)?);
    columns.extend(server_port(merged));
    columns.extend(reply(merged));
    for name in PLAIN {
        columns.extend(text_column(merged, name, name, None)?);
    }
    columns.extend(status_class(merged));
    // 21 columns exist; the class of a status goes into the word of the port, whose upper half is free.
    fold_status_into_port(&mut columns);
    Ok(columns)
}

/// The columns that tell edges apart, of rows of `edges`.
pub(crate) fn whole_keys(merged: &Merged) -> Result<Vec<KeyColumn>, ArrowError> {
    let mut columns = Vec::with_capacity(KEY_WIDTH);
    for name in ["src_namespace", "src_workload", "dst_namespace", "dst_workload", "src_name", "dst_name"] {
        columns.extend(text_column(merged, name, name, None)?);
    }
    for name in ["src_identity", "dst_identity"] {
        columns.extend(identity(merged, name, &Side { named: None }));
    }
    let port = |port: Option<u16>| port.map_or(0, |port| u32::from(port) + 1);
    columns.extend(numbers::<UInt16Type>(merged, "port").map(|array| KeyColumn {
        name: "port",
        values: None,
        codes: array.iter().map(port).collect(),
    }));
    columns.extend(reply(merged));
    for name in PLAIN {
        columns.extend(text_column(merged, name, name, None)?);
    }
    let class = |class: Option<u8>| class.map_or(0, |class| u32::from(class) + 1);
    columns.extend(numbers::<UInt8Type>(merged, "http_status_class").map(|array| KeyColumn {
        name: "http_status_class",
        values: None,
        codes: array.iter().map(class).collect(),
    }));
    fold_status_into_port(&mut columns);
    Ok(columns)
}

/// Which rows name a workload on one side.
struct Side {
    named: Option<Vec<bool>>,
}

impl Side {
    fn of(merged: &Merged, workload: &str) -> Self {
        let Some(Column::Dict { keys, .. }) = merged.column(workload) else { return Self { named: None } };
        Self { named: Some(keys.iter().map(|key| *key != NULL_KEY).collect()) }
    }
}

fn identity(merged: &Merged, name: &'static str, side: &Side) -> Option<KeyColumn> {
    let Some(Column::Plain(array)) = merged.column(name) else { return None };
    let array = array.as_primitive_opt::<UInt32Type>()?;
    let mut codes: Vec<u32> =
        array.iter().map(|identity| identity.map_or(0, |identity| identity.saturating_add(1))).collect();
    hide(&mut codes, side);
    Some(KeyColumn { name, values: None, codes })
}

fn hide(codes: &mut [u32], side: &Side) {
    for (code, named) in codes.iter_mut().zip(side.named.iter().flatten()) {
        if *named {
            *code = 0;
        }
    }
}

fn first_name(merged: &Merged, from: &str, name: &'static str, side: &Side) -> Result<Option<KeyColumn>, ArrowError> {
    let Some(Column::Dict { keys, values }) = merged.column(from) else { return Ok(None) };
    let lists = values.as_string::<i32>();
    let firsts: Vec<String> = (0..lists.len())
        .map(|at| list::split(lists.value(at)).next().map(std::borrow::Cow::into_owned).unwrap_or_default())
        .collect();
    let first = |at: usize| firsts.get(at).map_or("", String::as_str);
    ranked(name, keys, firsts.len(), first, side.named.as_deref()).map(Some)
}

fn server_port(merged: &Merged) -> Option<KeyColumn> {
    let ports = |name| match merged.column(name) {
        Some(Column::Plain(array)) => array.as_primitive_opt::<UInt16Type>(),
        _ => None,
    };
    let (src, dst) = (ports("src_port"), ports("dst_port"));
    if src.is_none() && dst.is_none() {
        return None;
    }
    let is_reply = match merged.column("is_reply") {
        Some(Column::Plain(array)) => array.as_boolean_opt(),
        _ => None,
    };
    let codes = (0..merged.n_rows)
        .map(|row| {
            let reply = is_reply.is_some_and(|array| array.is_valid(row) && array.value(row));
            let side = if reply { src } else { dst };
            side.filter(|ports| ports.is_valid(row)).map_or(0, |ports| u32::from(ports.value(row)) + 1)
        })
        .collect();
    Some(KeyColumn { name: "port", values: None, codes })
}

fn reply(merged: &Merged) -> Option<KeyColumn> {
    let Some(Column::Plain(array)) = merged.column("is_reply") else { return None };
    let codes = array.as_boolean_opt()?.iter().map(|reply| reply.map_or(0, |reply| u32::from(reply) + 1)).collect();
    Some(KeyColumn { name: "is_reply", values: None, codes })
}

fn status_class(merged: &Merged) -> Option<KeyColumn> {
    let Some(Column::Plain(array)) = merged.column("http_status") else { return None };
    let class = |status: u16| if (100..600).contains(&status) { u32::from(status / 100) + 1 } else { 0 };
    let codes = array.as_primitive_opt::<UInt16Type>()?.iter().map(|status| status.map_or(0, class)).collect();
    Some(KeyColumn { name: "http_status_class", values: None, codes })
}

/// Where the class of a status starts in the port's word.
const CLASS_SHIFT: u32 = 24;

fn fold_status_into_port(columns: &mut Vec<KeyColumn>) {
    let Some(class) = columns.pop_if(|column| column.name == "http_status_class") else { return };
    match columns.iter_mut().find(|column| column.name == "port") {
        Some(port) => {
            for (code, class) in port.codes.iter_mut().zip(&class.codes) {
                *code |= class << CLASS_SHIFT;
            }
        }
        None => {
            let codes = class.codes.iter().map(|class| class << CLASS_SHIFT).collect();
            columns.push(KeyColumn { name: "port", values: None, codes });
        }
    }
}

/// A port's code without the class, and the class.
pub(crate) const fn unfold(code: u32) -> (u32, u32) {
    (code & ((1 << CLASS_SHIFT) - 1), code >> CLASS_SHIFT)
}

/// Distinct keys and which row has which.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) columns: Vec<KeyColumn>,
    /// Distinct keys in ascending order.
    pub(crate) distinct: Vec<Key>,
    /// Per row: position in `distinct`.
    pub(crate) of_row: Vec<u32>,
}

impl Keys {
    /// The keys by which a table's rows are ordered.
    pub(crate) fn of(merged: &Merged) -> Result<Self, ArrowError> {
        Ok(Self::by(merged, key_columns(merged)?))
    }

    /// The edges of flows.
    pub(crate) fn of_edges(flows: &Merged) -> Result<Self, ArrowError> {
        Ok(Self::by(flows, edge_columns(flows)?))
    }

    /// The edges of flows whose keys these are.
    pub(crate) fn into_edges(mut self) -> Self {
        self.columns.retain(|column| !ADDRESSES.contains(&column.name));
        let n_columns = self.columns.len();
        // Addresses stand last and keys are in order, so keys of one edge are neighbours.
        let mut edges: Vec<Key> = Vec::new();
        let mut edge_of = Vec::with_capacity(self.distinct.len());
        for key in &self.distinct {
            let mut edge = *key;
            edge.get_mut(n_columns..).unwrap_or_default().fill(0);
            if edges.last() != Some(&edge) {
                edges.push(edge);
            }
            edge_of.push(u32::try_from(edges.len() - 1).unwrap_or(u32::MAX));
        }
        for id in &mut self.of_row {
            *id = usize::try_from(*id).ok().and_then(|id| edge_of.get(id)).copied().unwrap_or(0);
        }
        self.distinct = edges;
        self
    }

    /// The keys that some columns make.
    pub(crate) fn by(merged: &Merged, columns: Vec<KeyColumn>) -> Self {
        debug_assert!(columns.len() <= KEY_WIDTH, "a key has {} columns", columns.len());
        match Packing::of(&columns) {
            Some(packing) => {
                let (distinct, of_row) = Numbering::of([packing.pack(&columns, merged.n_rows)]);
                let distinct = distinct.into_iter().map(|key| packing.unpack(key)).collect();
                Self::from_parts(columns, distinct, of_row)
            }
            None => {
                let (distinct, of_row) = Numbering::of(side_by_side(&columns, merged.n_rows));
                Self::from_parts(columns, distinct, of_row)
            }
        }
    }

    /// What each row has in each column is not needed any more.
    fn from_parts(mut columns: Vec<KeyColumn>, distinct: Vec<Key>, of_row: Vec<u32>) -> Self {
        columns.iter_mut().for_each(|column| column.codes = Vec::new());
        Self { columns, distinct, of_row }
    }

    /// The key of a row.
    pub(crate) fn key_of(&self, row: u32) -> u32 {
        usize::try_from(row).ok().and_then(|row| self.of_row.get(row)).copied().unwrap_or(0)
    }
}

/// Rows of keys laid out side by side, some rows at a time.
fn side_by_side(columns: &[KeyColumn], n_rows: usize) -> impl Iterator<Item = Vec<Key>> {
    const CHUNK: usize = 1 << 12;
    (0..n_rows).step_by(CHUNK).map(move |start| {
        let end = n_rows.min(start + CHUNK);
        let mut rows = vec![[0; KEY_WIDTH]; end - start];
        for (at, column) in columns.iter().enumerate() {
            for (row, code) in rows.iter_mut().zip(column.codes.get(start..end).unwrap_or_default()) {
                if let Some(slot) = row.get_mut(at) {
                    *slot = *code;
                }
            }
        }
        rows
    })
}

/// How keys fit one number that orders as they do: the bits of each column, the first column's on top.
struct Packing(Vec<u32>);

impl Packing {
    /// `None` if they do not fit.
    fn of(columns: &[KeyColumn]) -> Option<Self> {
        let bits = |column: &KeyColumn| u32::BITS - column.codes.iter().max().copied().unwrap_or(0).leading_zeros();
        let widths: Vec<u32> = columns.iter().map(bits).collect();
        (widths.iter().sum::<u32>() <= u128::BITS).then_some(Self(widths))
    }

    fn pack(&self, columns: &[KeyColumn], n_rows: usize) -> Vec<u128> {
        let mut rows = vec![0_u128; n_rows];
        for (column, width) in columns.iter().zip(&self.0) {
            for (row, code) in rows.iter_mut().zip(&column.codes) {
                *row = (*row << *width) | u128::from(*code);
            }
        }
        rows
    }

    fn unpack(&self, mut packed: u128) -> Key {
        let mut key = [0; KEY_WIDTH];
        for (slot, width) in key.iter_mut().zip(&self.0).rev() {
            *slot = u32::try_from(packed & ((1 << *width) - 1)).unwrap_or(u32::MAX);
            packed >>= *width;
        }
        key
    }
}

/// Gives each key that differs a number, in the order of the keys.
struct Numbering<K> {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    distinct: Vec<K>,
    of_row: Vec<u32>,
}

impl<K: Copy + Ord + std::hash::Hash> Numbering<K> {
    /// The different keys in ascending order, and which of them each row has.
    fn of(chunks: impl IntoIterator<Item = Vec<K>>) -> (Vec<K>, Vec<u32>) {
        let mut numbering = Self {
            hasher: DefaultHashBuilder::default(),
            table: HashTable::new(),
            distinct: Vec::new(),
            of_row: Vec::new(),
        };
        for rows in chunks {
            numbering.of_row.reserve(rows.len());
            let mut last: Option<(K, u32)> = None;
            for key in rows {
                let id = match last {
                    Some((last, id)) if last == key => id,
                    _ => numbering.intern(key),
                };
                last = Some((key, id));
                numbering.of_row.push(id);
            }
        }
        numbering.ordered()
    }

    fn intern(&mut self, key: K) -> u32 {
        let Self { hasher, table, distinct, .. } = self;
        let at = |id: u32| usize::try_from(id).unwrap_or(usize::MAX);
        let hash = hasher.hash_one(key);
        if let Some(id) = table.find(hash, |id| distinct.get(at(*id)) == Some(&key)) {
            return *id;
        }
        let id = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
        distinct.push(key);
        table.insert_unique(hash, id, |id| hasher.hash_one(distinct.get(at(*id)).unwrap_or(&key)));
        id
    }

    /// Renumbers keys in ascending order.
    fn ordered(self) -> (Vec<K>, Vec<u32>) {
        let Self { distinct, mut of_row, .. } = self;
        let mut order: Vec<(K, u32)> = distinct.into_iter().zip(0..).collect();
        order.sort_unstable();
        let mut ranks = vec![0_u32; order.len()];
        for (rank, (_, id)) in (0_u32..).zip(&order) {
            if let Some(slot) = usize::try_from(*id).ok().and_then(|id| ranks.get_mut(id)) {
                *slot = rank;
            }
        }
        for id in &mut of_row {
            *id = usize::try_from(*id).ok().and_then(|id| ranks.get(id)).copied().unwrap_or(0);
        }
        (order.into_iter().map(|(key, _)| key).collect(), of_row)
    }
}

/// The rows of each row group, in order.
pub(crate) fn row_groups(merged: &Merged, keys: &Keys, max_rows: usize) -> Vec<UInt32Array> {
    let times = match merged.column(time_column(merged.table)) {
        Some(Column::Plain(array)) => array.as_primitive_opt::<TimestampNanosecondType>(),
        _ => None,
    };
    let n_rows = u32::try_from(merged.n_rows).unwrap_or(u32::MAX);
    let mut by_time: Vec<u32> = (0..n_rows).collect();
    if let Some(times) = times {
        let times = times.values();
        if !times.is_sorted() {
            let mut timed: Vec<(i64, u32)> = times.iter().copied().zip(0..).collect();
            // Stable by row: events of one instant keep the order in which they arrived.
            timed.sort_unstable();
            by_time = timed.into_iter().map(|(_, row)| row).collect();
        }
    }
    // Row groups of equal size: a small last one would cost as much to open as a large one.
    let n_groups = merged.n_rows.div_ceil(max_rows.max(1)).max(1);
    let size = merged.n_rows.div_ceil(n_groups).max(1);
    by_time.chunks(size).map(|rows| within(rows, keys)).collect()
}

fn within(rows: &[u32], keys: &Keys) -> UInt32Array {
    if keys.distinct.len() < 2 {
        return rows.to_vec().into();
    }
    let mut tagged: Vec<u64> =
        (0_u64..).zip(rows).map(|(position, row)| (u64::from(keys.key_of(*row)) << 32) | position).collect();
    tagged.sort_unstable();
    tagged
        .into_iter()
        .filter_map(|tag| rows.get(usize::try_from(tag & u64::from(u32::MAX)).ok()?).copied())
        .collect::<Vec<u32>>()
        .into()
}

/// Numbers per row of a column that is not a text, for `rollup`.
pub(crate) fn numbers<'a, T: arrow::datatypes::ArrowPrimitiveType>(
    merged: &'a Merged,
    name: &str,
) -> Option<&'a arrow::array::PrimitiveArray<T>> {
    match merged.column(name) {
        Some(Column::Plain(array)) => array.as_primitive_opt::<T>(),
        _ => None,
    }
}
