//! One section: from written values to the section's type, with every problem in it named.

use serde::de::DeserializeOwned;
use toml::Value;

use super::known;
use super::layers::{Node, Origin, Tree};

/// Reads section `name` of the tree. What is wrong goes to `problems`, and the rest is read all the same.
pub(crate) fn read<T: DeserializeOwned + Default>(
    name: &'static str,
    tree: &mut Tree,
    problems: &mut Vec<String>,
) -> T {
    let good = match tree.remove(name) {
        None => return T::default(),
        Some(Node::Table(inner, _)) => {
            let mut reader = Reader { section: name, path: Vec::new(), problems };
            reader.table::<T>(inner)
        }
        Some(Node::Value(_, origin)) => {
            problems.push(format!("{origin}: [{name}] is a section, not a value"));
            return T::default();
        }
    };
    T::deserialize(Value::Table(good)).unwrap_or_else(|error| {
        problems.push(format!("[{name}]: {}", tidy(error.message())));
        T::default()
    })
}

/// Names what the tree still holds after every section was read.
pub(crate) fn name_unknown(tree: &Tree, sections: &[&str], problems: &mut Vec<String>) {
    for (name, node) in tree {
        problems.push(format!("{}: there is no section [{name}]{}", node.origin(), suggestion(name, sections)));
    }
}

struct Reader<'a> {
    section: &'static str,
    path: Vec<String>,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    /// The options of the table that can be read.
    fn table<T: DeserializeOwned>(&mut self, table: Tree) -> toml::Table {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let known = known::fields::<T>(&path).unwrap_or_default();
        let mut good = toml::Table::new();
        for (name, node) in table {
            self.path.push(name.clone());
            if known.contains(&name.as_str()) {
                if let Some(value) = self.node::<T>(node) {
                    good.insert(name, value);
                }
            } else {
                let problem = format!("there is no option {}{}", self.option(), suggestion(&name, known));
                self.problems.push(format!("{}: {problem}", node.origin()));
            }
            self.path.pop();
        }
        good
    }

    fn node<T: DeserializeOwned>(&mut self, node: Node) -> Option<Value> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let is_table = known::fields::<T>(&path).is_some();
        match node {
            Node::Table(inner, _) if is_table => Some(Value::Table(self.table::<T>(inner))),
            Node::Table(inner, origin) => self.value::<T>(&[plain(inner)], &origin),
            Node::Value(values, origin) => match values.as_slice() {
                [Value::Array(elements)] if elements.iter().all(Value::is_table) && !elements.is_empty() => {
                    Some(self.elements::<T>(elements, &origin))
                }
                values => self.value::<T>(values, &origin),
            },
        }
    }

    /// A list of tables: each element on its own, so that all problems show.
    fn elements<T: DeserializeOwned>(&mut self, elements: &[Value], origin: &Origin) -> Value {
        let mut good = Vec::new();
        for (position, element) in (1..).zip(elements) {
            match self.attempt::<T>(Value::Array(vec![element.clone()])) {
                Ok(()) => good.push(element.clone()),
                Err(problem) => {
                    let known = self.element_fields::<T>();
                    let unknown = element.as_table().into_iter().flat_map(toml::Table::keys);
                    let hint = unknown.filter(|key| !known.contains(&key.as_str())).map(|key| suggestion(key, known));
                    let hint: String = hint.take(1).collect();
                    let option = self.option();
                    self.problems.push(format!("{origin}: [[{option}]] number {position}: {problem}{hint}"));
                }
            }
        }
        Value::Array(good)
    }

    fn element_fields<T: DeserializeOwned>(&self) -> &'static [&'static str] {
        let mut path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        path.push(known::ELEMENT);
        known::fields::<T>(&path).unwrap_or_default()
    }

    /// The first reading that the option accepts.
    fn value<T: DeserializeOwned>(&mut self, readings: &[Value], origin: &Origin) -> Option<Value> {
        let mut problem = String::new();
        for reading in readings {
            match self.attempt::<T>(reading.clone()) {
                Ok(()) => return Some(reading.clone()),
                Err(first) if problem.is_empty() => problem = first,
                Err(_) => {}
            }
        }
        let option = self.option();
        self.problems.push(format!("{origin}: {option}: {problem}"));
        None
    }

    /// Whether `T` can be read with this option alone set to `value`.
    fn attempt<T: DeserializeOwned>(&self, value: Value) -> Result<(), String> {
        let table = self.path.iter().rev().fold(value, |inner, name| {
            let mut outer = toml::Table::new();
            outer.insert(name.clone(), inner);
            Value::Table(outer)
        });
        let is_hidden = is_hidden("", &table);
        T::deserialize(table).map(drop).map_err(|error| {
            let message = tidy(error.message());
            // The reader quotes values of a wrong type.
            if is_hidden && message.starts_with("invalid") { "a value has the wrong type".to_owned() } else { message }
        })
    }

    fn option(&self) -> String {
        format!("{}.{}", self.section, self.path.join("."))
    }
}

fn plain(table: Tree) -> Value {
    let entries = table.into_iter().filter_map(|(name, node)| match node {
        Node::Table(inner, _) => Some((name, plain(inner))),
        Node::Value(readings, _) => readings.into_iter().next().map(|value| (name, value)),
    });
    Value::Table(entries.collect())
}

/// Options whose values are never printed, by the last part of their name.
const HIDDEN: [&str; 3] = ["token", "password", "bearer_token"];

/// Whether a value is, or holds, something that is never printed.
fn is_hidden(name: &str, value: &Value) -> bool {
    match value {
        Value::Table(table) => table.iter().any(|(name, value)| is_hidden(name, value)),
        Value::Array(elements) => elements.iter().any(|element| is_hidden(name, element)),
        _ => HIDDEN.contains(&name),
    }
}

/// A message of the TOML reader on one line.
fn tidy(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// `; did you mean …?` where a known name is near.
pub(crate) fn suggestion(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|candidate| (distance(name, candidate), *candidate)).min();
    match nearest {
        Some((distance, candidate)) if distance <= 1 + name.len().max(candidate.len()) / 3 => {
            format!("; did you mean {candidate}?")
        }
        _ if known.is_empty() => String::new(),
        _ => format!("; known: {}", known.join(", ")),
    }
}

/// How many letters have to be put in, taken out or changed to make one text of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (position, letter) in left.chars().enumerate() {
        let mut diagonal = position;
        let mut before = position + 1;
        let mut next = vec![before];
        for (other, above) in right.iter().zip(row.iter().skip(1)) {
            let cost = (diagonal + usize::from(letter != *other)).min(before + 1).min(above + 1);
            diagonal = *above;
            before = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
