//! The configuration: every part's own options under a section of its own, composed from defaults, a TOML file, the
//! environment and flags. Each later one wins. All problems of all sections are named at once, with the line, variable
//! or flag they come from.
//!
//! Variables are named after the option: `HINDCAST_WEB_LIMITS_MAX_ROWS` is `web.limits.max_rows`. A secret may be
//! given as the name of a file that holds it: `web.auth.token_file`.

pub mod known;
mod layers;
mod section;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use layers::{Node, Origin, Tree};

use crate::logging;

/// The annotated reference of every option with its default.
pub const REFERENCE: &str = include_str!("../../docs/config.toml");

/// Variables with the prefix that name no option of the configuration but are read elsewhere.
const OTHER_VARIABLES: &[&str] = &["HINDCAST_CONFIG", "HINDCAST_SERVER", "HINDCAST_TOKEN", "HINDCAST_SHARED"];

/// Options whose text must never be printed.
const SECRETS: &[&[&str]] = &[&["storage", "lake", "catalog"], &["web", "auth", "token"], &["web", "auth", "password"]];

/// Everything that can be set.
#[derive(Debug, Default)]
pub struct Settings {
    /// Section `[storage]`.
    pub storage: hindcast_storage::Config,
    /// Section `[ingest]`.
    pub ingest: hindcast_ingest::Config,
    /// Section `[sensors]`.
    pub sensors: hindcast_bpf_sensors::Config,
    /// Section `[kubernetes]`.
    pub kubernetes: hindcast_kubernetes::Config,
    /// Section `[query]`.
    pub query: hindcast_query::Config,
    /// Section `[web]`.
    pub web: hindcast_web_api::Config,
    /// Section `[log]`.
    pub log: logging::Config,
}

/// The sections, in the order of the reference.
pub const SECTIONS: &[&str] = &["storage", "ingest", "sensors", "kubernetes", "query", "web", "log"];

/// Where the settings come from.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// Options set by flags: the option, the flag's name, the value.
    pub flags: Vec<(&'static [&'static str], &'static str, String)>,
    /// Values for options that nobody else sets, in place of the default.
    pub fallbacks: Vec<(&'static [&'static str], &'static str)>,
}

/// The settings, and what is odd about the inputs without being wrong.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// For the log.
    pub warnings: Vec<String>,
}

/// Everything that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl std::fmt::Display for Problems {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let noun = if self.0.len() == 1 { "problem" } else { "problems" };
        write!(formatter, "the configuration has {} {noun}", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl Inputs {
    /// From the environment of this program and a file: the one given, or the one HINDCAST_CONFIG names.
    #[must_use]
    pub fn of_environment(file: Option<PathBuf>) -> Self {
        let named = || std::env::var_os("HINDCAST_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
        let file = file.or_else(named);
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("HINDCAST_"))
            .collect();
        Self { file, variables, ..Self::default() }
    }

    /// Sets an option by a flag, where the flag was given.
    pub fn flag(&mut self, option: &'static [&'static str], flag: &'static str, value: Option<impl ToString>) {
        self.flags.extend(value.map(|value| (option, flag, value.to_string())));
    }

    /// Sets an option that no file, variable or flag sets.
    pub fn fallback(&mut self, option: &'static [&'static str], value: &'static str) {
        self.fallbacks.push((option, value));
    }
}

/// Composes the settings.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(inputs: Inputs) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut tree = read_file(inputs.file.as_deref(), &mut problems);
    apply_variables(inputs.variables, &mut tree, &mut warnings);
    for (option, flag, value) in inputs.flags {
        layers::set(&mut tree, option, vec![toml::Value::String(value)], Origin::Flag(flag));
    }
    for (option, value) in inputs.fallbacks {
        if !layers::is_set(&tree, option) {
            layers::set(&mut tree, option, vec![toml::Value::String(value.to_owned())], Origin::Flag("default"));
        }
    }
    read_secrets(&mut tree, &mut problems);
    read_listed_secrets(&mut tree, &mut problems);
    let settings = Settings {
        storage: section::read("storage", &mut tree, &mut problems),
        ingest: section::read("ingest", &mut tree, &mut problems),
        sensors: section::read("sensors", &mut tree, &mut problems),
        kubernetes: section::read("kubernetes", &mut tree, &mut problems),
        query: section::read("query", &mut tree, &mut problems),
        web: section::read("web", &mut tree, &mut problems),
        log: section::read("log", &mut tree, &mut problems),
    };
    section::name_unknown(&tree, SECTIONS, &mut problems);
    settings.check(&mut problems);
    if problems.is_empty() { Ok(Loaded { settings, warnings }) } else { Err(Problems(problems)) }
}

fn read_file(file: Option<&Path>, problems: &mut Vec<String>) -> Tree {
    let Some(file) = file else { return Tree::new() };
    let name = file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("{name}: {error}"));
            return Tree::new();
        }
    };
    layers::of_file(&name, &text).unwrap_or_else(|errors| {
        problems.extend(errors);
        Tree::new()
    })
}

/// Every variable and the option it sets.
#[must_use]
pub fn variables() -> Vec<(String, Vec<&'static str>)> {
    fn of<T: DeserializeOwned>(section: &'static str, variables: &mut Vec<(String, Vec<&'static str>)>) {
        for leaf in known::leaves::<T>() {
            let mut path = vec![section];
            path.extend(leaf.into_iter().take_while(|name| *name != known::ELEMENT));
            let name = format!("HINDCAST_{}", path.join("_").to_uppercase());
            if !variables.iter().any(|(known, _)| *known == name) {
                variables.push((name, path));
            }
        }
    }
    let mut variables = Vec::new();
    of::<hindcast_storage::Config>("storage", &mut variables);
    of::<hindcast_ingest::Config>("ingest", &mut variables);
    of::<hindcast_bpf_sensors::Config>("sensors", &mut variables);
    of::<hindcast_kubernetes::Config>("kubernetes", &mut variables);
    of::<hindcast_query::Config>("query", &mut variables);
    of::<hindcast_web_api::Config>("web", &mut variables);
    of::<logging::Config>("log", &mut variables);
    variables.push(("HINDCAST_DATA_DIR".to_owned(), vec!["storage", "data_dir"]));
    variables.push(("HINDCAST_WEB_AUTH_TOKEN_FILE".to_owned(), vec!["web", "auth", "token_file"]));
    variables.push(("HINDCAST_WEB_AUTH_PASSWORD_FILE".to_owned(), vec!["web", "auth", "password_file"]));
    variables
}

fn apply_variables(given: Vec<(String, String)>, tree: &mut Tree, warnings: &mut Vec<String>) {
    let known = variables();
    let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
    for (name, value) in given {
        if let Some((_, path)) = known.iter().find(|(known, _)| *known == name) {
            layers::set(tree, path, layers::readings(&value), Origin::Variable(name));
        } else if !OTHER_VARIABLES.contains(&name.as_str()) && !is_kubernetes_link(&name) {
            let near = section::suggestion(&name, &names);
            let near = if near.starts_with("; did") { near } else { String::new() };
            warnings.push(format!("variable {name} names no option{near}"));
        }
    }
}

/// Kubernetes puts variables like `HINDCAST_SERVICE_HOST` into every pod beside a service named `hindcast`.
fn is_kubernetes_link(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
        || (name.contains("_PORT_") && ["_TCP", "_UDP", "_PROTO", "_ADDR"].iter().any(|part| name.contains(part)))
}

/// Puts the text of a secret in place of the name of its file.
fn read_secrets(tree: &mut Tree, problems: &mut Vec<String>) {
    for path in SECRETS {
        let Some((secret, parents)) = path.split_last() else { continue };
        let Some((values, origin)) = take(tree, parents, &format!("{secret}_file")) else { continue };
        let Some(file) = values.iter().rev().find_map(toml::Value::as_str) else {
            problems.push(format!("{origin}: {}_file is not a text", path.join(".")));
            continue;
        };
        match std::fs::read_to_string(file) {
            Ok(text) => {
                layers::set(tree, path, vec![toml::Value::String(text.trim_end().to_owned())], origin);
            }
            Err(error) => problems.push(format!("{origin}: {}_file = {file}: {error}", path.join("."))),
        }
    }
}

/// The same in the servers that `[[ingest.hubble]]` and `[[ingest.tetragon]]` name.
fn read_listed_secrets(tree: &mut Tree, problems: &mut Vec<String>) {
    let Some(Node::Table(ingest, _)) = tree.get_mut("ingest") else { return };
    for list in ["hubble", "tetragon"] {
        let Some(Node::Value(values, origin)) = ingest.get_mut(list) else { continue };
        let servers = values.iter_mut().filter_map(toml::Value::as_array_mut).flatten();
        for auth in servers.filter_map(|server| server.get_mut("connect")?.get_mut("auth")?.as_table_mut()) {
            for secret in ["password", "bearer_token"] {
                let Some(file) = auth.remove(&format!("{secret}_file")) else { continue };
                match std::fs::read_to_string(file.as_str().unwrap_or_default()) {
                    Ok(text) => {
                        auth.insert(secret.to_owned(), toml::Value::String(text.trim_end().to_owned()));
                    }
                    Err(error) => {
                        problems
                            .push(format!("{origin}: [[ingest.{list}]] connect.auth.{secret}_file = {file}: {error}"));
                    }
                }
            }
        }
    }
}

fn take(tree: &mut Tree, parents: &[&str], name: &str) -> Option<(Vec<toml::Value>, Origin)> {
    let Some((first, below)) = parents.split_first() else {
        return match tree.remove(name)? {
            Node::Value(values, origin) => Some((values, origin)),
            Node::Table(_, origin) => Some((Vec::new(), origin)),
        };
    };
    match tree.get_mut(*first)? {
        Node::Table(inner, _) => take(inner, below, name),
        Node::Value(..) => None,
    }
}

impl Settings {
    /// What the parts themselves find wrong with their options.
    fn check(&self, problems: &mut Vec<String>) {
        problems.extend(self.storage.problems().iter().map(ToString::to_string));
        problems.extend(self.log.problem());
        if let Err(errors) = self.ingest.clone().validate() {
            problems.extend(errors.iter().map(ToString::to_string));
        }
        if !self.storage.lake.is_on() && self.ingest.bucket.iter().any(|bucket| bucket.shared) {
            problems.push("ingest.bucket.shared shares with the recorders of storage.lake, and none is set".to_owned());
        }
        problems.extend(self.sensors.problems().into_iter().map(|problem| format!("sensors.{problem}")));
        problems.extend(self.kubernetes.problems().into_iter().map(|problem| format!("kubernetes.{problem}")));
        if let Err(errors) = self.web.clone().validate() {
            problems.extend(errors.iter().map(ToString::to_string));
        }
    }
}

#[cfg(test)]
mod tests;
