//! Random statements that fold rows: what may be begun in ClickHouse and what may not, mixed.

use hindcast_model::{ColumnKind, TableId};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::draw::Values;

/// A text in quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn is_text(kind: ColumnKind) -> bool {
    matches!(kind, ColumnKind::Dict | ColumnKind::Text)
}

fn is_number(kind: ColumnKind) -> bool {
    !is_text(kind) && !matches!(kind, ColumnKind::Bool | ColumnKind::Time | ColumnKind::Bytes | ColumnKind::DictBytes)
}

fn one(chance: &mut StdRng, table: TableId, is: fn(ColumnKind) -> bool) -> Option<&'static str> {
    let columns = table.columns().iter().filter(|column| is(column.kind)).map(|column| column.name);
    columns.collect::<Vec<_>>().choose(chance).copied()
}

fn condition(chance: &mut StdRng, values: &Values, table: TableId, depth: u32) -> String {
    if depth > 0 && chance.random_bool(0.4) {
        let (left, right) = (condition(chance, values, table, depth - 1), condition(chance, values, table, depth - 1));
        return match chance.random_range(0..3) {
            0 => format!("({left} OR {right})"),
            1 => format!("({left} AND {right})"),
            _ => format!("NOT ({left} AND {right})"),
        };
    }
    let text = one(chance, table, is_text).unwrap();
    let [found, other] = [(); 2].map(|()| quoted(&values.value(chance, table, text)));
    let (number, flag) = (one(chance, table, is_number), one(chance, table, |kind| kind == ColumnKind::Bool));
    match (chance.random_range(0..12), number, flag) {
        (0, ..) => format!("{text} = {found}"),
        (1, ..) => format!("{text} <> {found}"),
        (2, ..) => format!("{text} IN ({found}, {other})"),
        (3, ..) => format!("{text} NOT IN ({found}, {other})"),
        (4, ..) => format!("{text} IS NULL"),
        (5, ..) => format!("{text} IS NOT NULL"),
        (6, ..) => format!("{text} LIKE 'a%'"),
        (7, Some(number), _) => format!("{number} >= {}", chance.random_range(0..9000)),
        (8, Some(number), _) => format!("{number} BETWEEN 1 AND {}", chance.random_range(0..60000)),
        (9, _, Some(flag)) => format!("{flag} IS NOT TRUE"),
        (10, _, Some(flag)) => format!("NOT {flag}"),
        (11, _, Some(flag)) => format!("{flag} IS FALSE"),
        _ => format!("{text} > {found}"),
    }
}

fn key(chance: &mut StdRng, table: TableId, time: &str) -> String {
    match chance.random_range(0..8) {
        0 => format!("date_bin(INTERVAL '7 minutes', {time}, TIMESTAMP '1970-01-01T00:00:01')"),
        1 => format!("date_trunc('hour', {time})"),
        2 => one(chance, table, is_number).unwrap_or(time).to_owned(),
        3 => one(chance, table, |kind| kind == ColumnKind::Bool).unwrap_or(time).to_owned(),
        4 => format!("upper({})", one(chance, table, is_text).unwrap()),
        _ => one(chance, table, is_text).unwrap().to_owned(),
    }
}

/// Functions that give the same whether rows of a roll-up have come together already or not.
fn sums(chance: &mut StdRng) -> String {
    let all =
        ["sum(flows)", "sum(rows)", "sum(bytes_sent)", "min(first_seen)", "max(latency_max_ns)", "sum(latency_le_1ms)"];
    (*all.choose(chance).unwrap()).to_owned()
}

fn function(chance: &mut StdRng, table: TableId, time: &str) -> String {
    let text = one(chance, table, is_text).unwrap();
    let number = one(chance, table, is_number);
    match (chance.random_range(0..9), number) {
        (0, _) => format!("count({text})"),
        (1, Some(number)) => format!("sum({number})"),
        (2, Some(number)) => format!("min({number})"),
        (3, Some(number)) => format!("max({number})"),
        (4, _) => format!("min({time}), max({time})"),
        (5, Some(number)) if chance.random_bool(0.5) => format!("count(DISTINCT {number})"),
        (6, _) => format!("min({text})"),
        (7, Some(number)) => format!("count(*) FILTER (WHERE {number} > 80)"),
        _ => "count(*)".to_owned(),
    }
}

/// A statement.
pub(super) fn statement(chance: &mut StdRng, values: &Values) -> String {
    let tables = [TableId::Flows, TableId::Flows, TableId::RuntimeEvents, TableId::Edges1m, TableId::Edges1h];
    let table = *tables.choose(chance).unwrap();
    let is_rolled_up = matches!(table, TableId::Edges1m | TableId::Edges1h);
    let keys = (0..chance.random_range(0..4)).map(|_| key(chance, table, "time")).collect::<Vec<_>>();
    // What a key is must not be what only some rows of one edge have.
    let keys = keys.into_iter().filter(|key| !is_rolled_up || !["flows", "rows", "errors"].contains(&key.as_str()));
    let keys = keys
        .filter(|key| !is_rolled_up || !(key.contains("bytes") || key.contains("packets") || key.contains("latency")));
    let keys = keys.collect::<Vec<_>>();
    let functions = (0..chance.random_range(1..4)).map(|_| match is_rolled_up {
        true => sums(chance),
        false => function(chance, table, "time"),
    });
    let functions = functions.collect::<Vec<_>>();
    let condition = match is_rolled_up {
        true => [
            "verdict = 'DROPPED'",
            "is_reply IS NOT TRUE",
            "dst_workload IS NULL OR port > 1000",
            "protocol NOT IN ('UDP')",
        ]
        .choose(chance)
        .map(|text| (*text).to_owned()),
        false => chance.random_bool(0.8).then(|| condition(chance, values, table, 2)),
    };
    let mut within = Vec::from_iter(condition.map(|condition| format!("({condition})")));
    if chance.random_bool(0.5) {
        let (one, other) = (values.time(chance, table), values.time(chance, table));
        within.push(format!(
            "time >= to_timestamp_nanos({}) AND time < to_timestamp_nanos({})",
            one.min(other),
            one.max(other)
        ));
    }
    let filter = if within.is_empty() { String::new() } else { format!(" WHERE {}", within.join(" AND ")) };
    let places = (1..=keys.len()).map(|place| place.to_string()).collect::<Vec<_>>().join(", ");
    let (group, order) = match keys.is_empty() {
        true => (String::new(), String::new()),
        false => (format!(" GROUP BY {places}"), format!(" ORDER BY {places}")),
    };
    let columns = keys.into_iter().chain(functions).enumerate().map(|(at, text)| match text.contains("), ") {
        true => text,
        false => format!("{text} AS c{at}"),
    });
    format!("SELECT {} FROM {table}{filter}{group}{order}", columns.collect::<Vec<_>>().join(", "))
}
