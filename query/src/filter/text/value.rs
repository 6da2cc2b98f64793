//! From a term to a predicate.

use std::collections::BTreeSet;
use std::ops::Range;

use hindcast_model::TableId;
use ipnet::IpNet;

use super::keys::{self, Columns, Key, Values};
use super::lexer::{Form, Operator, Term, Value};
use crate::FilterError;
use crate::filter::{BitsTest, Filter, NumberTest, Pattern, Selector, TextTest};

/// Which side of a flow is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    From,
    To,
}

/// The keys that a bare `from:value` looks into.
const ANY_ENDPOINT: [&str; 6] = ["pod", "workload", "ns", "service", "name", "ip"];

/// The rows a term means.
pub(super) fn term(table: TableId, term: &Term) -> Result<Filter, FilterError> {
    let Some((name, span)) = &term.key else { return free_text(table, &term.values) };
    let (side, key_name) = match name.split_once(':') {
        Some(("from", key)) => (Some(Side::From), key),
        Some((_, key)) => (Some(Side::To), key),
        None if name == "from" => return endpoint(table, Side::From, term, span),
        None if name == "to" => return endpoint(table, Side::To, term, span),
        None => (None, name.as_str()),
    };
    let Some(key) = keys::find(table, key_name) else {
        let message = format!("{table} have no key {key_name:?}");
        return Err(FilterError::at(span.clone(), message).suggest(keys::nearest(table, key_name)));
    };
    keyed(&key, side, term, span)
}

/// `from:value`: anything that names an endpoint.
fn endpoint(table: TableId, side: Side, term: &Term, span: &Range<usize>) -> Result<Filter, FilterError> {
    let mut parts = Vec::new();
    for name in ANY_ENDPOINT {
        let Some(key) = keys::find(table, name) else { continue };
        if let (Columns::Sides(_, _), Ok(filter)) = (key.columns, keyed(&key, Some(side), term, span)) {
            parts.push(filter);
        }
    }
    if parts.is_empty() {
        return Err(FilterError::at(span.clone(), format!("{table} have no sides")));
    }
    if term.operator == Operator::IsNot { Ok(Filter::all(parts)) } else { Ok(Filter::any(parts)) }
}

fn keyed(key: &Key, side: Option<Side>, term: &Term, span: &Range<usize>) -> Result<Filter, FilterError> {
    let columns = match (key.columns, side) {
        (Columns::Any(columns), None) => columns.to_vec(),
        (Columns::Sides(source, destination), None) => vec![source, destination],
        (Columns::Sides(source, _), Some(Side::From)) => vec![source],
        (Columns::Sides(_, destination), Some(Side::To)) => vec![destination],
        (Columns::Any(_), Some(_)) => {
            return Err(FilterError::at(span.clone(), "this key has no sides: leave off from: or to:"));
        }
    };
    let is_ordered = matches!(key.values, Values::Number | Values::Identity | Values::Duration | Values::Size);
    if !is_ordered && !matches!(term.operator, Operator::Is | Operator::IsNot) {
        return Err(FilterError::at(span.clone(), "only numbers, times and sizes are compared by more or less"));
    }
    let mut any = Vec::new();
    for column in columns {
        for value in &term.values {
            let filter = predicate(key.values, column, term.operator, value);
            any.push(filter.map_err(|error| error.or_at(value.span.clone()))?);
        }
    }
    let filter = Filter::any(any);
    Ok(if term.operator == Operator::IsNot { filter.negate() } else { filter })
}

fn free_text(table: TableId, values: &[Value]) -> Result<Filter, FilterError> {
    let mut any = Vec::new();
    for value in values {
        for column in keys::free_text(table) {
            let test = match value.form {
                Form::Pattern => TextTest::Matches(pattern(value)?),
                Form::Word | Form::Quoted => TextTest::Contains(value.text.to_lowercase()),
            };
            any.push(Filter::Text { column, test });
        }
    }
    Ok(Filter::any(any))
}

fn pattern(value: &Value) -> Result<Pattern, FilterError> {
    Pattern::re2(&value.text).map_err(|error| error.or_at(value.span.clone()))
}

fn predicate(values: Values, column: &'static str, operator: Operator, value: &Value) -> Result<Filter, FilterError> {
    let is_any = value.form == Form::Word && value.text == "*";
    match values {
        Values::Number => number(column, operator, value, is_any, plain_number),
        Values::Identity => number(column, operator, value, is_any, identity),
        Values::Duration => number(column, operator, value, is_any, duration),
        Values::Size => number(column, operator, value, is_any, size),
        Values::Truth => truth(column, value, is_any),
        Values::Capability => capability(column, value, is_any),
        Values::Text
        | Values::Word
        | Values::Pod
        | Values::Program
        | Values::Part
        | Values::Domain
        | Values::Domains
        | Values::Items
        | Values::Labels
        | Values::Address
        | Values::Direction
        | Values::Protocol
        | Values::UrlPath
        | Values::EventKind => {
            if is_any {
                return Ok(Filter::present(column));
            }
            if values == Values::Pod
                && value.form != Form::Pattern
                && let Some((namespace, pod)) = value.text.split_once('/')
            {
                return namespaced_pod(column, namespace, pod, value);
            }
            if value.text.is_empty() {
                return Ok(Filter::absent(column));
            }
            Ok(Filter::Text { column, test: text_test(values, column, value)? })
        }
    }
}

fn namespaced_pod(column: &'static str, namespace: &str, pod: &str, value: &Value) -> Result<Filter, FilterError> {
    let namespace_column = match column {
        "src_pod" => "src_namespace",
        "dst_pod" => "dst_namespace",
        _ => "namespace",
    };
    let part = |text: &str| Value { text: text.to_owned(), form: value.form, span: value.span.clone() };
    let mut all = Vec::new();
    if !namespace.is_empty() {
        all.push(predicate(Values::Text, namespace_column, Operator::Is, &part(namespace))?);
    }
    if !pod.is_empty() {
        all.push(Filter::Text { column, test: text_test(Values::Pod, column, &part(pod))? });
    }
    Ok(Filter::all(all))
}

fn text_test(values: Values, column: &str, value: &Value) -> Result<TextTest, FilterError> {
    if value.form == Form::Pattern {
        let test = TextTest::Matches(pattern(value)?);
        return Ok(match values {
            Values::Domains | Values::Items => TextTest::AnyItem(Box::new(test)),
            Values::UrlPath => TextTest::UrlPath(pattern(value)?),
            _ => test,
        });
    }
    let text = value.text.as_str();
    let is_wild = value.form == Form::Word && text.contains('*');
    match values {
        Values::Labels => Selector::parse(text).map(TextTest::Labels),
        Values::Address => address(text, is_wild),
        Values::Pod if !is_wild => Ok(TextTest::Family(text.to_owned())),
        Values::Program if !is_wild && !text.contains('/') => {
            Pattern::native(&format!("(^|/){}$", ::regex::escape(text))).map(TextTest::Matches)
        }
        Values::Part => Ok(TextTest::Contains(text.to_lowercase())),
        Values::Domain => domain(text, is_wild),
        Values::Domains => Ok(TextTest::AnyItem(Box::new(domain(text, is_wild)?))),
        Values::Items if !is_wild => {
            let test = Pattern::native(&format!("(^|/){}$", ::regex::escape(text)))?;
            Ok(TextTest::AnyItem(Box::new(TextTest::Matches(test))))
        }
        Values::Items => Ok(TextTest::AnyItem(Box::new(TextTest::Matches(Pattern::wildcard(text)?)))),
        Values::UrlPath => {
            let body = wildcard_body(text, is_wild);
            Pattern::native(&format!("^(?s:{body})$")).map(TextTest::UrlPath)
        }
        Values::Direction => Ok(word(match text.to_ascii_lowercase().as_str() {
            "in" => "INGRESS",
            "out" => "EGRESS",
            _ => text,
        })),
        Values::Protocol if text.eq_ignore_ascii_case("icmp") && column == "protocol" => {
            Ok(TextTest::OneOf(["ICMPv4", "ICMPv6"].map(str::to_owned).into()))
        }
        Values::EventKind if !is_wild => {
            let lower = text.to_ascii_lowercase();
            Ok(TextTest::OneOf([format!("process_{lower}"), lower].into()))
        }
        Values::Word | Values::Protocol if !is_wild => Ok(word(text)),
        Values::Word | Values::Protocol | Values::EventKind => {
            Pattern::native(&format!("(?i)^(?s:{})$", wildcard_body(text, true))).map(TextTest::Matches)
        }
        _ if is_wild => wild(text),
        _ => Ok(TextTest::OneOf([text.to_owned()].into())),
    }
}

/// A wildcard only at the end is a prefix, which statistics can judge.
fn wild(text: &str) -> Result<TextTest, FilterError> {
    match text.strip_suffix('*') {
        Some(prefix) if !prefix.contains('*') => Ok(TextTest::Prefix(prefix.to_owned())),
        _ => Pattern::wildcard(text).map(TextTest::Matches),
    }
}

fn wildcard_body(text: &str, is_wild: bool) -> String {
    if is_wild { text.split('*').map(::regex::escape).collect::<Vec<_>>().join(".*") } else { ::regex::escape(text) }
}

/// Enum names are written in capitals on the wires: then statistics can judge. Others are compared case aside.
fn word(text: &str) -> TextTest {
    let (upper, lower) = (text.to_ascii_uppercase(), text.to_ascii_lowercase());
    let is_enum_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_enum_name && upper.len() > 2 && !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return TextTest::OneOf(BTreeSet::from([upper, lower, text.to_owned(), capitalised(text)]));
    }
    TextTest::OneOfIgnoringCase([lower].into())
}

/// The spelling of `ICMPv4` and `ICMPv6`.
fn capitalised(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    upper.strip_prefix("ICMPV").map_or(upper.clone(), |version| format!("ICMPv{version}"))
}

fn domain(text: &str, is_wild: bool) -> Result<TextTest, FilterError> {
    let body = wildcard_body(text.strip_suffix('.').unwrap_or(text), is_wild);
    Pattern::native(&format!("(?i)^(?s:{body})\\.?$")).map(TextTest::Matches)
}

fn address(text: &str, is_wild: bool) -> Result<TextTest, FilterError> {
    if is_wild {
        return wild(text);
    }
    if text.contains('/') {
        let network = text.parse::<IpNet>().map_err(|_error| FilterError::new(format!("{text:?} is no network")))?;
        return Ok(TextTest::InNetwork(vec![network]));
    }
    let address =
        text.parse::<std::net::IpAddr>().map_err(|_error| FilterError::new(format!("{text:?} is no address")))?;
    // The wire's own spelling may differ from the shortest one.
    if address.is_ipv4() {
        return Ok(TextTest::OneOf([text.to_owned()].into()));
    }
    Ok(TextTest::InNetwork(vec![IpNet::from(address)]))
}

fn number(
    column: &'static str,
    operator: Operator,
    value: &Value,
    is_any: bool,
    read: fn(&str) -> Result<i128, String>,
) -> Result<Filter, FilterError> {
    if is_any {
        return Ok(Filter::Number { column, test: NumberTest::Absent }.negate());
    }
    let read = |text: &str| read(text).map_err(FilterError::new);
    let test = match (value.text.split_once(".."), operator) {
        (Some((low, high)), Operator::Is | Operator::IsNot) => {
            let low = if low.is_empty() { i128::MIN } else { read(low)? };
            let high = if high.is_empty() { i128::MAX } else { read(high)? };
            NumberTest::Between(low, high)
        }
        (_, Operator::Is | Operator::IsNot) if column == "http_status" && value.text.ends_with(['x', 'X']) => {
            status_class(&value.text)?
        }
        (_, Operator::Is | Operator::IsNot) => NumberTest::OneOf([read(&value.text)?].into()),
        (_, Operator::Greater) => NumberTest::Between(read(&value.text)? + 1, i128::MAX),
        (_, Operator::GreaterOrEqual) => NumberTest::Between(read(&value.text)?, i128::MAX),
        (_, Operator::Less) => NumberTest::Between(i128::MIN, read(&value.text)? - 1),
        (_, Operator::LessOrEqual) => NumberTest::Between(i128::MIN, read(&value.text)?),
    };
    Ok(Filter::Number { column, test })
}

/// `5xx`.
fn status_class(text: &str) -> Result<NumberTest, FilterError> {
    let class = text.to_ascii_lowercase();
    let digit = class.strip_suffix("xx").and_then(|digit| digit.parse::<i128>().ok()).filter(|digit| *digit < 10);
    let digit = digit.ok_or_else(|| FilterError::new(format!("{text:?} is no status: write 404 or 4xx")))?;
    Ok(NumberTest::Between(digit * 100, digit * 100 + 99))
}

fn plain_number(text: &str) -> Result<i128, String> {
    text.parse::<i64>()
        .map(i128::from)
        .or_else(|_error| text.parse::<u64>().map(i128::from))
        .map_err(|_error| format!("{text:?} is no number"))
}

fn identity(text: &str) -> Result<i128, String> {
    let reserved =
        ["unknown", "host", "world", "unmanaged", "health", "init", "remote-node", "kube-apiserver", "ingress"];
    let name = text.strip_prefix("reserved:").unwrap_or(text);
    match reserved.iter().position(|known| *known == name).map(i128::try_from) {
        Some(Ok(number)) => Ok(number),
        _ => plain_number(text),
    }
}

fn duration(text: &str) -> Result<i128, String> {
    let units: [(&str, f64); 8] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("min", 6e10), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
    scaled(text, &units).ok_or_else(|| format!("{text:?} is no time: write 10ms, 1.5s or 250us"))
}

fn size(text: &str) -> Result<i128, String> {
    let units: [(&str, f64); 10] = [
        ("kib", 1024.0),
        ("mib", 1_048_576.0),
        ("gib", 1_073_741_824.0),
        ("kb", 1e3),
        ("mb", 1e6),
        ("gb", 1e9),
        ("b", 1.0),
        ("k", 1e3),
        ("m", 1e6),
        ("g", 1e9),
    ];
    scaled(&text.to_ascii_lowercase(), &units)
        .or_else(|| plain_number(text).ok())
        .ok_or_else(|| format!("{text:?} is no size: write 1500, 64KiB or 1MiB"))
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be finite and within the range of a column")]
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<i128> {
    let (number, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let value = number.parse::<f64>().ok()? * factor;
    (value.is_finite() && value.abs() < 1e19).then(|| value.round() as i128)
}

fn truth(column: &'static str, value: &Value, is_any: bool) -> Result<Filter, FilterError> {
    let is = |value| Filter::Bool { column, value };
    if is_any {
        return Ok(Filter::any([is(true), is(false)]));
    }
    match value.text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(is(true)),
        "false" | "no" | "0" => Ok(is(false)),
        other => Err(FilterError::new(format!("{other:?} is neither true nor false"))),
    }
}

fn capability(column: &'static str, value: &Value, is_any: bool) -> Result<Filter, FilterError> {
    if is_any {
        return Ok(Filter::Number { column, test: NumberTest::Bits(BitsTest::Any, u64::MAX) });
    }
    let upper = value.text.to_ascii_uppercase();
    let bit = [upper.clone(), format!("CAP_{upper}"), upper.trim_start_matches("CAP_").to_owned()]
        .iter()
        .find_map(|name| hindcast_proto::tetragon::CapabilitiesType::from_str_name(name))
        .and_then(|capability| u32::try_from(i32::from(capability)).ok())
        .filter(|bit| *bit < 64)
        .ok_or_else(|| FilterError::new(format!("{:?} is no capability", value.text)))?;
    Ok(Filter::Number { column, test: NumberTest::Bits(BitsTest::All, 1 << bit) })
}
