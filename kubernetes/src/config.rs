//! What an operator may set, with units, defaults and trade-offs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Kind;

/// Where a pod finds the token of its service account.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Whether a cluster is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Enabled {
    /// In a pod with a service account, and where a kubeconfig is named here.
    #[default]
    Auto,
    /// Always, also by what `KUBECONFIG` names.
    Always,
    /// Never.
    Never,
}

/// Settings of watching a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether a cluster is watched: `auto`, `always` or `never`.
    pub enabled: Enabled,
    /// Path of a kubeconfig; empty takes the service account of the pod, and outside of one what `KUBECONFIG` names.
    pub kubeconfig: PathBuf,
    /// Context of the kubeconfig; empty takes its current one.
    pub context: String,
    /// Name of the cluster in the column `cluster`; empty for none. The API does not know it, and it is the same as that of
    /// the sensors: whoever joins the two sets it once.
    #[serde(skip)]
    pub cluster: String,
    /// Kinds of objects that are watched. Without `ReplicaSet` and `Job`, a pod's workload is the one of these that
    /// controls it.
    pub kinds: Vec<Kind>,
    /// Only pods of this node are watched: for a sensor on each node, whose load on the API is then that of its own
    /// pods. Peers on other nodes stay nameless. Empty watches all.
    pub node: String,
    /// Objects that are remembered at most; more are not remembered and counted as lost.
    pub max_objects: usize,
    /// How long an object that is gone is remembered, for events that come late.
    #[serde(with = "humantime_serde")]
    pub history: Duration,
    /// Rows that wait for whoever takes them, at most; what comes on top is lost and counted.
    pub pending_rows: usize,
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// How long a row waits for others before it is handed over.
    #[serde(with = "humantime_serde")]
    pub flush_interval: Duration,
    /// How often the API is asked again for a kind it does not have, or that we may not see.
    #[serde(with = "humantime_serde")]
    pub absent_retry: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: Enabled::Auto,
            kubeconfig: PathBuf::new(),
            context: String::new(),
            cluster: String::new(),
            kinds: Kind::ALL.to_vec(),
            node: String::new(),
            max_objects: 200_000,
            history: Duration::from_secs(3600),
            pending_rows: 65_536,
            batch_rows: 4096,
            flush_interval: Duration::from_millis(500),
            absent_retry: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// Everything that is wrong with these settings, each with the name of the knob.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |is_right: bool, problem: &str| {
            if !is_right {
                problems.push(problem.to_owned());
            }
        };
        check(!self.kinds.is_empty(), "kinds must name at least one; enabled = \"never\" watches nothing");
        let mut kinds = self.kinds.clone();
        kinds.sort_unstable();
        kinds.dedup();
        check(kinds.len() == self.kinds.len(), "kinds must not name one twice");
        // The name becomes part of a selector, in which these would begin another condition.
        check(!self.node.contains([',', '=', '!']), "node must be the name of a node");
        check(self.max_objects > 0, "max_objects must not be 0");
        check(self.batch_rows > 0, "batch_rows must not be 0");
        check(self.pending_rows >= self.batch_rows, "pending_rows must not be less than batch_rows");
        check(self.flush_interval >= Duration::from_millis(10), "flush_interval must be at least 10ms");
        check(self.absent_retry >= Duration::from_secs(1), "absent_retry must be at least 1s");
        problems
    }

    /// Whether a cluster is to be watched, as things are around this process.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let is_there = |path: &Path| path.try_exists().unwrap_or(false);
        match self.enabled {
            Enabled::Always => true,
            Enabled::Never => false,
            // Not by KUBECONFIG alone: who has one at hand for a cluster far away did not ask for it to be recorded.
            Enabled::Auto => !self.kubeconfig.as_os_str().is_empty() || Self::has_service_account(is_there),
        }
    }

    /// Whether this process runs in a pod that may ask the API.
    pub(crate) fn has_service_account(is_there: impl Fn(&Path) -> bool) -> bool {
        std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() && is_there(Path::new(SERVICE_ACCOUNT_TOKEN))
    }
}

#[cfg(test)]
mod tests {
    //! Settings that contradict themselves are named.
    use super::{Config, Enabled};
    use crate::Kind;

    #[test]
    fn the_defaults_have_no_problem_and_each_mistake_is_named() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            kinds: vec![Kind::Pod, Kind::Pod],
            node: "a,b".to_owned(),
            max_objects: 0,
            batch_rows: 0,
            ..Config::default()
        };
        let problems = wrong.problems();
        for knob in ["kinds", "node", "max_objects", "batch_rows"] {
            assert!(problems.iter().any(|problem| problem.starts_with(knob)), "{knob}: {problems:?}");
        }
    }

    #[test]
    fn settings_are_read_by_name_and_unknown_ones_refused() {
        let read = |text| serde_json::from_str::<Config>(text);
        let config = read(r#"{"enabled":"always","kinds":["Pod","NetworkPolicy"],"history":"2h"}"#).unwrap();
        assert_eq!(config.kinds, [Kind::Pod, Kind::NetworkPolicy]);
        assert!(config.is_wanted());
        assert!(!Config { enabled: Enabled::Never, ..config }.is_wanted());
        assert!(Config { kubeconfig: "a".into(), ..Config::default() }.is_wanted());
        assert!(read(r#"{"kind":"Pod"}"#).is_err());
        assert!(read(r#"{"kinds":["pod"]}"#).is_err());
    }
}
