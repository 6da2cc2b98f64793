//! Which form of an answer a client wants, by `Accept`.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::problem::Problem;

/// A form of an answer with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object with a row per object.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// One JSON object with an array per column, in chunks.
    Columns,
    /// Comma-separated values with a header line.
    Csv,
    /// The Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

impl Format {
    /// Every form, the usual one first.
    pub(crate) const ALL: [Self; 6] = [Self::Json, Self::Ndjson, Self::Columns, Self::Csv, Self::Arrow, Self::Parquet];

    /// Its media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Columns => "application/vnd.hindcast.columns+json",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// The `content-type` of an answer.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json | Self::Ndjson | Self::Columns | Self::Arrow | Self::Parquet => self.media_type(),
        }
    }

    /// Whether it is columns in bytes rather than text.
    pub(crate) const fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }

    /// The form to answer in.
    ///
    /// # Errors
    /// The client would take no form there is.
    pub(crate) fn choose(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut best: Option<(u16, Self)> = None;
        let mut asks = false;
        for value in headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()) {
            for range in value.split(',').map(str::trim).filter(|range| !range.is_empty()) {
                asks = true;
                let (media, quality) = parse_range(range);
                if let Some(format) = Self::of_range(media)
                    && quality > best.map_or(0, |(quality, _)| quality)
                {
                    best = Some((quality, format));
                }
            }
        }
        match best {
            Some((_, format)) => Ok(format),
            None if !asks => Ok(Self::Json),
            None => Err(Problem::not_acceptable(&Self::ALL.map(Self::media_type).join(", "))),
        }
    }

    /// The first form that a media range covers. A browser is given JSON.
    fn of_range(media: &str) -> Option<Self> {
        let media = media.to_ascii_lowercase();
        match media.as_str() {
            "*/*" | "application/*" | "text/html" | "text/json" => Some(Self::Json),
            "text/*" => Some(Self::Csv),
            "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => Some(Self::Ndjson),
            "application/x-parquet" | "application/parquet" => Some(Self::Parquet),
            _ => Self::ALL.into_iter().find(|format| format.media_type() == media),
        }
    }
}

/// The media type of a range and its quality in thousandths.
fn parse_range(range: &str) -> (&str, u16) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or("");
    let quality = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .map_or(1000, |(_, value)| thousandths(value.trim()));
    (media, quality)
}

/// `0.5` as 500; 0 for what is no quality.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    match whole {
        "1" => 1000,
        "0" if fraction.len() <= 3 => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    //! Negotiation.

    use http::{HeaderMap, HeaderValue};

    use super::Format;

    fn choose(accept: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_str(accept).expect("a header"));
        Format::choose(&headers).ok()
    }

    #[test]
    fn accept_chooses_by_quality_then_by_order() {
        assert_eq!(Format::choose(&HeaderMap::new()).ok(), Some(Format::Json));
        assert_eq!(choose("*/*"), Some(Format::Json));
        assert_eq!(choose("text/csv"), Some(Format::Csv));
        assert_eq!(choose("text/csv;q=0.5, application/vnd.apache.arrow.stream"), Some(Format::Arrow));
        assert_eq!(choose("image/png, application/x-ndjson;q=0.1"), Some(Format::Ndjson));
        assert_eq!(choose("text/html,application/xhtml+xml,*/*;q=0.8"), Some(Format::Json));
        assert_eq!(choose("image/png"), None);
        assert_eq!(choose("application/json;q=0"), None);
    }
}
