//! The watch against an API server that behaves, goes away, forgets, refuses and talks nonsense.
use std::sync::Arc;
use std::time::Duration;

use hindcast_model::tables::losses;
use hindcast_model::{Batch, ManualClock, TableId, Timestamp};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::api::Api;
use super::{ConnectError, Standing, Standings, Watch};
use crate::{Config, Directory, Kind};

const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    directory: Arc<Directory>,
    clock: Arc<ManualClock>,
    standings: watch::Receiver<Standings>,
    batches: mpsc::Receiver<Batch>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_nanos((1_767_323_045 + second) * 1_000_000_000)
}

fn kubeconfig(server: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: one\nclusters:\n- name: c\n  cluster:\n    server: {server}\n{more}\
         contexts:\n- name: one\n  context: {{cluster: c, user: u}}\nusers:\n- name: u\n  user: {{token: t}}\n"
    )
}

impl Running {
    async fn start(api: &Api, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, kubeconfig(&format!("http://{}", api.address), "")).unwrap();
        let config = Config { kubeconfig: path, flush_interval: Duration::from_millis(10), ..config };
        let directory = Arc::new(Directory::new(&config));
        let clock = Arc::new(ManualClock::new(second(10)));
        let watch = Watch::connect(config, Arc::clone(&directory), Arc::clone(&clock) as _).await.unwrap();
        let standings = watch.standings();
        let (sink, batches) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let task = tokio::spawn(watch.run(sink, stop.clone()));
        Self { directory, clock, standings, batches, stop, task, _folder: folder }
    }

    async fn until_stands(&mut self, kind: Kind, standing: Standing) {
        let stands = self.standings.wait_for(|standings| standings.get(&kind) == Some(&standing));
        let found = tokio::time::timeout(PATIENCE, stands).await.map(|it| it.map(|_| ()));
        assert!(matches!(found, Ok(Ok(()))), "{kind:?} is not {standing:?}: {:?}", self.standings.borrow());
    }

    async fn until(&self, what: &str, holds: impl Fn(&Directory) -> bool + Send + Sync) {
        let polled = async {
            while !holds(&self.directory) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, polled).await.is_ok(), "{what}: {:?}", self.directory.counts());
    }

    /// Stops; everything that was handed over.
    async fn stop(mut self) -> Vec<Batch> {
        self.stop.cancel();
        let mut batches = Vec::new();
        while let Some(batch) = self.batches.recv().await {
            batches.push(batch);
        }
        self.task.await.unwrap();
        batches
    }
}

fn object(uid: &str, owner: Option<(&str, &str, &str)>) -> Value {
    let owners: Vec<Value> = owner
        .iter()
        .map(
            |(uid, kind, name)| json!({"uid": uid, "kind": kind, "name": name, "apiVersion": "v1", "controller": true}),
        )
        .collect();
    json!({"metadata": {"uid": uid, "name": uid, "namespace": "shop", "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"app": "web"}, "ownerReferences": owners}})
}

fn pod(uid: &str, address: &str) -> Value {
    let mut tree = object(uid, Some(("r", "ReplicaSet", "web-1")));
    tree["spec"] = json!({"nodeName": "n1"});
    tree["status"] = json!({"phase": "Running", "podIP": address, "startTime": "2026-01-02T03:04:06Z"});
    tree
}

fn has(directory: &Directory, address: &str, pod: &str, at: i64) -> bool {
    directory.workload_of(address.parse().unwrap(), second(at)).is_some_and(|fact| &*fact.name == pod)
}

fn n_rows(batches: &[Batch], table: TableId) -> usize {
    batches.iter().filter(|batch| batch.table == table).map(Batch::n_rows).sum()
}

/// Reasons and counts of all losses.
fn lost(batches: &[Batch]) -> Vec<(String, u64)> {
    let mut lost = Vec::new();
    for batch in batches.iter().filter(|batch| batch.table == TableId::Losses) {
        let view = losses::View::new(&batch.records).unwrap();
        for row in 0..view.n_rows() {
            lost.push((view.reason.get(row).unwrap().to_owned(), view.count.get(row).unwrap()));
        }
    }
    lost.sort();
    lost
}

#[tokio::test]
async fn lists_and_changes_are_followed() {
    let api = Api::start().await;
    for uid in ["a", "b", "c", "d", "e"] {
        api.put("pods", pod(uid, &format!("10.0.0.{}", uid.as_bytes()[0])));
    }
    api.put("replicasets", object("r", Some(("d", "Deployment", "web"))));
    api.put("networkpolicies", object("p", None));
    let mut running = Running::start(&api, Config::default()).await;
    for kind in Kind::ALL {
        running.until_stands(kind, Standing::Watched).await;
    }
    assert_eq!(running.directory.counts().objects, 7);
    let first = running.directory.workload_of("10.0.0.97".parse().unwrap(), second(5)).unwrap();
    assert_eq!((first.workload.as_deref(), first.workload_kind.as_deref()), (Some("web"), Some("Deployment")));
    api.put("pods", pod("f", "10.0.1.1"));
    running.until("the new pod", |it| has(it, "10.0.1.1", "f", 9)).await;
    running.clock.set(second(20));
    api.remove("pods", "f");
    running.until("the deletion", |it| !has(it, "10.0.1.1", "f", 20)).await;
    assert!(has(&running.directory, "10.0.1.1", "f", 19));
    let asked = api.requests("pods");
    assert!(asked.iter().any(|it| it.contains("continue=2")) && asked.iter().any(|it| it.contains("watch=true")));
    let batches = running.stop().await;
    // Each pod with and without its address, and those of the deleted one once more.
    assert_eq!((n_rows(&batches, TableId::Workloads), n_rows(&batches, TableId::Policies)), (14, 1));
    assert_eq!(lost(&batches), []);
}

#[tokio::test]
async fn a_version_that_is_gone_leads_to_a_new_list_and_what_is_missing_there_is_closed() {
    let api = Api::start().await;
    api.put("pods", pod("a", "10.0.0.1"));
    api.put("pods", pod("b", "10.0.0.2"));
    let mut running = Running::start(&api, Config { kinds: vec![Kind::Pod], ..Config::default() }).await;
    running.until_stands(Kind::Pod, Standing::Watched).await;
    api.cut();
    api.remove("pods", "a");
    api.put("pods", pod("c", "10.0.0.3"));
    api.compact();
    running.clock.set(second(60));
    running.until("the new list", |it| it.counts().missed_deletions == 1).await;
    assert!(has(&running.directory, "10.0.0.1", "a", 59) && !has(&running.directory, "10.0.0.1", "a", 60));
    assert!(has(&running.directory, "10.0.0.3", "c", 60));
    running.until_stands(Kind::Pod, Standing::Watched).await;
    let batches = running.stop().await;
    assert_eq!(lost(&batches), [("missed_deletion".to_owned(), 1)]);
}

#[tokio::test]
async fn a_broken_connection_loses_nothing_while_the_version_is_known() {
    let api = Api::start().await;
    api.put("pods", pod("a", "10.0.0.1"));
    let mut running = Running::start(&api, Config { kinds: vec![Kind::Pod], ..Config::default() }).await;
    running.until_stands(Kind::Pod, Standing::Watched).await;
    api.cut();
    api.remove("pods", "a");
    api.put("pods", pod("b", "10.0.0.2"));
    running.until("the changes", |it| has(it, "10.0.0.2", "b", 10) && !has(it, "10.0.0.1", "a", 10)).await;
    let lists = api.requests("pods").iter().filter(|it| !it.contains("watch=true")).count();
    assert_eq!((lists, running.directory.counts().missed_deletions), (1, 0));
    running.stop().await;
}

#[tokio::test]
async fn a_server_may_be_away_at_the_start_and_later() {
    let mut api = Api::start().await;
    api.put("pods", pod("a", "10.0.0.1"));
    api.close().await;
    let mut running = Running::start(&api, Config { kinds: vec![Kind::Pod], ..Config::default() }).await;
    running.until_stands(Kind::Pod, Standing::Away).await;
    api.open().await;
    running.until_stands(Kind::Pod, Standing::Watched).await;
    assert!(has(&running.directory, "10.0.0.1", "a", 10));
    api.close().await;
    running.until_stands(Kind::Pod, Standing::Away).await;
    assert!(has(&running.directory, "10.0.0.1", "a", 10), "what was known stays known");
    api.put("pods", pod("b", "10.0.0.2"));
    api.open().await;
    running.until("the change", |it| has(it, "10.0.0.2", "b", 10)).await;
    running.stop().await;
}

#[tokio::test]
async fn nonsense_is_counted_and_the_rest_is_kept() {
    let api = Api::start().await;
    api.put("pods", pod("a", "10.0.0.1"));
    api.put("pods", json!({"metadata": {"name": "nobody", "labels": 5}}));
    api.put("pods", pod("z", "10.0.0.9"));
    let mut running = Running::start(&api, Config { kinds: vec![Kind::Pod], ..Config::default() }).await;
    running.until_stands(Kind::Pod, Standing::Watched).await;
    assert!(has(&running.directory, "10.0.0.1", "a", 10) && has(&running.directory, "10.0.0.9", "z", 10));
    assert_eq!(running.directory.counts().malformed, 1);
    for line in [r#"{"type":"ADDED","object":{"metadata":"#, "\u{0}\u{1}", r#"{"type":"NEW","object":{}}"#, "[]"] {
        api.garble("pods", line);
        api.cut();
        let is_sent = |api: &Api| api.requests("pods").iter().filter(|it| it.contains("watch=true")).count();
        let before = is_sent(&api);
        running.until("the next watch", |_| is_sent(&api) > before).await;
    }
    api.put("pods", pod("b", "10.0.0.2"));
    running.until("the change", |it| has(it, "10.0.0.2", "b", 10)).await;
    let batches = running.stop().await;
    assert!(lost(&batches).iter().any(|(reason, _)| reason == "malformed_object"));
}

#[tokio::test]
async fn kinds_that_are_absent_or_forbidden_are_told_and_the_others_watched() {
    let api = Api::start().await;
    api.put("pods", pod("a", "10.0.0.1"));
    api.refuse("ciliumnetworkpolicies", 404);
    api.refuse("replicasets", 403);
    let mut running = Running::start(&api, Config { node: "n1".to_owned(), ..Config::default() }).await;
    running.until_stands(Kind::CiliumNetworkPolicy, Standing::Absent).await;
    running.until_stands(Kind::ReplicaSet, Standing::Forbidden).await;
    running.until_stands(Kind::Pod, Standing::Watched).await;
    let fact = running.directory.workload_of("10.0.0.1".parse().unwrap(), second(10)).unwrap();
    assert_eq!(fact.workload_kind.as_deref(), Some("ReplicaSet"), "what is above cannot be known");
    assert!(api.requests("pods").iter().all(|it| it.contains("fieldSelector=spec.nodeName%3Dn1")));
    assert!(!api.requests("nodes").iter().any(|it| it.contains("fieldSelector")));
    let batches = running.stop().await;
    assert_eq!(lost(&batches), [("forbidden".to_owned(), 1)]);
}

#[tokio::test]
async fn a_kubeconfig_with_certificates_makes_a_client_and_what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let connect = |path: std::path::PathBuf, context: &str| {
        let config = Config { kubeconfig: path, context: context.to_owned(), ..Config::default() };
        let directory = Arc::new(Directory::new(&config));
        Watch::connect(config, directory, Arc::new(ManualClock::default()))
    };
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, certified.cert.pem()).unwrap();
    let path = folder.path().join("config");
    let more = format!("    certificate-authority: {}\n", authority.display());
    std::fs::write(&path, kubeconfig("https://localhost:1", &more)).unwrap();
    assert!(connect(path.clone(), "").await.is_ok());
    let other = connect(path, "two").await.unwrap_err();
    assert!(matches!(other, ConnectError::Kubeconfig { .. }), "{other:?}");
    let absent = connect(folder.path().join("absent"), "").await.unwrap_err();
    assert!(absent.to_string().starts_with("cannot use the kubeconfig"), "{absent}");
    assert_eq!(absent.kind(), hindcast_model::Kind::Invalid);
}
