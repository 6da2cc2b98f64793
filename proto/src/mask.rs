//! Field masks over wire bytes: which fields of a message a client gets.
//!
//! A mask is compiled once for a message; applying it copies the wanted stretches of bytes. Paths that name no field
//! are ignored. A path into a repeated message applies to each of its elements.

use crate::json::{MAX_DEPTH, Message, WireError};
use crate::schema::{self, Cardinality, MessageDef, schema};
use crate::tetragon::{EventType, FieldFilter, FieldFilterAction};
use crate::wire::{self, Reader, Value};

/// What a mask says of one field.
#[derive(Clone, Debug)]
enum Rule {
    Whole,
    Parts(Tree),
}

/// What a mask says of the fields of a message; it says nothing of those that are not listed.
#[derive(Clone, Debug, Default)]
struct Tree(Vec<(u32, Rule)>);

impl Tree {
    fn of<'p>(message: &MessageDef, paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut tree = Self::default();
        for path in paths {
            tree.add(message, path);
        }
        tree
    }

    fn add(&mut self, message: &MessageDef, path: &str) {
        let (name, inner_path) = path.split_once('.').map_or((path, None), |(name, inner)| (name, Some(inner)));
        let Some(field) = message.by_name(name) else { return };
        let inner = inner_path.zip(schema().message_of(field).filter(|_message| field.cardinality != Cardinality::Map));
        let position = self.0.iter().position(|(number, _)| *number == field.number);
        let rule = position.and_then(|position| self.0.get_mut(position)).map(|(_, rule)| rule);
        match (inner, rule) {
            (None, _) if inner_path.is_some() => {}
            (None, Some(rule)) => *rule = Rule::Whole,
            (None, None) => self.0.push((field.number, Rule::Whole)),
            (Some(_), Some(Rule::Whole)) => {}
            (Some((inner_path, inner)), Some(Rule::Parts(parts))) => parts.add(inner, inner_path),
            (Some((inner_path, inner)), None) => {
                let parts = Self::of(inner, [inner_path]);
                // A path that leads nowhere asks for nothing.
                if !parts.0.is_empty() {
                    self.0.push((field.number, Rule::Parts(parts)));
                }
            }
        }
    }

    fn rule(&self, number: u32) -> Option<&Rule> {
        self.0.iter().find(|(listed, _)| *listed == number).map(|(_, rule)| rule)
    }

    /// Appends the listed fields, or all but the listed.
    fn apply(&self, wire: &[u8], is_wanted: bool, depth: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
        let depth = depth.checked_sub(1).ok_or(WireError::too_deep())?;
        let mut fields = Reader::new(wire);
        while let Some(field) = fields.next()? {
            match (self.rule(field.number), field.value) {
                (Some(Rule::Parts(parts)), Value::Bytes(inner)) => {
                    let open = wire::open(out, field.number);
                    parts.apply(inner, is_wanted, depth, out)?;
                    open.close(out);
                }
                (rule, _) if rule.is_some() == is_wanted => out.extend_from_slice(field.raw),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The fields of a message that a client asked for.
#[derive(Clone, Debug)]
pub struct FieldMask(Tree);

impl FieldMask {
    /// A mask over `message`; `None` if no path was given, which asks for everything.
    #[must_use]
    pub fn new<P: AsRef<str>>(message: Message, paths: &[P]) -> Option<Self> {
        if paths.is_empty() {
            return None;
        }
        Some(Self(Tree::of(message.definition(), paths.iter().map(AsRef::as_ref))))
    }

    /// Whether the mask asks for any part of that field.
    #[must_use]
    pub fn has(&self, number: u32) -> bool {
        self.0.rule(number).is_some()
    }

    /// Appends what the mask asks for of a message.
    ///
    /// # Errors
    /// The bytes are no message; `out` then holds a part of it.
    pub fn apply(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        self.0.apply(wire, true, MAX_DEPTH, out)
    }

    /// Appends an `observer.GetFlowsResponse` whose flow is masked. Its node name and time are those of the masked
    /// flow: they come only if the mask asks for them. A response without a flow stays as it is.
    ///
    /// # Errors
    /// The bytes are no message; `out` then holds a part of it.
    pub fn apply_to_response(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let mut has_flow = false;
        let mut fields = Reader::new(wire);
        while let Some(field) = fields.next()? {
            has_flow |= field.number == 1;
        }
        if !has_flow {
            out.extend_from_slice(wire);
            return Ok(());
        }
        let mut fields = Reader::new(wire);
        while let Some(field) = fields.next()? {
            match (field.number, field.value) {
                (1, Value::Bytes(flow)) => {
                    let open = wire::open(out, 1);
                    self.apply(flow, out)?;
                    open.close(out);
                }
                (1000, _) if !self.has(11) => {}
                (1001, _) if !self.has(1) => {}
                _ => out.extend_from_slice(field.raw),
            }
        }
        Ok(())
    }
}

/// One of Tetragon's field filters, compiled for each kind of event it applies to.
#[derive(Clone, Debug)]
struct KindFilter {
    is_wanted: bool,
    /// Kinds by number, with the mask over their message.
    kinds: Vec<(u32, Tree)>,
}

/// Tetragon's field filters, applied in order. Node name and time of an event always stay.
#[derive(Clone, Debug, Default)]
pub struct FieldFilters(Vec<KindFilter>);

impl FieldFilters {
    /// Compiles the filters of a request.
    #[must_use]
    pub fn new(filters: &[FieldFilter]) -> Self {
        Self(filters.iter().map(KindFilter::of).collect())
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a `tetragon.GetEventsResponse` with the fields of its event filtered.
    ///
    /// # Errors
    /// The bytes are no message; `out` then holds a part of it.
    pub fn apply(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let mut fields = Reader::new(wire);
        while let Some(field) = fields.next()? {
            let Value::Bytes(event) = field.value else {
                out.extend_from_slice(field.raw);
                continue;
            };
            let mut applied = self.0.iter().filter_map(|filter| {
                let (_, tree) = filter.kinds.iter().find(|(number, _)| *number == field.number)?;
                Some((tree, filter.is_wanted))
            });
            let Some((tree, is_wanted)) = applied.next() else {
                out.extend_from_slice(field.raw);
                continue;
            };
            let mut filtered = Vec::with_capacity(event.len());
            tree.apply(event, is_wanted, MAX_DEPTH, &mut filtered)?;
            for (tree, is_wanted) in applied {
                let before = std::mem::take(&mut filtered);
                tree.apply(&before, is_wanted, MAX_DEPTH, &mut filtered)?;
            }
            wire::put_bytes(out, field.number, &filtered);
        }
        Ok(())
    }
}

impl KindFilter {
    fn of(filter: &FieldFilter) -> Self {
        let is_inverted = filter.invert_event_set.unwrap_or(false);
        let paths: Vec<&str> = filter.fields.iter().flat_map(|mask| mask.paths.iter().map(String::as_str)).collect();
        let events = Message::GetEventsResponse.definition().fields.iter().filter(|field| field.oneof != 0);
        let kinds = events
            .filter(|field| {
                let is_listed = filter.event_set.iter().any(|kind| u32::try_from(*kind) == Ok(field.number));
                filter.event_set.is_empty() || is_listed != is_inverted
            })
            .filter_map(|field| Some((field.number, Tree::of(schema().message_of(field)?, paths.iter().copied()))))
            .collect();
        Self { is_wanted: filter.action() == FieldFilterAction::Include, kinds }
    }
}

/// The name of the field of an event kind, as `process_exec` is that of `PROCESS_EXEC`.
#[must_use]
pub fn kind_name(kind: EventType) -> Option<&'static str> {
    let number = u32::try_from(i32::from(kind)).ok()?;
    schema::message("tetragon.GetEventsResponse")?.by_number(number).map(|field| field.name.as_str())
}

#[cfg(test)]
mod tests;
