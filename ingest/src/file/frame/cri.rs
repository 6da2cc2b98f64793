//! The prefix a container runtime puts before each line: `<time> <stdout|stderr> <P|F> `.

/// A line with such a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CriLine {
    /// 0 for stdout, 1 for stderr.
    pub(super) stream: usize,
    /// Whether more parts of the line follow.
    pub(super) is_partial: bool,
    /// Where the content starts.
    pub(super) content: usize,
}

impl CriLine {
    /// `None` for a line without the prefix.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        // Cheapest first: nearly every line of a recording starts with a bracket.
        if !line.first()?.is_ascii_digit() {
            return None;
        }
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time = fields.next()?;
        let stream = match fields.next()? {
            b"stdout" => 0,
            b"stderr" => 1,
            _ => return None,
        };
        let tags = fields.next()?;
        let is_partial = match tags.split(|byte| *byte == b':').next()? {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        // A line whose content is empty may lack the last blank.
        let content = (time.len() + tags.len() + b"stdout".len() + 3).min(line.len());
        (time.len() >= "2006-01-02T15:04:05Z".len() && time.contains(&b'T')).then_some(Self {
            stream,
            is_partial,
            content,
        })
    }
}
