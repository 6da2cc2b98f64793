//! Tests of single values.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hindcast_model::list;
use ipnet::IpNet;

use super::http;
use super::labels::Selector;
use super::regex::Pattern;

/// A test of a text.
#[derive(Clone, Debug)]
pub enum TextTest {
    /// There is none, or an empty one.
    Absent,
    /// It equals one of these.
    OneOf(BTreeSet<String>),
    /// It equals one of these, case aside (ASCII). The set holds lower case.
    OneOfIgnoringCase(BTreeSet<String>),
    /// It starts with this.
    Prefix(String),
    /// It is this name, or this name and what a dash sets off from it: `db` and `db-0`.
    Family(String),
    /// It holds this, case aside. The text is lower case.
    Contains(String),
    /// The pattern is found in it.
    Matches(Pattern),
    /// The pattern is found in it, or in an empty text if there is none.
    MatchesOrAbsent(Pattern),
    /// It is an address inside one of these networks.
    InNetwork(Vec<IpNet>),
    /// The pattern is found in the path of the URL that it is.
    UrlPath(Pattern),
    /// It is a list and one of its items passes.
    AnyItem(Box<Self>),
    /// It is a list of keys and values in turn, and holds this pair.
    Pair(String, String),
    /// It is a list of labels that the selector selects; no list is a list of no labels.
    Labels(Selector),
}

impl TextTest {
    /// Whether a value passes.
    #[must_use]
    pub fn passes(&self, value: Option<&str>) -> bool {
        let Some(text) = value else {
            return match self {
                Self::Absent => true,
                Self::MatchesOrAbsent(pattern) => pattern.is_match(""),
                Self::Labels(selector) => selector.selects_list(""),
                _ => false,
            };
        };
        match self {
            Self::Absent => text.is_empty(),
            Self::OneOf(values) => values.contains(text),
            Self::OneOfIgnoringCase(values) => values.contains(&text.to_ascii_lowercase()),
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Family(name) => {
                text.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            }
            Self::Contains(part) => contains_ignoring_case(text, part),
            Self::Matches(pattern) | Self::MatchesOrAbsent(pattern) => pattern.is_match(text),
            Self::InNetwork(networks) => {
                text.parse::<IpAddr>().is_ok_and(|address| networks.iter().any(|network| network.contains(&address)))
            }
            Self::UrlPath(pattern) => http::request_path(text).is_some_and(|path| pattern.is_match(&path)),
            Self::AnyItem(test) => list::split(text).any(|item| test.passes(Some(&item))),
            Self::Pair(key, value) => has_pair(text, key, value),
            Self::Labels(selector) => selector.selects_list(text),
        }
    }
}

fn contains_ignoring_case(text: &str, lower_part: &str) -> bool {
    if lower_part.is_ascii() && text.is_ascii() {
        let (text, part) = (text.as_bytes(), lower_part.as_bytes());
        return part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    }
    text.to_lowercase().contains(lower_part)
}

fn has_pair(text: &str, key: &str, value: &str) -> bool {
    let mut items = list::split(text);
    while let Some(found_key) = items.next() {
        let Some(found_value) = items.next() else { return false };
        if found_key == key && found_value == value {
            return true;
        }
    }
    false
}

/// A test of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberTest {
    /// There is none.
    Absent,
    /// It is one of these.
    OneOf(BTreeSet<i128>),
    /// It lies between these, both included.
    Between(i128, i128),
    /// Its bits, against a mask.
    Bits(BitsTest, u64),
}

/// How bits are compared with a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitsTest {
    /// All bits of the mask are set.
    All,
    /// Some bit of the mask is set.
    Any,
    /// No bit of the mask is set.
    None,
    /// Just the bits of the mask are set.
    Exactly,
}

impl NumberTest {
    /// Whether a value passes.
    #[must_use]
    pub fn passes(&self, value: Option<i128>) -> bool {
        let Some(number) = value else { return matches!(self, Self::Absent) };
        match self {
            Self::Absent => false,
            Self::OneOf(values) => values.contains(&number),
            Self::Between(low, high) => *low <= number && number <= *high,
            Self::Bits(test, mask) => {
                let bits = u64::try_from(number).unwrap_or(0);
                match test {
                    BitsTest::All => bits & mask == *mask,
                    BitsTest::Any => bits & mask != 0,
                    BitsTest::None => bits & mask == 0,
                    BitsTest::Exactly => bits == *mask,
                }
            }
        }
    }
}
