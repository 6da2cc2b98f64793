//! From what a user names (paths, globs, directories, `-`) to the files behind it, each once.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hindcast_storage::objects::{Object, Objects, ObjectsError, is_bucket};

use super::object::Listed;

/// How deep directories are followed; a loop of symbolic links ends long before, this bounds honest trees.
const MAX_DEPTH: usize = 64;

/// The file behind a path, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileKey {
    device: u64,
    inode: u64,
}

impl FileKey {
    /// The key of a file.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Something to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// Where it is.
    pub(crate) place: Place,
    /// Whether the user named it, rather than a directory or glob it lies in.
    pub(crate) is_named: bool,
    /// Bytes as they lie on disk, where that is known.
    pub(crate) n_bytes: u64,
}

/// Where an input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Standard input.
    Stdin,
    /// A file that can be read again.
    File(PathBuf),
    /// A pipe or a device: read once, from the start.
    Stream(PathBuf),
    /// An object of a bucket, which can be read again.
    Object(Listed),
}

impl Place {
    /// The name in the column `source`.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File(path) | Self::Stream(path) => path.display().to_string(),
            Self::Object(listed) => listed.url(),
        }
    }

    /// Its length, and the bytes before a position, at most so many; `None` for what cannot be read twice.
    pub(crate) fn before(&self, position: u64, len: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        let len = position.min(len);
        match self {
            Self::Stdin | Self::Stream(_) => Ok(None),
            Self::File(path) => {
                let mut file = fs::File::open(path)?;
                let n_bytes = file.metadata()?.len();
                file.seek(SeekFrom::Start(position - len))?;
                let mut bytes = Vec::new();
                file.take(len).read_to_end(&mut bytes)?;
                Ok(Some((n_bytes, bytes)))
            }
            Self::Object(listed) => {
                let bytes = listed.read_at(position - len, len)?;
                Ok(Some((listed.object.n_bytes, bytes.into())))
            }
        }
    }
}

/// A path that leads to nothing readable.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The path cannot be looked at.
    #[error("cannot look at {path}")]
    Unreachable {
        /// As given, or as found in a directory.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory cannot be listed.
    #[error("cannot list the directory {path}")]
    Unlistable {
        /// The directory.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The pattern is not one.
    #[error("{pattern} is not a pattern of paths")]
    BadPattern {
        /// As given.
        pattern: String,
        /// Why.
        #[source]
        source: glob::PatternError,
    },
    /// Nothing is there.
    #[error("no file matches {pattern}")]
    NoMatch {
        /// As given.
        pattern: String,
    },
    /// The bucket cannot be listed.
    #[error(transparent)]
    Bucket(#[from] ObjectsError),
    /// Directories are nested too deep.
    #[error("{path} lies more than {MAX_DEPTH} directories deep")]
    TooDeep {
        /// The directory.
        path: String,
    },
}

/// What paths lead to.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// In the order named, directories sorted by name; each file once.
    pub(crate) found: Vec<Input>,
    /// Paths that led nowhere.
    pub(crate) errors: Vec<InputError>,
    files: HashSet<FileKey>,
    directories: HashSet<FileKey>,
}

impl Inputs {
    /// Looks behind each path.
    pub(crate) fn expand(paths: &[String]) -> Self {
        let mut inputs = Self::default();
        for path in paths {
            inputs.name(path);
        }
        inputs
    }

    fn name(&mut self, path: &str) {
        if path == "-" {
            if !self.found.iter().any(|input| input.place == Place::Stdin) {
                self.found.push(Input { place: Place::Stdin, is_named: true, n_bytes: 0 });
            }
            return;
        }
        if is_bucket(path) {
            self.bucket(path);
            return;
        }
        match fs::metadata(path) {
            Ok(metadata) => self.add(Path::new(path), &metadata, true, 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.contains(['*', '?', '[']) => self.glob(path),
            Err(source) => self.errors.push(InputError::Unreachable { path: path.to_owned(), source }),
        }
    }

    fn bucket(&mut self, address: &str) {
        let listed = Objects::open(address).and_then(|objects| Ok((objects.list()?, objects)));
        match listed {
            Ok((found, _)) if found.is_empty() => {
                self.errors.push(InputError::NoMatch { pattern: address.to_owned() });
            }
            Ok((found, objects)) => self.objects(&objects, found),
            Err(error) => self.errors.push(error.into()),
        }
    }

    /// Adds objects that were listed.
    pub(crate) fn objects(&mut self, objects: &Objects, found: Vec<Object>) {
        for object in found {
            let n_bytes = object.n_bytes;
            let place = Place::Object(Listed { objects: objects.clone(), object });
            if self.found.iter().all(|input| input.place != place) {
                self.found.push(Input { place, is_named: false, n_bytes });
            }
        }
    }

    fn glob(&mut self, pattern: &str) {
        let matches = match glob::glob(pattern) {
            Ok(matches) => matches,
            Err(source) => {
                self.errors.push(InputError::BadPattern { pattern: pattern.to_owned(), source });
                return;
            }
        };
        let mut is_any = false;
        for found in matches {
            is_any = true;
            match found {
                Ok(path) => self.visit(&path, 0),
                Err(error) => self
                    .errors
                    .push(InputError::Unlistable { path: error.path().display().to_string(), source: error.into() }),
            }
        }
        if !is_any {
            self.errors.push(InputError::NoMatch { pattern: pattern.to_owned() });
        }
    }

    fn visit(&mut self, path: &Path, depth: usize) {
        match fs::metadata(path) {
            Ok(metadata) => self.add(path, &metadata, false, depth),
            Err(source) => self.errors.push(InputError::Unreachable { path: path.display().to_string(), source }),
        }
    }

    fn add(&mut self, path: &Path, metadata: &Metadata, is_named: bool, depth: usize) {
        let key = FileKey::of(metadata);
        if metadata.is_dir() {
            if self.directories.insert(key) {
                self.directory(path, depth);
            }
            return;
        }
        let place = match (metadata.is_file(), is_named) {
            (true, _) => Place::File(path.to_owned()),
            (false, true) => Place::Stream(path.to_owned()),
            // A socket or a pipe that lies in a directory is not a recording.
            (false, false) => return,
        };
        if self.files.insert(key) {
            self.found.push(Input { place, is_named, n_bytes: metadata.len() });
        }
    }

    fn directory(&mut self, path: &Path, depth: usize) {
        if depth >= MAX_DEPTH {
            self.errors.push(InputError::TooDeep { path: path.display().to_string() });
            return;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(source) => {
                self.errors.push(InputError::Unlistable { path: path.display().to_string(), source });
                return;
            }
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(source) => {
                    self.errors.push(InputError::Unlistable { path: path.display().to_string(), source });
                }
            }
        }
        paths.sort();
        for path in paths {
            self.visit(&path, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests;
