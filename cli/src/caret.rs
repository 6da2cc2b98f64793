//! The place at fault in a text that a person typed, shown below it.

use crate::server::Span;

/// The line of `text` that the span begins in, with carets below the span, each indented by two.
#[must_use]
pub(crate) fn point_at(text: &str, span: Span) -> String {
    let mut line_start = 0;
    let mut shown = text;
    for line in text.split_inclusive('\n') {
        shown = line.trim_end_matches('\n');
        if span.start < line_start + line.len() {
            break;
        }
        if line.ends_with('\n') {
            line_start += line.len();
        }
    }
    let end_of_line = line_start + shown.len();
    let from = span.start.clamp(line_start, end_of_line);
    let to = span.end.clamp(from, end_of_line);
    let chars_between = |from: usize, to: usize| text.get(from..to).map_or(to - from, |part| part.chars().count());
    let before = chars_between(line_start, from);
    let carets = chars_between(from, to).max(1);
    format!("  {shown}\n  {}{}", " ".repeat(before), "^".repeat(carets))
}

/// The span of the word at a line and a column, both counted from 1.
#[must_use]
pub(crate) fn of_place(text: &str, line: u64, column: u64) -> Option<Span> {
    let (line, column) = (usize::try_from(line).ok()?, usize::try_from(column).ok()?);
    let line_start: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let rest = text.get(line_start..)?;
    let offset = rest.char_indices().nth(column.checked_sub(1)?).map_or(rest.len(), |(offset, _)| offset);
    let start = line_start + offset;
    let word = text.get(start..)?.chars().take_while(|character| character.is_alphanumeric() || *character == '_');
    Some(Span { start, end: start + word.map(char::len_utf8).sum::<usize>() })
}

#[cfg(test)]
mod tests;
