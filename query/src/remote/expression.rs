//! An expression of a planned statement in ClickHouse's SQL: only where it says the same there for every row.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use hindcast_model::ColumnKind;

use super::literal;

/// What an expression is, as far as it matters for comparing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Text,
    Integer,
    Float,
    Time,
    Bool,
}

/// An expression there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) is: Is,
}

impl Said {
    /// A column of a table; `None` for bytes, which are not text there.
    pub(crate) fn column(name: &str, kind: ColumnKind) -> Option<Self> {
        let is = match kind {
            ColumnKind::Dict | ColumnKind::Text => Is::Text,
            ColumnKind::U8
            | ColumnKind::U16
            | ColumnKind::U32
            | ColumnKind::U64
            | ColumnKind::I32
            | ColumnKind::I64 => Is::Integer,
            ColumnKind::Time => Is::Time,
            ColumnKind::Bool => Is::Bool,
            ColumnKind::DictBytes | ColumnKind::Bytes => return None,
        };
        Some(Self { text: name.to_owned(), is })
    }

    fn of(text: String, is: Is) -> Option<Self> {
        Some(Self { text, is })
    }
}

/// The columns of a plan's node, as expressions of the table's columns; `None` where one cannot be said.
pub(crate) type Columns = [Option<Said>];

/// Says an expression. Where it is NULL here it is NULL there.
pub(crate) fn said(expr: &Arc<dyn PhysicalExpr>, columns: &Columns) -> Option<Said> {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return columns.get(column.index())?.clone();
    }
    if let Some(value) = expr.downcast_ref::<Literal>() {
        return value_of(value.value());
    }
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        return converted(said(cast.expr(), columns)?, cast.cast_type());
    }
    bucket(expr.downcast_ref::<ScalarFunctionExpr>()?, columns)
}

/// Says a condition: where it is true here it is true there, and nowhere else. NULL may have become false.
pub(crate) fn condition(expr: &Arc<dyn PhysicalExpr>, columns: &Columns) -> Option<Said> {
    let yes_or_no = |text: String| Said::of(text, Is::Bool);
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        return binary_of(binary, columns);
    }
    if let Some(list) = expr.downcast_ref::<InListExpr>() {
        let one = said(list.expr(), columns)?;
        let values = list.list().iter().map(|value| said(value, columns).filter(|value| value.is == one.is));
        let values = values.map(|value| value.map(|value| value.text)).collect::<Option<Vec<_>>>()?;
        // An absent value is neither in a list nor out of it.
        let (not, present) = match list.negated() {
            true => ("NOT ", format!("isNotNull({}) AND ", one.text)),
            false => ("", String::new()),
        };
        let known =
            list.list().iter().all(|value| value.downcast_ref::<Literal>().is_some_and(|v| !v.value().is_null()));
        return known.then(|| format!("({present}{} {not}IN ({}))", one.text, values.join(", "))).and_then(yes_or_no);
    }
    if let Some(test) = expr.downcast_ref::<IsNullExpr>() {
        return yes_or_no(format!("isNull({})", said(test.arg(), columns)?.text));
    }
    if let Some(test) = expr.downcast_ref::<IsNotNullExpr>() {
        return yes_or_no(format!("isNotNull({})", said(test.arg(), columns)?.text));
    }
    if let Some(not) = expr.downcast_ref::<NotExpr>() {
        // Of a plain column only: what is inside may have become false where it was NULL.
        let flag = not.arg().downcast_ref::<Column>().and_then(|column| columns.get(column.index())?.clone())?;
        return (flag.is == Is::Bool).then(|| format!("{} = false", flag.text)).and_then(yes_or_no);
    }
    expr.downcast_ref::<Column>()
        .and_then(|column| columns.get(column.index())?.clone())
        .filter(|said| said.is == Is::Bool)
}

fn binary_of(binary: &BinaryExpr, columns: &Columns) -> Option<Said> {
    let yes_or_no = |text: String| Said::of(text, Is::Bool);
    let sign = match binary.op() {
        Operator::And | Operator::Or => {
            let (left, right) = (condition(binary.left(), columns)?, condition(binary.right(), columns)?);
            let word = if *binary.op() == Operator::And { "AND" } else { "OR" };
            return yes_or_no(format!("({} {word} {})", left.text, right.text));
        }
        Operator::Eq => "=",
        Operator::NotEq => "!=",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => return told_apart(binary, columns),
        _ => return None,
    };
    let (left, right) = (said(binary.left(), columns)?, said(binary.right(), columns)?);
    // Floats compare otherwise where they are no numbers.
    let comparable = left.is == right.is && left.is != Is::Float;
    comparable.then(|| format!("({} {sign} {})", left.text, right.text)).and_then(yes_or_no)
}

/// `IS [NOT] TRUE`, `IS [NOT] FALSE`.
fn told_apart(binary: &BinaryExpr, columns: &Columns) -> Option<Said> {
    let flag = binary.left().downcast_ref::<Column>().and_then(|column| columns.get(column.index())?.clone())?;
    let ScalarValue::Boolean(Some(value)) = binary.right().downcast_ref::<Literal>()?.value() else { return None };
    let sign = if *binary.op() == Operator::IsDistinctFrom { "!=" } else { "=" };
    // An absent flag is the other one for this purpose.
    let text = format!("(ifNull({}, {}) {sign} {value})", flag.text, !value);
    (flag.is == Is::Bool).then_some(text).and_then(|text| Said::of(text, Is::Bool))
}

fn value_of(value: &ScalarValue) -> Option<Said> {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            Said::of(literal::text(text), Is::Text)
        }
        ScalarValue::Dictionary(_, inner) => value_of(inner),
        ScalarValue::Boolean(Some(value)) => Said::of(value.to_string(), Is::Bool),
        ScalarValue::TimestampNanosecond(Some(nanos), _) => Said::of(literal::time(*nanos), Is::Time),
        ScalarValue::Int8(Some(number)) => Said::of(number.to_string(), Is::Integer),
        ScalarValue::Int16(Some(number)) => Said::of(number.to_string(), Is::Integer),
        ScalarValue::Int32(Some(number)) => Said::of(number.to_string(), Is::Integer),
        ScalarValue::Int64(Some(number)) => Said::of(number.to_string(), Is::Integer),
        ScalarValue::UInt8(Some(number)) => Said::of(number.to_string(), Is::Integer),
        ScalarValue::UInt16(Some(number)) => Said::of(number.to_string(), Is::Integer),
        ScalarValue::UInt32(Some(number)) => Said::of(number.to_string(), Is::Integer),
        ScalarValue::UInt64(Some(number)) => Said::of(number.to_string(), Is::Integer),
        _ => None,
    }
}

/// A value in another form that holds all of it.
fn converted(inner: Said, to: &DataType) -> Option<Said> {
    let Said { text, is } = inner;
    match (is, to) {
        (Is::Text, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => Said::of(text, Is::Text),
        (Is::Text, DataType::Dictionary(_, values)) => converted(Said { text, is }, values),
        // A greater number than there is room for is an error here; there it would be another number.
        (Is::Integer, DataType::Float64) => Said::of(format!("toFloat64({text})"), Is::Float),
        _ => None,
    }
}

/// A time brought down to the start of its bucket, where all are of one width.
fn bucket(call: &ScalarFunctionExpr, columns: &Columns) -> Option<Said> {
    let [first, second, rest @ ..] = call.args() else { return None };
    let time = said(second, columns).filter(|time| time.is == Is::Time)?.text;
    let literal = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Literal>().map(|literal| literal.value().clone());
    let (width, origin) = match call.fun().name() {
        "date_bin" => {
            let ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months: 0, days, nanoseconds })) =
                literal(first)?
            else {
                return None;
            };
            let width = i64::from(days).checked_mul(86_400_000_000_000)?.checked_add(nanoseconds)?;
            let origin = match rest {
                [] => 0,
                [origin] => match literal(origin)? {
                    ScalarValue::TimestampNanosecond(Some(origin), _) => origin,
                    _ => return None,
                },
                _ => return None,
            };
            (width, origin)
        }
        "date_trunc" if rest.is_empty() => {
            let (ScalarValue::Utf8(Some(unit)) | ScalarValue::Utf8View(Some(unit))) = literal(first)? else {
                return None;
            };
            let width = match unit.to_ascii_lowercase().as_str() {
                "second" => 1_000_000_000,
                "minute" => 60_000_000_000,
                "hour" => 3_600_000_000_000,
                "day" => 86_400_000_000_000,
                _ => return None,
            };
            (width, 0)
        }
        _ => return None,
    };
    let nanos = format!("toUnixTimestamp64Nano({time})");
    let text = format!("fromUnixTimestamp64Nano({nanos} - positiveModulo({nanos} - ({origin}), {width}), 'UTC')");
    (width > 0).then_some(text).and_then(|text| Said::of(text, Is::Time))
}
