//! Where one SQL statement ends and the next begins: at a semicolon outside of quotes and comments.

/// The statements of a script, without their semicolons; empty ones are left out.
pub(super) fn split(script: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut rest = script;
    while let Some(end) = end_of_first(rest) {
        let (statement, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        statements.push(statement.trim());
        rest = after.strip_prefix(';').unwrap_or(after);
    }
    statements.push(rest.trim());
    statements.retain(|statement| !is_blank(statement));
    statements
}

/// Whether the text ends with a whole statement, or holds none.
pub(super) fn is_whole(text: &str) -> bool {
    let mut rest = text;
    while let Some(end) = end_of_first(rest) {
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    is_blank(rest)
}

/// Whether there is nothing but spaces and comments.
fn is_blank(text: &str) -> bool {
    text.lines().map(|line| line.split_once("--").map_or(line, |(before, _)| before)).all(|line| line.trim().is_empty())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Quotes(char),
    Line,
    Block,
}

/// Where the first semicolon stands that ends a statement.
fn end_of_first(text: &str) -> Option<usize> {
    let mut inside = Inside::Nothing;
    let mut characters = text.char_indices().peekable();
    while let Some((position, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        inside = match (inside, character) {
            (Inside::Nothing, ';') => return Some(position),
            (Inside::Nothing, quote @ ('\'' | '"' | '`')) => Inside::Quotes(quote),
            (Inside::Nothing, '-') if next == Some('-') => Inside::Line,
            (Inside::Nothing, '/') if next == Some('*') => Inside::Block,
            // A doubled quote closes and opens again, which comes to the same.
            (Inside::Quotes(quote), character) if quote == character => Inside::Nothing,
            (Inside::Line, '\n') => Inside::Nothing,
            (Inside::Block, '*') if next == Some('/') => Inside::Nothing,
            (inside, _) => inside,
        };
    }
    None
}

#[cfg(test)]
mod tests;
