//! What can be known of an expression before it runs: names, fields, kinds of value, and its cost. Names of enum
//! values become their numbers, and presence tests on messages are marked for [`super::message`].

use ::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};
use ::cel::common::types::CelInt;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::functions;
use super::message::{PRESENCE, is_wrapper};

/// Most nodes of an expression after its macros are expanded.
const MAX_NODES: usize = 600;
/// Deepest nesting of loops (`all`, `exists`, `map`, …).
const MAX_LOOPS: usize = 2;

/// The kind of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ty {
    Any,
    Null,
    Bool,
    Int,
    UInt,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Box<Self>),
    Map(Box<Self>, Box<Self>),
    /// A scalar that may be null.
    Nullable(Box<Self>),
    Message(MessageDescriptor),
}

impl Ty {
    fn name(&self) -> String {
        match self {
            Self::Any => "dyn".to_owned(),
            Self::Null => "null".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int => "int".to_owned(),
            Self::UInt => "uint".to_owned(),
            Self::Double => "double".to_owned(),
            Self::String => "string".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::Timestamp => "google.protobuf.Timestamp".to_owned(),
            Self::Duration => "google.protobuf.Duration".to_owned(),
            Self::List(item) => format!("list({})", item.name()),
            Self::Map(key, value) => format!("map({}, {})", key.name(), value.name()),
            Self::Nullable(inner) => format!("wrapper({})", inner.name()),
            Self::Message(message) => message.full_name().to_owned(),
        }
    }

    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Nullable(inner), other) | (other, Self::Nullable(inner)) => match other {
                Self::Null => true,
                Self::Nullable(other) => inner.agrees(other),
                other => inner.agrees(other),
            },
            (Self::Message(_), Self::Null) | (Self::Null, Self::Message(_)) => true,
            (Self::List(one), Self::List(other)) => one.agrees(other),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                key.agrees(other_key) && value.agrees(other_value)
            }
            (one, other) => one == other,
        }
    }
}

/// Refuses a text whose brackets nest deeper than `limit`: the parser's own recursion is not to be relied on.
pub(super) fn brackets(text: &str, limit: usize) -> Result<(), String> {
    let mut depth = 0_usize;
    let mut run = 0_usize;
    for character in text.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '!' | '-' => run += 1,
            character if !character.is_whitespace() => run = 0,
            _ => {}
        }
        if depth > limit || run > limit {
            return Err(format!("nested deeper than {limit}"));
        }
    }
    Ok(())
}

/// Checks an expression and makes it ready to run.
pub(super) fn check(
    mut expression: IdedExpr,
    variables: &[(String, MessageDescriptor)],
    pool: &DescriptorPool,
    container: &str,
) -> Result<IdedExpr, String> {
    let scope = variables.iter().map(|(name, message)| (name.clone(), Ty::Message(message.clone()))).collect();
    let mut checker = Checker { scope, pool, container, n_nodes: 0, n_loops: 0 };
    match checker.visit(&mut expression)? {
        Ty::Bool | Ty::Any => Ok(expression),
        Ty::Nullable(inner) if *inner == Ty::Bool => Ok(expression),
        other => Err(format!("got {:?}, wanted \"bool\" result type", other.name())),
    }
}

struct Checker<'a> {
    /// Variables in reach, inner ones last.
    scope: Vec<(String, Ty)>,
    pool: &'a DescriptorPool,
    container: &'a str,
    n_nodes: usize,
    n_loops: usize,
}

impl Checker<'_> {
    fn visit(&mut self, node: &mut IdedExpr) -> Result<Ty, String> {
        self.n_nodes += 1;
        if self.n_nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} operations"));
        }
        if let Some(number) = self.enum_value(&node.expr) {
            node.expr = Expr::Literal(LiteralValue::Int(CelInt::from(number)));
            return Ok(Ty::Int);
        }
        match &mut node.expr {
            Expr::Unspecified => Err("an empty expression".to_owned()),
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let types = list.elements.iter_mut().map(|item| self.visit(item)).collect::<Result<Vec<_>, _>>()?;
                Ok(Ty::List(Box::new(common(&types))))
            }
            Expr::Map(map) => {
                let (mut keys, mut values) = (Vec::new(), Vec::new());
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(entry) = &mut entry.expr else {
                        return Err("a field inside of a map".to_owned());
                    };
                    keys.push(self.visit(&mut entry.key)?);
                    values.push(self.visit(&mut entry.value)?);
                }
                Ok(Ty::Map(Box::new(common(&keys)), Box::new(common(&values))))
            }
            Expr::Struct(construct) => Err(format!("making a message {:?} is not supported", construct.type_name)),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn ident(&self, name: &str) -> Result<Ty, String> {
        if let Some((_, found)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(found.clone());
        }
        if functions::TYPE_NAMES.contains(&name) {
            return Ok(Ty::Any);
        }
        Err(format!("undeclared reference to '{name}' (in container '{}')", self.container))
    }

    fn select(&mut self, select: &mut SelectExpr) -> Result<Ty, String> {
        let operand = self.visit(&mut select.operand)?;
        match operand {
            Ty::Message(message) => {
                let field = message
                    .get_field_by_name(&select.field)
                    .ok_or_else(|| format!("undefined field '{}' of {}", select.field, message.full_name()))?;
                if select.test {
                    select.field.insert(0, PRESENCE);
                    return Ok(Ty::Bool);
                }
                Ok(field_type(&field))
            }
            Ty::Map(_, value) => Ok(if select.test { Ty::Bool } else { *value }),
            Ty::Any => Ok(if select.test { Ty::Bool } else { Ty::Any }),
            other => Err(format!("type '{}' does not support field selection", other.name())),
        }
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<Ty, String> {
        let target = call.target.as_mut().map(|target| self.visit(target)).transpose()?;
        let mut arguments = target.clone().into_iter().collect::<Vec<_>>();
        for argument in &mut call.args {
            arguments.push(self.visit(argument)?);
        }
        let name = call.func_name.as_str();
        let mismatch = || {
            let types = arguments.iter().map(Ty::name).collect::<Vec<_>>().join(", ");
            Err(format!("found no matching overload for '{name}' applied to '({types})'"))
        };
        let all_bool = || arguments.iter().all(|argument| argument.agrees(&Ty::Bool));
        match (name, arguments.as_slice()) {
            (operators::EQUALS | operators::NOT_EQUALS, [one, other])
            | (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [one, other],
            ) => {
                if one.agrees(other) {
                    Ok(Ty::Bool)
                } else {
                    mismatch()
                }
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, _) => {
                if all_bool() {
                    Ok(Ty::Bool)
                } else {
                    mismatch()
                }
            }
            (operators::NOT_STRICTLY_FALSE, _) => Ok(Ty::Bool),
            (operators::CONDITIONAL, [condition, one, other]) => {
                if condition.agrees(&Ty::Bool) && one.agrees(other) {
                    Ok(one.clone())
                } else {
                    mismatch()
                }
            }
            (operators::INDEX, [Ty::List(item), _]) => Ok((**item).clone()),
            (operators::INDEX, [Ty::Map(_, value), _]) => Ok((**value).clone()),
            (operators::INDEX, [Ty::Any, _]) => Ok(Ty::Any),
            (operators::INDEX, _) => mismatch(),
            (operators::IN, [one, Ty::List(item) | Ty::Map(item, _)]) => {
                if one.agrees(item) {
                    Ok(Ty::Bool)
                } else {
                    mismatch()
                }
            }
            (operators::IN, [_, Ty::Any]) => Ok(Ty::Bool),
            (operators::IN, _) => mismatch(),
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO
                | operators::NEGATE,
                _,
            ) => Ok(arithmetic(name, &arguments)),
            _ => match functions::result_of(name, target.is_some()) {
                Some(result) => Ok(result),
                None => Err(format!("undeclared reference to '{name}' (in container '{}')", self.container)),
            },
        }
    }

    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr) -> Result<Ty, String> {
        let range = self.visit(&mut comprehension.iter_range)?;
        let accumulator = self.visit(&mut comprehension.accu_init)?;
        self.n_loops += 1;
        if self.n_loops > MAX_LOOPS {
            return Err(format!("loops nested deeper than {MAX_LOOPS}"));
        }
        let item = match range {
            Ty::List(item) | Ty::Map(item, _) => *item,
            Ty::Any => Ty::Any,
            other => return Err(format!("expression of type '{}' cannot be range of a comprehension", other.name())),
        };
        let depth = self.scope.len();
        self.scope.push((comprehension.iter_var.clone(), item));
        if let Some(second) = &comprehension.iter_var2 {
            self.scope.push((second.clone(), Ty::Any));
        }
        let accumulator = if matches!(accumulator, Ty::Bool) { Ty::Bool } else { Ty::Any };
        self.scope.push((comprehension.accu_var.clone(), accumulator));
        let outcome = self
            .visit(&mut comprehension.loop_cond)
            .and_then(|_| self.visit(&mut comprehension.loop_step))
            .and_then(|_| self.visit(&mut comprehension.result));
        self.scope.truncate(depth);
        self.n_loops -= 1;
        outcome
    }

    /// The number of an enum value that is named in full or inside of the container.
    fn enum_value(&self, expression: &Expr) -> Option<i64> {
        let mut parts = Vec::new();
        let mut expression = expression;
        loop {
            match expression {
                Expr::Ident(name) => {
                    parts.push(name.as_str());
                    break;
                }
                Expr::Select(select) if !select.test => {
                    parts.push(select.field.as_str());
                    expression = &select.operand.expr;
                }
                _ => return None,
            }
        }
        parts.reverse();
        let (value, scope) = parts.split_last()?;
        if scope.is_empty() || self.scope.iter().any(|(name, _)| Some(name.as_str()) == scope.first().copied()) {
            return None;
        }
        let name = scope.join(".");
        let name = name.trim_start_matches('.');
        let found = [format!("{}.{name}", self.container), name.to_owned()]
            .iter()
            .find_map(|full| self.pool.get_enum_by_name(full))?;
        found.get_value_by_name(value).map(|value| i64::from(value.number()))
    }
}

fn literal_type(literal: &LiteralValue) -> Ty {
    match literal {
        LiteralValue::Boolean(_) => Ty::Bool,
        LiteralValue::Bytes(_) => Ty::Bytes,
        LiteralValue::Double(_) => Ty::Double,
        LiteralValue::Int(_) => Ty::Int,
        LiteralValue::Null => Ty::Null,
        LiteralValue::String(_) => Ty::String,
        LiteralValue::UInt(_) => Ty::UInt,
    }
}

fn arithmetic(operator: &str, arguments: &[Ty]) -> Ty {
    match arguments {
        [one] => one.clone(),
        [Ty::Timestamp, Ty::Timestamp] if operator == operators::SUBSTRACT => Ty::Duration,
        [Ty::Timestamp, _] => Ty::Timestamp,
        [Ty::Duration, other] => other.clone(),
        [one, other] if one == other => one.clone(),
        _ => Ty::Any,
    }
}

fn common(types: &[Ty]) -> Ty {
    match types.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other == first) => first.clone(),
        _ => Ty::Any,
    }
}

fn field_type(field: &FieldDescriptor) -> Ty {
    if field.is_map()
        && let Kind::Message(entry) = field.kind()
    {
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        return Ty::Map(Box::new(kind_type(&key.kind())), Box::new(kind_type(&value.kind())));
    }
    let single = kind_type(&field.kind());
    if field.is_list() { Ty::List(Box::new(single)) } else { single }
}

fn kind_type(kind: &Kind) -> Ty {
    match kind {
        Kind::Bool => Ty::Bool,
        Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 | Kind::Sfixed32 | Kind::Sfixed64 | Kind::Enum(_) => {
            Ty::Int
        }
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Ty::UInt,
        Kind::Float | Kind::Double => Ty::Double,
        Kind::String => Ty::String,
        Kind::Bytes => Ty::Bytes,
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => Ty::Timestamp,
            "google.protobuf.Duration" => Ty::Duration,
            _ if is_wrapper(message) => {
                let inner = message.get_field(1).map_or(Ty::Any, |field| kind_type(&field.kind()));
                Ty::Nullable(Box::new(inner))
            }
            _ => Ty::Message(message.clone()),
        },
    }
}
