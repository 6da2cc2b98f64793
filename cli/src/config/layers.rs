//! Values with the place they were written at, and layers of them: file, environment, flags. A later layer wins.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of the configuration file.
    Line(String, usize),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(formatter, "{file}:{line}"),
            Self::Variable(name) => write!(formatter, "variable {name}"),
            Self::Flag(name) => write!(formatter, "flag {name}"),
        }
    }
}

/// A tree of options.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A table of options.
    Table(BTreeMap<String, Self>, Origin),
    /// A value: the readings of it, the likeliest first. A variable `10` may be a number or a text.
    Value(Vec<toml::Value>, Origin),
}

impl Node {
    /// Where it was written first.
    pub(crate) const fn origin(&self) -> &Origin {
        match self {
            Self::Table(_, origin) | Self::Value(_, origin) => origin,
        }
    }
}

/// The options of a whole configuration.
pub(crate) type Tree = BTreeMap<String, Node>;

/// The options of a file. Errors are one line each, with their place.
pub(crate) fn of_file(name: &str, text: &str) -> Result<Tree, Vec<String>> {
    let (spans, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors
            .iter()
            .map(|error| {
                let line = line_of(text, error.span().map_or(0, |span| span.start));
                format!("{name}:{line}: {}", error.message().trim_end())
            })
            .collect());
    }
    let table: toml::Table = toml::from_str(text).map_err(|error| vec![format!("{name}: {}", error.message())])?;
    Ok(nodes(name, text, &table, spans.get_ref()))
}

fn nodes(name: &str, text: &str, table: &toml::Table, spans: &DeTable<'_>) -> Tree {
    let mut tree = Tree::new();
    for (key, value) in spans {
        let Some(plain) = table.get(key.get_ref().as_ref()) else { continue };
        let origin = Origin::Line(name.to_owned(), line_of(text, key.span().start));
        let node = match (plain, value.get_ref()) {
            (toml::Value::Table(plain), DeValue::Table(inner)) => Node::Table(nodes(name, text, plain, inner), origin),
            _ => Node::Value(vec![plain.clone()], origin),
        };
        tree.insert(key.get_ref().to_string(), node);
    }
    tree
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The readings of a text that carries no type: as TOML writes it, and as it stands.
pub(crate) fn readings(text: &str) -> Vec<toml::Value> {
    let literal = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    let literal = literal.and_then(|mut table| if table.len() == 1 { table.remove("value") } else { None });
    let plain = toml::Value::String(text.to_owned());
    match literal {
        Some(literal) if literal != plain => vec![literal, plain],
        _ => vec![plain],
    }
}

/// Sets one value, over what earlier layers said.
pub(crate) fn set(tree: &mut Tree, path: &[&str], values: Vec<toml::Value>, origin: Origin) {
    let Some((name, below)) = path.split_first() else { return };
    if below.is_empty() {
        tree.insert((*name).to_owned(), Node::Value(values, origin));
        return;
    }
    let node = tree.entry((*name).to_owned()).or_insert_with(|| Node::Table(Tree::new(), origin.clone()));
    if let Node::Value(..) = node {
        *node = Node::Table(Tree::new(), origin.clone());
    }
    if let Node::Table(inner, _) = node {
        set(inner, below, values, origin);
    }
}

/// Whether any layer set the option.
pub(crate) fn is_set(tree: &Tree, path: &[&str]) -> bool {
    match path.split_first() {
        None => false,
        Some((name, below)) => match tree.get(*name) {
            None => false,
            Some(Node::Table(inner, _)) => is_set(inner, below),
            Some(Node::Value(..)) => true,
        },
    }
}
