//! Terms of a filter that begin with a hyphen (`-dns:*.internal`) among the options of a command.

use std::ffi::OsString;

/// Commands whose positional words are filters.
const WITH_FILTERS: [&str; 2] = ["observe", "export"];

/// The arguments with negated terms made safe from being read as options: a space is put before them, which means
/// nothing in a filter.
pub(crate) fn shield(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut has_filters = false;
    let shield = |argument: OsString| {
        has_filters |= WITH_FILTERS.iter().any(|name| argument == *name);
        match argument.to_str() {
            Some(text) if has_filters && is_negated_term(text) => OsString::from(format!(" {text}")),
            _ => argument,
        }
    };
    arguments.into_iter().map(shield).collect()
}

/// Whether it is a hyphen before a bracket, a quoted text, or a key of two letters or more with its operator.
fn is_negated_term(text: &str) -> bool {
    let Some(term) = text.strip_prefix('-') else { return false };
    if term.starts_with(['(', '"']) {
        return true;
    }
    let is_key_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.');
    match term.find(|character| !is_key_part(character)) {
        Some(end) if end >= 2 => term.get(end..).is_some_and(|rest| rest.starts_with([':', '=', '!', '<', '>', '~'])),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
