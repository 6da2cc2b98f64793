//! CEL expressions over wire messages: Hubble's `experimental.cel_expression` (variable `_flow`, container `flow`) and
//! Tetragon's (one variable per kind of event, container `tetragon`).
//!
//! An expression is checked against the message's descriptor before it runs: an unknown name, an unknown field, a
//! comparison of two kinds of value, or a result that is no truth value is an error of the request. An error at run
//! time (an index out of bounds) makes the row a miss. What an expression may cost is bounded by its length, its
//! number of nodes and the nesting of its loops.

mod check;
mod functions;
mod message;

use std::fmt;
use std::sync::{Arc, LazyLock};

use ::cel::common::ast::IdedExpr;
use ::cel::common::types::CelBool;
use ::cel::{Context, Env, Value};
use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use hindcast_model::TableId;
use hindcast_model::column::TextView;
use hindcast_model::tables::{flows, runtime_events};
use hindcast_proto::{hubble, tetragon_codec};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use self::message::MessageValue;
use super::evaluate::select_rows;
use super::{Filter, RowTest};
use crate::FilterError;

/// Longest expression that is compiled, in bytes.
const MAX_EXPRESSION_BYTES: usize = 4096;
/// Deepest nesting of brackets and operators that the parser follows.
const MAX_DEPTH: u16 = 48;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(hindcast_proto::FILE_DESCRIPTOR_SET).unwrap_or_default());
static FLOW_ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(functions::environment("flow")));
static EVENT_ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(functions::environment("tetragon")));

/// Which message an expression is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Flow,
    Event,
}

/// A compiled expression.
struct CelTest {
    text: String,
    expression: IdedExpr,
    subject: Subject,
    descriptor: MessageDescriptor,
}

impl fmt::Debug for CelTest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cel({})", self.text)
    }
}

/// Flows for which `text` is true; the variable `_flow` is the `flow.Flow`.
///
/// # Errors
/// The expression is malformed, too costly, or not about flows.
pub fn flow(text: &str) -> Result<Filter, FilterError> {
    compile(text, Subject::Flow, "flow.Flow")
}

/// Runtime events for which `text` is true; the variables `process_exec`, `process_exit`, … are the event of that
/// kind, and an empty one where the event is of another kind.
///
/// # Errors
/// The expression is malformed, too costly, or not about events.
pub fn event(text: &str) -> Result<Filter, FilterError> {
    compile(text, Subject::Event, "tetragon.GetEventsResponse")
}

fn compile(text: &str, subject: Subject, message: &str) -> Result<Filter, FilterError> {
    let wrong = |reason: String| FilterError::new(format!("error compiling CEL expression: {reason}"));
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(wrong(format!("longer than {MAX_EXPRESSION_BYTES} bytes")));
    }
    check::brackets(text, usize::from(MAX_DEPTH)).map_err(wrong)?;
    let descriptor = POOL.get_message_by_name(message).ok_or_else(|| wrong(format!("no message {message}")))?;
    let env = environment(subject);
    let program = env
        .parser()
        .max_recursion_depth(MAX_DEPTH)
        .parse(text)
        .map_err(|errors| wrong(errors.to_string().split_whitespace().collect::<Vec<_>>().join(" ")))?;
    let variables = variables(subject, &descriptor);
    let expression = check::check(program, &variables, &POOL, env.container_name()).map_err(wrong)?;
    Ok(Filter::Rows(Arc::new(CelTest { text: text.to_owned(), expression, subject, descriptor })))
}

fn environment(subject: Subject) -> &'static Arc<Env> {
    match subject {
        Subject::Flow => &FLOW_ENV,
        Subject::Event => &EVENT_ENV,
    }
}

/// The variables of an expression and the messages they are.
fn variables(subject: Subject, descriptor: &MessageDescriptor) -> Vec<(String, MessageDescriptor)> {
    match subject {
        Subject::Flow => vec![("_flow".to_owned(), descriptor.clone())],
        Subject::Event => descriptor
            .oneofs()
            .flat_map(|oneof| oneof.fields().collect::<Vec<_>>())
            .filter_map(|field| field.kind().as_message().map(|inner| (field.name().to_owned(), inner.clone())))
            .collect(),
    }
}

impl CelTest {
    fn context(&self, message: DynamicMessage) -> Context<'static, 'static> {
        let mut context = Context::with_env(Arc::clone(environment(self.subject)));
        match self.subject {
            Subject::Flow => context.add_variable_as_val("_flow", Box::new(MessageValue::new(message))),
            Subject::Event => {
                for (name, inner) in variables(self.subject, &self.descriptor) {
                    let value = message
                        .get_field_by_name(&name)
                        .and_then(|value| value.as_message().cloned())
                        .unwrap_or_else(|| DynamicMessage::new(inner));
                    context.add_variable_as_val(name, Box::new(MessageValue::new(value)));
                }
            }
        }
        context
    }

    fn is_true(&self, wire: &[u8]) -> bool {
        let Ok(message) = DynamicMessage::decode(self.descriptor.clone(), wire) else { return false };
        let context = self.context(message);
        match Value::resolve_val(&self.expression, &context) {
            Ok(value) => value.downcast_ref::<CelBool>().is_some_and(|truth| *truth.inner()),
            Err(error) => {
                tracing::debug!(%error, expression = self.text, "expression failed on a row");
                false
            }
        }
    }
}

impl RowTest for CelTest {
    fn columns(&self) -> Vec<&'static str> {
        let table = match self.subject {
            Subject::Flow => TableId::Flows,
            Subject::Event => TableId::RuntimeEvents,
        };
        table.columns().iter().map(|column| column.name).collect()
    }

    fn select(&self, batch: &RecordBatch, candidates: &BooleanBuffer) -> Result<BooleanBuffer, FilterError> {
        let mut wire = Vec::new();
        match self.subject {
            Subject::Flow => {
                let view = flows::View::new(batch)?;
                Ok(select_rows(candidates, |row| {
                    wire.clear();
                    hubble::encode_flow(&view, row, &mut wire);
                    self.is_true(&wire)
                }))
            }
            Subject::Event => {
                let view = runtime_events::View::new(batch)?;
                // Without a kind there is no event to look into.
                let kinds = TextView::of(batch.column_by_name("kind"))
                    .ok_or_else(|| FilterError::new("column kind does not hold texts"))?;
                Ok(select_rows(candidates, |row| {
                    wire.clear();
                    tetragon_codec::encode_response(&view, row, &mut wire);
                    kinds.get(row).is_some() && self.is_true(&wire)
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests;
