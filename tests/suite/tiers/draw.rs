//! Random questions, about values that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arrow::array::Array as _;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use hindcast_model::{ColumnKind, TableId, TimeRange, Timestamp};
use hindcast_query::filter::{BitsTest, NumberTest, Pattern, Selector, TextTest, cel, text};
use hindcast_query::{Bucketed, Engine, EventQuery, Filter, Order, Pick, Weight};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::aggregate;

/// Tables whose rows are asked for. Those of roll-ups are parts of sums, and how many parts there are is the store's
/// business: they are asked for as sums.
const TABLES: [TableId; 7] = [
    TableId::Flows,
    TableId::Flows,
    TableId::Flows,
    TableId::RuntimeEvents,
    TableId::AgentEvents,
    TableId::Workloads,
    TableId::Losses,
];

/// One question.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Events(EventQuery),
    Count(TableId, Filter, TimeRange, Weight),
    Histogram(TableId, Filter, TimeRange, Bucketed, Option<&'static str>, Weight),
    Top(TableId, &'static str, Filter, TimeRange, usize, Weight),
    Distinct(TableId, &'static str, String, TimeRange),
    Edges(Filter, TimeRange),
    Sql(String),
}

/// Values that columns have.
pub(super) struct Values {
    texts: BTreeMap<(TableId, &'static str), Vec<String>>,
    times: BTreeMap<TableId, Vec<i64>>,
}

impl Values {
    pub(super) async fn of(engine: &Engine) -> Self {
        let mut values = Self { texts: BTreeMap::new(), times: BTreeMap::new() };
        for table in TABLES {
            let (records, _, _) = engine.events(EventQuery::all(table)).await.unwrap().collect_all().await.unwrap();
            for (column, array) in table.columns().iter().zip(records.columns()) {
                let options = FormatOptions::default();
                let formatter = ArrayFormatter::try_new(array, &options).unwrap();
                let found: BTreeSet<String> = (0..array.len())
                    .step_by(1 + array.len() / 4000)
                    .filter(|row| array.is_valid(*row))
                    .map(|row| formatter.value(row).to_string())
                    .collect();
                values.texts.insert((table, column.name), found.into_iter().collect());
            }
            let time = records.column(0);
            let times = arrow::compute::cast(time, &arrow::datatypes::DataType::Int64).unwrap();
            let times = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&times).values().to_vec();
            values.times.insert(table, times);
        }
        values
    }

    pub(super) fn value(&self, chance: &mut StdRng, table: TableId, column: &'static str) -> String {
        let found = self.texts.get(&(table, column)).and_then(|texts| texts.choose(chance));
        found.cloned().unwrap_or_else(|| "nothing has this".to_owned())
    }

    pub(super) fn time(&self, chance: &mut StdRng, table: TableId) -> i64 {
        let found = self.times.get(&table).and_then(|times| times.choose(chance)).copied().unwrap_or(0);
        found + [0, 0, 1, -1].choose(chance).unwrap()
    }

    fn range(&self, chance: &mut StdRng, table: TableId) -> TimeRange {
        let (one, other) = (self.time(chance, table), self.time(chance, table));
        let ends = [one, other].map(|time| match chance.random_bool(0.3) {
            true => time / 3_600_000_000_000 * 3_600_000_000_000,
            false => time,
        });
        let (start, end) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        match chance.random_range(0..5) {
            0 => TimeRange::ALL,
            1 => TimeRange::new(Timestamp::from_nanos(start), Timestamp::MAX).unwrap(),
            2 => TimeRange::new(Timestamp::MIN, Timestamp::from_nanos(end)).unwrap(),
            _ => TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end)).unwrap(),
        }
    }
}

fn part(chance: &mut StdRng, text: &str) -> String {
    let letters = text.chars().collect::<Vec<_>>();
    if letters.is_empty() {
        return String::new();
    }
    let start = chance.random_range(0..letters.len());
    let end = chance.random_range(start..=letters.len().min(start + 8));
    letters.get(start..end).unwrap_or_default().iter().collect()
}

fn text_test(chance: &mut StdRng, values: &Values, table: TableId, column: &'static str) -> TextTest {
    let found = values.value(chance, table, column);
    let other = values.value(chance, table, column);
    let pattern = |text: &str| {
        let quoted = text.replace(|letter: char| !letter.is_alphanumeric(), ".");
        Pattern::re2(&quoted).unwrap()
    };
    match chance.random_range(0..13) {
        0 => TextTest::Absent,
        1 | 2 => TextTest::OneOf([found, other].into()),
        3 => TextTest::OneOfIgnoringCase([found.to_ascii_lowercase()].into()),
        4 => TextTest::Prefix(found.chars().take(chance.random_range(0..9)).collect()),
        5 => TextTest::Family(found.rsplit_once('-').map_or(found.clone(), |(name, _)| name.to_owned())),
        6 | 7 => TextTest::Contains(part(chance, &found).to_lowercase()),
        8 => TextTest::Matches(pattern(&part(chance, &found))),
        9 => TextTest::MatchesOrAbsent(pattern(&part(chance, &found))),
        10 => TextTest::InNetwork(["10.0.0.0/9".parse().unwrap(), "fd00::/16".parse().unwrap()].into()),
        11 => TextTest::AnyItem(Box::new(TextTest::Prefix(found.chars().take(5).collect()))),
        _ => TextTest::Labels(Selector::parse("app,!canary").unwrap()),
    }
}

fn number_test(
    chance: &mut StdRng,
    values: &Values,
    table: TableId,
    column: &'static str,
    kind: ColumnKind,
) -> NumberTest {
    let number = |chance: &mut StdRng| match kind {
        ColumnKind::Time => i128::from(values.time(chance, table)),
        _ => values.value(chance, table, column).parse().unwrap_or(7_i128),
    };
    let (one, other) = (number(chance), number(chance));
    match chance.random_range(0..6) {
        0 => NumberTest::Absent,
        1 | 2 => NumberTest::OneOf([one, other, 1 << 70].into()),
        3 => NumberTest::Between(one.min(other), one.max(other)),
        4 => NumberTest::Between(one, i128::MAX),
        _ => {
            let bits = [BitsTest::All, BitsTest::Any, BitsTest::None, BitsTest::Exactly];
            NumberTest::Bits(*bits.choose(chance).unwrap(), u64::try_from(one).unwrap_or(3))
        }
    }
}

fn leaf(chance: &mut StdRng, values: &Values, table: TableId) -> Filter {
    if table == TableId::Flows && chance.random_bool(0.15) {
        let texts = [
            "to:ip:10.0.0.0/8",
            "dns:*.local",
            "http.status:5xx",
            "\"web\"",
            "label:app=web",
            "from:ns:* port:1..1000",
        ];
        return text::parse(texts.choose(chance).unwrap()).unwrap();
    }
    if table == TableId::Flows && chance.random_bool(0.05) {
        return cel::flow("_flow.IP.source != '' && _flow.verdict == Verdict.FORWARDED").unwrap_or(Filter::True);
    }
    let column = table.columns().choose(chance).unwrap();
    let name = column.name;
    match column.kind {
        ColumnKind::Dict | ColumnKind::Text => {
            Filter::Text { column: name, test: text_test(chance, values, table, name) }
        }
        ColumnKind::Bool => Filter::Bool { column: name, value: chance.random() },
        ColumnKind::Bytes | ColumnKind::DictBytes => Filter::BytesPresent { column: name },
        kind => Filter::Number { column: name, test: number_test(chance, values, table, name, kind) },
    }
}

fn filter(chance: &mut StdRng, values: &Values, table: TableId, depth: u32) -> Filter {
    if depth == 0 || chance.random_bool(0.4) {
        return if chance.random_bool(0.15) { Filter::True } else { leaf(chance, values, table) };
    }
    let parts = |chance: &mut StdRng| {
        let n_parts = chance.random_range(1..4);
        (0..n_parts).map(|_| filter(chance, values, table, depth - 1)).collect::<Vec<_>>()
    };
    match chance.random_range(0..3) {
        0 => Filter::all(parts(chance)),
        1 => Filter::any(parts(chance)),
        _ => Filter::all(parts(chance)).negate(),
    }
}

/// A filter that only speaks of what roll-ups keep, so that they answer.
fn rolled_filter(chance: &mut StdRng, values: &Values) -> Filter {
    let column =
        ["src_namespace", "dst_workload", "verdict", "protocol", "direction", "l7_protocol"].choose(chance).unwrap();
    match chance.random_range(0..3) {
        0 => Filter::True,
        1 => Filter::one_of(column, [values.value(chance, TableId::Flows, column)]),
        _ => Filter::one_of(column, [values.value(chance, TableId::Flows, column)]).negate(),
    }
}

fn sql(chance: &mut StdRng, values: &Values) -> String {
    let time = |chance: &mut StdRng| values.time(chance, TableId::Flows);
    let (one, other) = (time(chance), time(chance));
    let within =
        format!("time >= to_timestamp_nanos({}) AND time < to_timestamp_nanos({})", one.min(other), one.max(other));
    let quoted = |chance: &mut StdRng, column| values.value(chance, TableId::Flows, column).replace('\'', "''");
    let pod = quoted(chance, "src_pod");
    let namespace = quoted(chance, "dst_namespace");
    let edges = ["edges_1m", "edges_1h"].choose(chance).unwrap();
    let all = [
        format!("SELECT count(*) FROM flows WHERE {within}"),
        format!(
            "SELECT verdict, count(*), sum(bytes_sent), min(time), max(dst_port) FROM flows WHERE {within} GROUP BY 1 ORDER BY 1"
        ),
        format!(
            "SELECT * FROM flows WHERE src_pod = '{pod}' AND {within} ORDER BY time, dst_ip, dst_port, src_port, uuid, summary LIMIT 30"
        ),
        format!(
            "SELECT time, src_pod, dst_pod FROM flows WHERE dst_namespace IN ('{namespace}', 'x') OR dst_port > 8000 ORDER BY 1, 2, 3 LIMIT 40"
        ),
        format!("SELECT time FROM flows WHERE dst_namespace <> '{namespace}' ORDER BY time DESC LIMIT 17"),
        format!(
            "SELECT src_workload, dst_workload, sum(flows) AS n, sum(errors), min(first_seen), max(latency_max_ns), sum(latency_le_1ms) FROM {edges} WHERE is_reply IS NOT TRUE AND {within} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
        ),
        format!(
            "SELECT date_bin(INTERVAL '1 hour', time, TIMESTAMP '1970-01-01'), verdict, sum(flows), sum(rows) FROM {edges} GROUP BY 1, 2 ORDER BY 1, 2"
        ),
        format!(
            "SELECT src_name, dst_name, src_identity, dst_identity, port, http_status_class, sum(flows) FROM {edges} GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"
        ),
        "SELECT kind, count(*), count(DISTINCT binary) FROM runtime_events GROUP BY 1 ORDER BY 1".to_owned(),
        "SELECT count(*) FROM runtime_events r JOIN workloads w ON r.pod = w.pod WHERE r.namespace IS NOT NULL"
            .to_owned(),
        format!(
            "SELECT dst_workload, http_url, count(*), avg(latency_ns) FROM flows WHERE http_status >= 400 AND {within} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 50"
        ),
        "SELECT count(*) FROM losses".to_owned(),
    ];
    all.choose(chance).unwrap().clone()
}

/// A question.
pub(super) fn question(chance: &mut StdRng, values: &Values) -> Question {
    let table = *TABLES.choose(chance).unwrap();
    let range = values.range(chance, table);
    let weight = *[Weight::Rows, Weight::Flows].choose(chance).unwrap();
    let column = table.columns().choose(chance).unwrap();
    let is_counted = !matches!(column.kind, ColumnKind::Bytes | ColumnKind::DictBytes);
    let kind = chance.random_range(0..11);
    match kind {
        0..=3 => {
            let count = chance.random_range(0..60);
            let picks = [Pick::Newest(count), Pick::Oldest(count), Pick::Newest(1), Pick::All];
            let columns = chance.random_bool(0.5).then(|| {
                let mut names = table.columns().iter().map(|column| column.name).collect::<Vec<_>>();
                names.retain(|_| chance.random_bool(0.2));
                names
            });
            Question::Events(EventQuery {
                filter: filter(chance, values, table, 3),
                range,
                pick: *picks.choose(chance).unwrap(),
                order: *[Order::Ascending, Order::Descending].choose(chance).unwrap(),
                columns,
                limits: hindcast_query::Limits { max_rows: 400, ..hindcast_query::Limits::default() },
                ..EventQuery::all(table)
            })
        }
        4 => Question::Count(table, filter(chance, values, table, 3), range, weight),
        5 if is_counted => {
            let width = *[60, 300, 3_600, 7_200, 86_400].choose(chance).unwrap();
            let buckets = [Bucketed::About(20), Bucketed::Width(Duration::from_secs(width))];
            let filter = match table {
                TableId::Flows if chance.random_bool(0.6) => rolled_filter(chance, values),
                _ => filter(chance, values, table, 2),
            };
            Question::Histogram(table, filter, range, *buckets.choose(chance).unwrap(), Some(column.name), weight)
        }
        6 if is_counted => Question::Top(table, column.name, filter(chance, values, table, 2), range, 10, weight),
        7 if is_counted => {
            let prefix = values.value(chance, table, column.name).chars().take(2).collect();
            Question::Distinct(table, column.name, prefix, range)
        }
        8 => {
            let filter = if chance.random_bool(0.6) {
                rolled_filter(chance, values)
            } else {
                filter(chance, values, TableId::Flows, 2)
            };
            Question::Edges(filter, values.range(chance, TableId::Flows))
        }
        9 => Question::Sql(sql(chance, values)),
        _ => Question::Sql(aggregate::statement(chance, values)),
    }
}
