//! The path of a request's URL, read the way Go's `url.ParseRequestURI` does, since that decides what Hubble's path
//! filter sees: percent signs decoded, the query left off, `None` where the text is no request URI.

use std::borrow::Cow;

/// The decoded path of a request URI.
pub(super) fn request_path(raw: &str) -> Option<Cow<'_, str>> {
    if raw.is_empty() || raw.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return None;
    }
    if raw == "*" {
        return Some(Cow::Borrowed("*"));
    }
    let (scheme, rest) = split_scheme(raw)?;
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') {
        // With a scheme it is opaque and has an empty path; without one it is no request.
        return scheme.map(|_| Cow::Borrowed(""));
    }
    let path = match rest.strip_prefix("//") {
        Some(after) if scheme.is_some() => {
            let (authority, path) = after.split_at_checked(after.find('/').unwrap_or(after.len()))?;
            check_authority(authority)?;
            path
        }
        _ => rest,
    };
    decode(path)
}

/// The scheme and what follows its colon; `None` if a colon comes first.
fn split_scheme(raw: &str) -> Option<(Option<&str>, &str)> {
    for (position, character) in raw.char_indices() {
        match character {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if position > 0 => {}
            ':' if position == 0 => return None,
            ':' => {
                let (scheme, rest) = raw.split_at_checked(position)?;
                return Some((Some(scheme), rest.strip_prefix(':')?));
            }
            _ => return Some((None, raw)),
        }
    }
    Some((None, raw))
}

fn check_authority(authority: &str) -> Option<()> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.chars().any(|character| matches!(character, ' ' | '^' | '`' | '{' | '|' | '}' | '\\' | '#')) {
        return None;
    }
    let port = match host.rsplit_once(']') {
        Some((_, after)) => after.strip_prefix(':'),
        None => host.split_once(':').map(|(_, port)| port),
    };
    port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
}

fn decode(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()))
}
