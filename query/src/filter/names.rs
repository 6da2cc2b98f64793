//! Patterns of DNS and node names as Hubble reads them.

use super::regex::Pattern;
use super::{Filter, TextTest};
use crate::FilterError;

/// What `*` stands for: no capitals, no underscore.
const ANY: &str = "[-.0-9a-z]*";

/// A pattern of a DNS name, for a whole name.
pub(super) fn fqdn(pattern: &str) -> Result<Pattern, FilterError> {
    let body = body(pattern)?;
    Pattern::native(&format!("^{body}$"))
}

/// Nodes of a pattern `[cluster/]node`.
pub(super) fn node(pattern: &str) -> Result<Filter, FilterError> {
    if pattern.is_empty() {
        return Err(FilterError::new("empty pattern"));
    }
    let (cluster, node) = match pattern.split_once('/') {
        None => ("", pattern),
        Some((_, node)) if node.contains('/') => return Err(FilterError::new("too many slashes in pattern")),
        Some(parts) => parts,
    };
    let part = |text: &str| if text.is_empty() { Ok(ANY.to_owned()) } else { body(text) };
    let cluster = Pattern::native(&format!("^{}$", part(cluster)?))?;
    let node = Pattern::native(&format!("^{}$", part(node)?))?;
    // A bare node name belongs to the cluster that is called default.
    let is_default = cluster.is_match("default");
    let named = Filter::Text { column: "cluster", test: TextTest::Matches(cluster) };
    let bare = if is_default { Filter::absent("cluster") } else { Filter::nothing() };
    Ok(Filter::all([
        Filter::present("node"),
        Filter::Text { column: "node", test: TextTest::Matches(node) },
        Filter::any([Filter::all([Filter::present("cluster"), named]), bare]),
    ]))
}

fn body(pattern: &str) -> Result<String, FilterError> {
    let pattern = pattern.trim();
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern).to_lowercase();
    if pattern.is_empty() {
        return Err(FilterError::new("empty pattern"));
    }
    if pattern.ends_with('.') {
        return Err(FilterError::new("multiple trailing dots in pattern"));
    }
    let mut out = String::with_capacity(pattern.len() + 16);
    for character in pattern.chars() {
        match character {
            '.' => out.push_str("[.]"),
            '*' => out.push_str(ANY),
            '-' | '_' | '0'..='9' | 'a'..='z' => out.push(character),
            other => return Err(FilterError::new(format!("{other:?}: invalid rune in pattern"))),
        }
    }
    Ok(out)
}
