//! What is said on stdout when everything is up: where, what is recorded, and why not where it is not.

use std::fmt::Write as _;
use std::net::SocketAddr;

use hindcast_bpf_sensors::Report;
use hindcast_bpf_sensors::capability::State;
use hindcast_storage::Store;

use super::{Recording, sources};
use crate::config::Settings;
use crate::human;

/// What there is to say.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Where data lie.
    pub(super) data: String,
    /// What they hold: table, rows, from when to when.
    pub(super) held: Vec<String>,
    /// What is recorded, one a line.
    pub(super) recording: Vec<String>,
    /// What is not, each with its reason.
    pub(super) not_recording: Vec<String>,
    /// Address of the HTTP door.
    pub(super) http: Option<SocketAddr>,
    /// Address of the gRPC door.
    pub(super) grpc: Option<SocketAddr>,
    /// Whether the doors speak TLS.
    pub(super) has_tls: bool,
    /// Whether the doors ask for a credential.
    pub(super) has_credential: bool,
}

impl Facts {
    /// What there is to say of a server about to be ready.
    pub(super) fn new(
        settings: &Settings,
        recording: Recording,
        store: &Store,
        (http, grpc): (SocketAddr, SocketAddr),
    ) -> Self {
        let mut facts = Self {
            data: place(&settings.storage, recording),
            held: held(store),
            recording: match recording {
                Recording::Nothing => Vec::new(),
                _ => vec![format!("what is pushed over Arrow Flight to {grpc}")],
            },
            not_recording: Vec::new(),
            http: Some(http),
            grpc: Some(grpc),
            has_tls: settings.web.tls.cert_file.is_some(),
            has_credential: settings.web.auth.token.is_some() || settings.web.auth.password.is_some(),
        };
        match recording {
            Recording::Nothing => {
                facts.not_recording.push("record anything: this is `serve --read-only`".to_owned());
            }
            Recording::Pushes => {
                facts.not_recording.push("record anything else: this is `serve`; `up` starts the sources".to_owned());
            }
            Recording::Sources { .. } => {
                let configured = sources::describe(&settings.ingest);
                if configured.is_empty() {
                    let text = "read files, buckets, Hubble or Tetragon: the configuration names none ([[ingest.follow]], \
                                [[ingest.bucket]], [[ingest.hubble]], [[ingest.tetragon]])";
                    facts.not_recording.push(text.to_owned());
                }
                facts.recording.extend(configured);
            }
        }
        facts
    }

    /// Adds what is seen of this host's kernel, `None` where nobody wants to, and of the cluster it belongs to.
    pub(super) fn watch(&mut self, sensors: Option<Result<&Report, &String>>, has_cluster: bool) {
        if has_cluster {
            self.recording
                .push("what the cluster's API says: pods, services, nodes, policies; names for this host".to_owned());
        }
        match sensors {
            Some(Ok(report)) => {
                let is_seen = |state: &State| matches!(state, State::Available | State::Partial { .. });
                let seen = report.capabilities.iter().filter(|capability| is_seen(&capability.state));
                let seen: Vec<&str> = seen.map(|capability| capability.sensor.name()).collect();
                self.recording.push(format!("this host's kernel: {}", seen.join(", ")));
                for capability in &report.capabilities {
                    if let State::Missing { reason } | State::Partial { reason } = &capability.state {
                        self.not_recording.push(format!("see all {} of this host: {reason}", capability.sensor.name()));
                    }
                }
            }
            Some(Err(reason)) => self.not_recording.push(format!("watch this host's kernel: {reason}")),
            None => self.not_recording.push("watch this host's kernel: it was told not to".to_owned()),
        }
    }
}

/// Where data lie.
fn place(storage: &hindcast_storage::Config, recording: Recording) -> String {
    let lake = format!("the lake in {}", storage.segments_url);
    match recording {
        Recording::Nothing if storage.lake.is_on() => lake,
        Recording::Nothing => {
            format!("ClickHouse at {}, database {}", storage.clickhouse.url, storage.clickhouse.database)
        }
        _ if storage.lake.is_on() => {
            format!("{}, published as {} in {lake}", storage.data_dir.display(), storage.lake.recorder)
        }
        _ => storage.data_dir.display().to_string(),
    }
}

/// What the store holds, one line a table that has rows.
fn held(store: &Store) -> Vec<String> {
    let tables = store.status().tables;
    let lines = tables.iter().filter_map(|table| {
        let n_rows = table.stats.n_rows();
        let (from, to) = table.held?;
        Some(format!("{} {} from {} to {}", human::count(n_rows), table.table, human::time(from), human::time(to)))
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { vec!["nothing yet".to_owned()] } else { lines }
}

/// The announcement.
pub(super) fn text(facts: &Facts) -> String {
    let mut text = format!("hindcast {}\n", env!("CARGO_PKG_VERSION"));
    line(&mut text, "data", &facts.data);
    lines(&mut text, "holds", &facts.held);
    lines(&mut text, "records", &facts.recording);
    lines(&mut text, "does not", &facts.not_recording);
    let scheme = if facts.has_tls { "https" } else { "http" };
    if let Some(http) = facts.http {
        line(&mut text, "web", &format!("{scheme}://{http}"));
    }
    if let Some(grpc) = facts.grpc {
        let tls = if facts.has_tls { " --tls" } else { "" };
        line(&mut text, "grpc", &format!("{grpc}    hubble{tls} --server {grpc} observe"));
    }
    let access = match (facts.has_tls, facts.has_credential) {
        (true, true) => "TLS, with a credential",
        (true, false) => "TLS, without a credential: this machine only",
        (false, true) => "a credential, without TLS: this machine only",
        (false, false) => "open to everyone on this machine, to nobody else",
    };
    line(&mut text, "access", access);
    text.push_str("ready\n");
    text
}

fn lines(text: &mut String, name: &str, values: &[String]) {
    for (position, value) in values.iter().enumerate() {
        line(text, if position == 0 { name } else { "" }, value);
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _infallible = writeln!(text, "  {name:<9} {value}");
}
