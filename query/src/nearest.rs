//! How alike two names are, for proposals in errors.

/// The number of single-character changes (insert, remove, replace) from one text to the other.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let other = other.chars().collect::<Vec<_>>();
    let mut row = (0..=other.len()).collect::<Vec<_>>();
    for (i, left) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(&other) {
            let cost = usize::from(left != *right);
            let value = (diagonal + cost).min(*cell + 1).min(before + 1);
            diagonal = *cell;
            *cell = value;
            before = value;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The candidate nearest to `name`, if any is near.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
