//! The names that rotations give: `events-2026-01-02T03-04-05.000.log`, `events.log.1`, `events.log-20260102`, packed
//! or not.

use std::path::{Path, PathBuf};

/// The endings that packing adds.
const PACKED: [&str; 3] = [".gz", ".zst", ".zstd"];

/// The backups that lie beside a file, in the order of their names.
pub(super) fn of(path: &Path) -> Vec<PathBuf> {
    let (Some(name), Some(directory)) = (path.file_name().and_then(|name| name.to_str()), path.parent()) else {
        return Vec::new();
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let is_backup =
        |path: &PathBuf| path.file_name().and_then(|other| other.to_str()).is_some_and(|other| is_backup(name, other));
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_backup).collect();
    found.sort();
    found
}

/// Whether `other` is a backup of `name`.
fn is_backup(name: &str, other: &str) -> bool {
    let other = PACKED.iter().find_map(|packed| other.strip_suffix(packed)).unwrap_or(other);
    let starts_with_digit = |text: &str| text.starts_with(|character: char| character.is_ascii_digit());
    // logrotate: the whole name, then a number or a date.
    if let Some(rest) = other.strip_prefix(name) {
        return rest.strip_prefix(['.', '-']).is_some_and(starts_with_digit);
    }
    // lumberjack: the time stands before the extension.
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let Some(rest) = other.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let middle = if extension.is_empty() {
        Some(rest)
    } else {
        rest.strip_suffix(extension).and_then(|rest| rest.strip_suffix('.'))
    };
    middle.is_some_and(starts_with_digit)
}

#[cfg(test)]
mod tests {
    use super::is_backup;

    #[test]
    fn backups_are_told_by_their_names() {
        for (name, other, expected) in [
            ("events.log", "events-2026-01-02T03-04-05.000.log", true),
            ("events.log", "events-2026-01-02T03-04-05.000.log.gz", true),
            ("events.log", "events.log.1", true),
            ("events.log", "events.log.2.gz", true),
            ("events.log", "events.log-20260102", true),
            ("events", "events-2026.zst", true),
            ("events.log", "events.log", false),
            ("events.log", "events-old.log", false),
            ("events.log", "events-2026.txt", false),
            ("events.log", "events.log.bak", false),
            ("events.log", "other-2026.log", false),
        ] {
            assert_eq!(is_backup(name, other), expected, "{other} beside {name}");
        }
    }
}
