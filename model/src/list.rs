//! Several texts in one column value: labels, DNS names, header pairs.
//!
//! A list is written as its items joined by a comma; a comma or a backslash inside an item is preceded by a
//! backslash. An empty list is an absent value; a list of one empty text is written as a lone `\e`. The form is
//! readable as it stands in the usual case (`k8s:app=web,k8s:tier=fe`) and exact in every case.

use std::borrow::Cow;

/// The text of an item that is empty: `\e`.
const EMPTY_ITEM: &str = "\\e";

/// Appends one item to a list under construction.
pub fn push(list: &mut String, item: &str) {
    if !list.is_empty() {
        list.push(',');
    }
    if item.is_empty() {
        list.push_str(EMPTY_ITEM);
        return;
    }
    // Nearly every item is plain; a loop without an exit is one the compiler makes wide.
    if !item.bytes().fold(false, |found, byte| found | is_special(byte)) {
        list.push_str(item);
        return;
    }
    for character in item.chars() {
        if matches!(character, ',' | '\\') {
            list.push('\\');
        }
        list.push(character);
    }
}

const fn is_special(byte: u8) -> bool {
    byte == b',' || byte == b'\\'
}

/// The list form of several items; `None` for no items.
#[must_use]
pub fn join<'a>(items: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut list = String::new();
    for item in items {
        push(&mut list, item);
    }
    if list.is_empty() { None } else { Some(list) }
}

/// The items of a list, in order.
pub fn split(list: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = if list.is_empty() { None } else { Some(list) };
    std::iter::from_fn(move || {
        let text = rest?;
        let end = item_end(text);
        let (item, after) = text.split_at_checked(end)?;
        rest = after.strip_prefix(',');
        Some(unescape(item))
    })
}

/// Where the first unescaped comma stands, or the length of the text.
fn item_end(text: &str) -> usize {
    let Some(first) = text.bytes().position(is_special) else { return text.len() };
    if text.as_bytes().get(first) == Some(&b',') {
        return first;
    }
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => return position,
            _ => {}
        }
    }
    text.len()
}

fn unescape(item: &str) -> Cow<'_, str> {
    if item == EMPTY_ITEM {
        return Cow::Borrowed("");
    }
    if !item.contains('\\') {
        return Cow::Borrowed(item);
    }
    let mut text = String::with_capacity(item.len());
    let mut escaped = false;
    for character in item.chars() {
        if character == '\\' && !escaped {
            escaped = true;
        } else {
            text.push(character);
            escaped = false;
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests;
