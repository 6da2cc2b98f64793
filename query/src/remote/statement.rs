//! What a statement says of the rows of a scan, as a condition of ClickHouse.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator};
use hindcast_model::{ColumnKind, TableId};

use super::literal;

/// A condition that holds for every row for which all of `filters` are true; `None` where nothing can be said.
pub(crate) fn condition(table: TableId, filters: &[Expr]) -> Option<String> {
    let said = filters.iter().filter_map(|filter| said(table, filter)).map(|text| format!("({text})"));
    let said = said.collect::<Vec<_>>();
    (!said.is_empty()).then(|| said.join(" AND "))
}

fn said(table: TableId, filter: &Expr) -> Option<String> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (said(table, left), said(table, right)) {
                (Some(left), Some(right)) => Some(format!("({left}) AND ({right})")),
                (one, other) => one.or(other),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(format!("({}) OR ({})", said(table, left)?, said(table, right)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match column(table, left) {
            Some(found) => compared(found, *op, right),
            None => compared(column(table, right)?, op.swap()?, left),
        },
        Expr::InList(InList { expr, list, negated }) => {
            let (name, kind) = column(table, expr)?;
            let values = list.iter().map(|value| value_of(kind, value)).collect::<Option<Vec<_>>>()?;
            let not = if *negated { "NOT " } else { "" };
            (!values.is_empty()).then(|| format!("{name} {not}IN ({})", values.join(", ")))
        }
        Expr::IsNull(inner) => column(table, inner).map(|(name, _)| format!("isNull({name})")),
        Expr::IsNotNull(inner) => column(table, inner).map(|(name, _)| format!("isNotNull({name})")),
        Expr::IsTrue(inner) => flag(table, inner).map(|name| format!("{name} = true")),
        Expr::IsFalse(inner) => flag(table, inner).map(|name| format!("{name} = false")),
        Expr::IsNotTrue(inner) => flag(table, inner).map(|name| format!("ifNull({name}, false) = false")),
        Expr::IsNotFalse(inner) => flag(table, inner).map(|name| format!("ifNull({name}, true) = true")),
        Expr::Not(inner) => flag(table, inner).map(|name| format!("{name} = false")),
        Expr::Column(_) => flag(table, filter).map(|name| format!("{name} = true")),
        _ => None,
    }
}

fn flag(table: TableId, filter: &Expr) -> Option<&'static str> {
    column(table, filter).filter(|(_, kind)| *kind == ColumnKind::Bool).map(|(name, _)| name)
}

/// A column of the table, also where it is only brought into another form of text.
fn column(table: TableId, expr: &Expr) -> Option<(&'static str, ColumnKind)> {
    match expr {
        Expr::Column(found) => {
            let known = table.columns().iter().find(|known| known.name == found.name)?;
            Some((known.name, known.kind))
        }
        Expr::Cast(Cast { expr, field }) if is_text(field.data_type()) => {
            column(table, expr).filter(|(_, kind)| matches!(kind, ColumnKind::Dict | ColumnKind::Text))
        }
        _ => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn compared((name, kind): (&'static str, ColumnKind), op: Operator, value: &Expr) -> Option<String> {
    let sign = match op {
        Operator::Eq => "=",
        Operator::NotEq => "!=",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        _ => return None,
    };
    Some(format!("{name} {sign} {}", value_of(kind, value)?))
}

fn value_of(kind: ColumnKind, value: &Expr) -> Option<String> {
    let Expr::Literal(value, _) = value else { return None };
    match kind {
        ColumnKind::Dict | ColumnKind::Text => text_of(value).map(literal::text),
        ColumnKind::Time => match value {
            ScalarValue::TimestampNanosecond(Some(nanos), _) => Some(literal::time(*nanos)),
            _ => None,
        },
        ColumnKind::Bool => match value {
            ScalarValue::Boolean(Some(value)) => Some(value.to_string()),
            _ => None,
        },
        ColumnKind::U8 | ColumnKind::U16 | ColumnKind::U32 | ColumnKind::U64 | ColumnKind::I32 | ColumnKind::I64 => {
            number_of(value)
        }
        ColumnKind::DictBytes | ColumnKind::Bytes => None,
    }
}

fn text_of(value: &ScalarValue) -> Option<&str> {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            Some(text)
        }
        ScalarValue::Dictionary(_, inner) => text_of(inner),
        _ => None,
    }
}

fn number_of(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Int8(Some(number)) => Some(number.to_string()),
        ScalarValue::Int16(Some(number)) => Some(number.to_string()),
        ScalarValue::Int32(Some(number)) => Some(number.to_string()),
        ScalarValue::Int64(Some(number)) => Some(number.to_string()),
        ScalarValue::UInt8(Some(number)) => Some(number.to_string()),
        ScalarValue::UInt16(Some(number)) => Some(number.to_string()),
        ScalarValue::UInt32(Some(number)) => Some(number.to_string()),
        ScalarValue::UInt64(Some(number)) => Some(number.to_string()),
        _ => None,
    }
}
