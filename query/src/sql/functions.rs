//! Functions beyond DataFusion's own: addresses, labels, lists and buckets of time.
//!
//! On a dictionary column the work is done once per distinct value.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanBuilder, Float64Array, ListBuilder, StringBuilder, TimestampNanosecondArray,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Int32Type, TimeUnit, TimestampNanosecondType};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;
use hindcast_model::list;

use crate::filter::{Selector, TextTest};

/// Names, arguments and meanings, for documentation.
pub const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("cidr_match", "(ip, cidr)", "whether an address lies in a network"),
    ("label", "(labels, key)", "value of a label; the key may name its source, as in `k8s:app`"),
    ("has_label", "(labels, selector)", "whether labels meet a selector, as in `app in (a,b),!old`"),
    ("list_contains_text", "(list, text)", "whether a list column holds a text"),
    ("list_items", "(list)", "the texts of a list column, to be unnested"),
    ("time_bucket", "(width, time)", "start of the bucket a time lies in; width as in `'5m'` or an interval"),
    ("milliseconds", "(nanoseconds)", "a duration column in milliseconds"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    CidrMatch,
    Label,
    HasLabel,
    ListContains,
    ListItems,
    TimeBucket,
    Milliseconds,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    kind: Kind,
    name: &'static str,
    signature: Signature,
}

/// Makes the functions known to a session.
pub(super) fn register(context: &SessionContext) {
    let kinds = [
        Kind::CidrMatch,
        Kind::Label,
        Kind::HasLabel,
        Kind::ListContains,
        Kind::ListItems,
        Kind::TimeBucket,
        Kind::Milliseconds,
    ];
    for (kind, (name, arguments, _)) in kinds.into_iter().zip(FUNCTIONS) {
        let n_arguments = arguments.matches(',').count() + 1;
        let signature = Signature::any(n_arguments, Volatility::Immutable);
        context.register_udf(ScalarUDF::from(Function { kind, name, signature }));
    }
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC")))
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::CidrMatch | Kind::HasLabel | Kind::ListContains => DataType::Boolean,
            Kind::Label => DataType::Utf8,
            Kind::ListItems => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            Kind::TimeBucket => time_type(),
            Kind::Milliseconds => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = arguments.number_rows;
        let argument = |position: usize| {
            arguments.args.get(position).ok_or_else(|| plan_datafusion_err!("{} needs more arguments", self.name))
        };
        let array = match self.kind {
            Kind::TimeBucket => {
                let width = width(constant(argument(0)?, self.name, "width")?)?;
                let times = cast(&argument(1)?.to_array(n_rows)?, &time_type())?;
                let times = times.as_primitive::<TimestampNanosecondType>();
                let starts: TimestampNanosecondArray =
                    times.unary(|time: i64| time.div_euclid(width).saturating_mul(width));
                Arc::new(starts.with_timezone("UTC")) as ArrayRef
            }
            Kind::Milliseconds => {
                let nanos = cast(&argument(0)?.to_array(n_rows)?, &DataType::Float64)?;
                let nanos = nanos.as_primitive::<arrow::datatypes::Float64Type>();
                let milliseconds: Float64Array = nanos.unary(|nanos: f64| nanos / 1e6);
                Arc::new(milliseconds) as ArrayRef
            }
            Kind::ListItems => per_text(&argument(0)?.to_array(n_rows)?, &items)?,
            Kind::CidrMatch | Kind::Label | Kind::HasLabel | Kind::ListContains => {
                let texts = argument(0)?.to_array(n_rows)?;
                let parameter = constant(argument(1)?, self.name, "second argument")?;
                let ScalarValue::Utf8(Some(parameter)) = parameter.cast_to(&DataType::Utf8)? else {
                    return plan_err!("the second argument of {} must not be null", self.name);
                };
                self.with_parameter(&texts, &parameter)?
            }
        };
        Ok(ColumnarValue::Array(array))
    }
}

impl Function {
    fn with_parameter(&self, texts: &ArrayRef, parameter: &str) -> Result<ArrayRef> {
        match self.kind {
            Kind::CidrMatch => {
                let network = parameter
                    .parse::<ipnet::IpNet>()
                    .map_err(|_error| exec_datafusion_err!("{parameter:?} is no network"))?;
                per_text(texts, &|texts| truths(texts, &TextTest::InNetwork(vec![network])))
            }
            Kind::HasLabel => {
                let selector = Selector::parse(parameter).map_err(|error| exec_datafusion_err!("{error}"))?;
                per_text(texts, &|texts| truths(texts, &TextTest::Labels(selector.clone())))
            }
            Kind::ListContains => {
                let test = TextTest::AnyItem(Box::new(TextTest::OneOf([parameter.to_owned()].into())));
                per_text(texts, &|texts| truths(texts, &test))
            }
            _ => per_text(texts, &|texts| values(texts, parameter)),
        }
    }
}

/// A constant argument.
fn constant<'a>(value: &'a ColumnarValue, function: &str, what: &str) -> Result<&'a ScalarValue> {
    match value {
        ColumnarValue::Scalar(scalar) => Ok(scalar),
        ColumnarValue::Array(_) => plan_err!("the {what} of {function} must be a constant"),
    }
}

/// The width of a bucket in nanoseconds.
fn width(value: &ScalarValue) -> Result<i64> {
    let nanos = match value {
        ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months == 0 => i64::from(interval.days)
            .checked_mul(86_400_000_000_000)
            .and_then(|days| days.checked_add(interval.nanoseconds)),
        ScalarValue::IntervalDayTime(Some(interval)) => i64::from(interval.days)
            .checked_mul(86_400_000)
            .and_then(|days| days.checked_add(i64::from(interval.milliseconds)))
            .and_then(|milliseconds| milliseconds.checked_mul(1_000_000)),
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
            parse_width(text)
        }
        _ => None,
    };
    nanos.filter(|nanos| *nanos > 0).ok_or_else(|| {
        plan_datafusion_err!("the width of time_bucket must be positive: write '30s', '5m', '1h', '1d' or an interval")
    })
}

fn parse_width(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit.trim() {
        "ms" => 1_000_000,
        "s" | "second" | "seconds" => 1_000_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

/// Applies `work` to texts; on a dictionary, to its values.
fn per_text(array: &ArrayRef, work: &dyn Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ArrayRef> {
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
        let answers = work(&cast(dictionary.values(), &DataType::Utf8)?)?;
        return Ok(take(&answers, dictionary.keys(), None)?);
    }
    work(&cast(array, &DataType::Utf8)?)
}

fn truths(texts: &ArrayRef, test: &TextTest) -> Result<ArrayRef> {
    let texts = texts.as_string::<i32>();
    let mut out = BooleanBuilder::with_capacity(texts.len());
    for text in texts {
        out.append_option(text.map(|text| test.passes(Some(text))));
    }
    Ok(Arc::new(out.finish()))
}

fn values(texts: &ArrayRef, key: &str) -> Result<ArrayRef> {
    let texts = texts.as_string::<i32>();
    let mut out = StringBuilder::new();
    for text in texts {
        let value = text.and_then(|text| {
            list::split(text).find_map(|label| {
                let (name, value) = label.split_once('=').unwrap_or((&label, ""));
                let is_it = name == key || name.split_once(':').is_some_and(|(_, name)| name == key);
                is_it.then(|| value.to_owned())
            })
        });
        out.append_option(value);
    }
    Ok(Arc::new(out.finish()))
}

fn items(texts: &ArrayRef) -> Result<ArrayRef> {
    let texts = texts.as_string::<i32>();
    let mut out = ListBuilder::new(StringBuilder::new());
    for text in texts {
        match text {
            None => out.append(false),
            Some(text) => {
                for item in list::split(text) {
                    out.values().append_value(item);
                }
                out.append(true);
            }
        }
    }
    Ok(Arc::new(out.finish()))
}
