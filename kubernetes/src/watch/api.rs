//! A small API server for tests: lists in pages, watches as lines of JSON with bookmarks, versions, and whatever can go
//! wrong. It is as the API is documented and not the real one.
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Objects of a page, so that every list has several.
const PAGE: usize = 2;

#[derive(Debug, Default)]
struct Shared {
    version: u64,
    /// Changes up to this version are forgotten.
    compacted: u64,
    objects: BTreeMap<(String, String), Value>,
    log: Vec<(u64, String, &'static str, Value)>,
    refused: HashMap<String, u16>,
    /// Sent in the next watch of a kind, and then the connection breaks.
    garbage: HashMap<String, String>,
    requests: Vec<String>,
    /// A watch that comes over a connection still open ends at once.
    is_closed: bool,
}

#[derive(Debug)]
pub(super) struct Api {
    pub(super) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    /// Changes whenever something is to be sent; the second number when all connections are to break.
    wake: Arc<watch::Sender<(u64, u64)>>,
    stop: CancellationToken,
    served: Option<tokio::task::JoinHandle<()>>,
}

type Door = (Arc<Mutex<Shared>>, Arc<watch::Sender<(u64, u64)>>);

impl Api {
    pub(super) async fn start() -> Self {
        let mut api = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            shared: Arc::default(),
            wake: Arc::new(watch::Sender::new((0, 0))),
            stop: CancellationToken::new(),
            served: None,
        };
        api.open().await;
        api
    }

    /// Listens, after a stop where it listened before.
    pub(super) async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.stop = CancellationToken::new();
        self.shared.lock().is_closed = false;
        let stop = self.stop.clone();
        let router = Router::new().fallback(answer).with_state((Arc::clone(&self.shared), Arc::clone(&self.wake)));
        let serve = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        self.served = Some(tokio::spawn(async { serve.await.unwrap() }));
    }

    pub(super) async fn close(&mut self) {
        self.shared.lock().is_closed = true;
        self.stop.cancel();
        self.cut();
        self.served.take().unwrap().await.unwrap();
    }

    /// Breaks every watch that is open.
    pub(super) fn cut(&self) {
        self.wake.send_modify(|wake| wake.1 += 1);
    }

    pub(super) fn put(&self, plural: &str, object: Value) {
        self.change(plural, object, false);
    }

    pub(super) fn remove(&self, plural: &str, uid: &str) {
        let object = self.shared.lock().objects.get(&(plural.to_owned(), uid.to_owned())).cloned().unwrap();
        self.change(plural, object, true);
    }

    fn change(&self, plural: &str, mut object: Value, is_removed: bool) {
        let mut shared = self.shared.lock();
        shared.version += 1;
        let version = shared.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let key = (plural.to_owned(), object["metadata"]["name"].to_string());
        let key = (key.0, object["metadata"]["uid"].as_str().map_or(key.1, str::to_owned));
        let kind = if is_removed {
            shared.objects.remove(&key);
            "DELETED"
        } else if shared.objects.insert(key, object.clone()).is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        shared.log.push((version, plural.to_owned(), kind, object));
        drop(shared);
        self.wake.send_modify(|wake| wake.0 = version);
    }

    /// Forgets all changes: a watch from before is answered with 410.
    pub(super) fn compact(&self) {
        let mut shared = self.shared.lock();
        shared.version += 1;
        shared.compacted = shared.version;
        shared.log.clear();
    }

    pub(super) fn refuse(&self, plural: &str, status: u16) {
        self.shared.lock().refused.insert(plural.to_owned(), status);
    }

    pub(super) fn garble(&self, plural: &str, line: &str) {
        self.shared.lock().garbage.insert(plural.to_owned(), line.to_owned());
    }

    /// What was asked for a kind so far.
    pub(super) fn requests(&self, plural: &str) -> Vec<String> {
        let part = format!("/{plural}?");
        self.shared.lock().requests.iter().filter(|request| request.contains(&part)).cloned().collect()
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "refused",
        "reason": reason, "code": code})
}

async fn answer(
    State((shared, wake)): State<Door>,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let plural = uri.path().rsplit('/').next().unwrap().to_owned();
    shared.lock().requests.push(uri.to_string());
    if let Some(code) = shared.lock().refused.get(&plural) {
        let reason = if *code == 404 { "NotFound" } else { "Forbidden" };
        let body = status(*code, reason).to_string();
        return (StatusCode::from_u16(*code).unwrap(), [("content-type", "application/json")], body).into_response();
    }
    let is_partial = headers.get("accept").is_some_and(|it| it.to_str().unwrap().contains("PartialObjectMetadata"));
    let wanted = query.get("fieldSelector").and_then(|it| it.strip_prefix("spec.nodeName=")).map(str::to_owned);
    let fits = move |object: &Value| wanted.as_deref().is_none_or(|node| object["spec"]["nodeName"] == json!(node));
    let shown = move |object: &Value| {
        if is_partial {
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
        } else {
            object.clone()
        }
    };
    if query.get("watch").is_some_and(|it| it == "true" || it == "1") {
        let from = query.get("resourceVersion").unwrap().parse().unwrap();
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(send_changes((shared, wake), plural, from, sender, fits, shown));
        return ([("content-type", "application/json")], Body::from_stream(ReceiverStream::new(receiver)))
            .into_response();
    }
    let shared = shared.lock();
    let skip: usize = query.get("continue").map_or(0, |it| it.parse().unwrap());
    let all: Vec<Value> = shared
        .objects
        .iter()
        .filter(|((other, _), object)| *other == plural && fits(object))
        .map(|(_, object)| shown(object))
        .collect();
    let page: Vec<&Value> = all.iter().skip(skip).take(PAGE).collect();
    let more = if skip + page.len() < all.len() { json!((skip + page.len()).to_string()) } else { json!("") };
    let body = json!({"kind": "List", "apiVersion": "v1", "items": page,
        "metadata": {"resourceVersion": shared.version.to_string(), "continue": more}});
    ([("content-type", "application/json")], body.to_string()).into_response()
}

type Line = Result<Bytes, std::io::Error>;

/// Sends changes after a version as they happen, until the connection is to break.
async fn send_changes(
    (shared, wake): Door,
    plural: String,
    mut from: u64,
    sender: mpsc::Sender<Line>,
    fits: impl Fn(&Value) -> bool + Send + 'static,
    shown: impl Fn(&Value) -> Value + Send + 'static,
) {
    let mut wake = wake.subscribe();
    let first_cut = wake.borrow_and_update().1;
    let broken = || std::io::Error::other("cut");
    loop {
        if shared.lock().is_closed {
            let _sent = sender.send(Err(broken())).await;
            return;
        }
        let (mut lines, is_over) = {
            let mut shared = shared.lock();
            let garbage = shared.garbage.remove(&plural);
            let mut lines: Vec<String> = garbage.iter().cloned().collect();
            let is_gone = from < shared.compacted;
            if is_gone {
                lines.push(json!({"type": "ERROR", "object": status(410, "Expired")}).to_string());
            }
            let news = shared.log.iter().filter(|(version, other, ..)| *version > from && *other == plural && !is_gone);
            for (_, _, kind, object) in news.filter(|(.., object)| fits(object)) {
                lines.push(json!({"type": kind, "object": shown(object)}).to_string());
            }
            from = shared.version;
            lines.push(
                json!({"type": "BOOKMARK", "object": {"kind": "Pod", "apiVersion": "v1",
                    "metadata": {"resourceVersion": from.to_string()}}})
                .to_string(),
            );
            (lines, garbage.is_some() || is_gone)
        };
        if is_over {
            lines.truncate(1);
        }
        for line in lines {
            // In two pieces: a line may come in several.
            let (one, two) = line.split_at(line.len() / 2);
            for piece in [one.to_owned(), format!("{two}\n")] {
                if sender.send(Ok(Bytes::from(piece))).await.is_err() {
                    return;
                }
            }
        }
        if is_over {
            return;
        }
        tokio::select! {
            () = sender.closed() => return,
            changed = wake.changed() => if changed.is_err() { return },
        }
        if wake.borrow_and_update().1 != first_cut {
            // The other side may be gone already.
            let _sent = sender.send(Err(broken())).await;
            return;
        }
    }
}
