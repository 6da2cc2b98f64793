//! What holds for every file. Lints that clippy has are not repeated here.

use std::fs;
use std::path::{Path, PathBuf};

use hindcast_tests::repository::{files, root};

const MOST_LINES: usize = 600;
const MOST_LINES_OF_ARCHITECTURE: usize = 300;

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn with_extension(wanted: &[&str]) -> Vec<PathBuf> {
    let all = files().unwrap();
    let matches =
        |path: &PathBuf| path.extension().is_some_and(|extension| wanted.iter().any(|name| extension == *name));
    all.into_iter().filter(matches).collect()
}

/// Every complaint at once, so that one run shows them all.
fn expect_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_crate_inherits_the_lints() {
    let manifests =
        files().unwrap().into_iter().filter(|path| path.ends_with("Cargo.toml") && path.components().count() == 2);
    let complaints: Vec<String> = manifests
        .filter(|path| !read(path).contains("[lints]\nworkspace = true"))
        .map(|path| format!("{} does not inherit the workspace's lints", path.display()))
        .collect();
    expect_none(&complaints);
}

#[test]
fn rust_files_are_short_say_what_they_are_for_and_are_not_called_mod() {
    let mut complaints = Vec::new();
    for path in with_extension(&["rs"]) {
        let text = read(&path);
        let name = path.display();
        if !text.starts_with("//!") {
            complaints.push(format!("{name} does not start with //!"));
        }
        let n_lines = text.lines().count();
        if n_lines > MOST_LINES {
            complaints.push(format!("{name} has {n_lines} lines, more than {MOST_LINES}"));
        }
        if path.file_name().is_some_and(|file| file == "mod.rs") {
            complaints.push(format!("{name}: use foo.rs beside foo/"));
        }
    }
    expect_none(&complaints);
}

#[test]
fn nothing_is_left_to_do_in_a_comment() {
    // Put together, so that this file passes too.
    let words =
        [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["unimplement", "ed!"].concat(), ["to", "do!("].concat()];
    let mut complaints = Vec::new();
    for path in with_extension(&["rs", "py", "proto", "sh", "sql"]) {
        let text = read(&path);
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                complaints.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    expect_none(&complaints);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let places = ["work", "root", "home", "Users"].map(|place| format!("/{place}/"));
    let mut complaints = Vec::new();
    for path in with_extension(&["rs", "py", "proto", "sh", "sql", "md", "toml", "yml", "yaml"]) {
        for (number, line) in read(&path).lines().enumerate() {
            if places.iter().any(|place| names_place(line, place)) {
                complaints.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    expect_none(&complaints);
}

/// Whether a line names a path below that place; the middle of a longer path or of a URL does not count.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(position, _)| {
        let before = line.get(..position).and_then(|text| text.chars().next_back());
        before.is_none_or(|character| !character.is_alphanumeric() && !matches!(character, '.' | '}' | '-' | '_'))
    })
}

#[test]
fn the_system_clock_is_read_in_cli_only() {
    let call = ["SystemTime", "::now"].concat();
    let complaints: Vec<String> = with_extension(&["rs"])
        .into_iter()
        .filter(|path| !path.starts_with("cli") && !path.starts_with("tests"))
        .filter(|path| read(path).contains(&call))
        .map(|path| format!("{} reads the system clock: take a Clock", path.display()))
        .collect();
    expect_none(&complaints);
}

#[test]
fn the_index_of_decisions_is_complete() {
    let index = read(Path::new("docs/adr/README.md"));
    let mut complaints = Vec::new();
    for path in with_extension(&["md"]).into_iter().filter(|path| path.starts_with("docs/adr")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        if !index.contains(&format!("({name})")) {
            complaints.push(format!("docs/adr/README.md does not list {name}"));
        }
        let number = name.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        if number.is_none() || name.as_bytes().get(4) != Some(&b'-') {
            complaints.push(format!("{name} is not called NNNN-title.md"));
        }
        let text = read(&path);
        for part in ["Context", "Decision", "Consequences"] {
            if !text.contains(&format!("## {part}")) && !text.contains(&format!("**{part}")) {
                complaints.push(format!("{name} does not tell its {}", part.to_lowercase()));
            }
        }
    }
    expect_none(&complaints);
}

#[test]
fn the_architecture_is_short_and_names_every_room() {
    let text = read(Path::new("ARCHITECTURE.md"));
    let n_lines = text.lines().count();
    assert!(n_lines <= MOST_LINES_OF_ARCHITECTURE, "ARCHITECTURE.md has {n_lines} lines");
    let manifests =
        files().unwrap().into_iter().filter(|path| path.ends_with("Cargo.toml") && path.components().count() == 2);
    for manifest in manifests {
        let room = manifest.parent().unwrap().display().to_string();
        assert!(text.contains(&format!("`{room}/`")), "ARCHITECTURE.md does not tell of `{room}/`");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut complaints = Vec::new();
    for path in with_extension(&["md"]) {
        let folder = root().join(&path).parent().unwrap().to_path_buf();
        for target in read(&path).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let leads_out = target.contains("://") || target.starts_with("mailto:") || file.is_empty();
            if !leads_out && !folder.join(file).exists() {
                complaints.push(format!("{}: {target} does not exist", path.display()));
            }
        }
    }
    expect_none(&complaints);
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["scripts/setup", "scripts/check", "scripts/test", "scripts/bench", ".ci/run"] {
        let mode = fs::metadata(root().join(name)).unwrap().permissions().mode();
        assert!(mode & 0o111 != 0, "{name} is not executable");
    }
}
