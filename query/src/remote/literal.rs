//! Values as literals of ClickHouse's SQL.

use std::fmt::Write as _;

/// A text in quotes: everything but letters, digits and a few harmless signs is written as the bytes it is.
pub(crate) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('\'');
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'-' | b'_' | b'.' | b':' | b'/' | b'=' | b',' => {
                out.push(char::from(byte));
            }
            other => {
                let _infallible = write!(out, "\\x{other:02X}");
            }
        }
    }
    out.push('\'');
    out
}

/// A list of texts.
pub(crate) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    values.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

/// An instant.
pub(crate) fn time(nanos: i64) -> String {
    format!("fromUnixTimestamp64Nano({nanos}, 'UTC')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_literal() {
        assert_eq!(text("a'b\\c\n\u{e9}"), r"'a\x27b\x5Cc\x0A\xC3\xA9'");
        assert_eq!(texts(["default/web-0", "x;y"]), r"'default/web-0', 'x\x3By'");
    }
}
