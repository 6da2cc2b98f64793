//! Delivery to a server that answers as a script says.

mod server;

use std::path::Path;

use hindcast_bpf_sensors::Origin;
use hindcast_model::tables::runtime_events;
use hindcast_model::{Batch, SourceKind, TableId};
use tokio::task::JoinHandle;

use super::*;
use crate::args::Access;
use crate::setup;
use server::{Answer, Scripted};

/// So many rows whose arguments are the number.
fn batch(number: usize, n_rows: usize) -> Batch {
    let mut builder = runtime_events::Builder::default();
    for _ in 0..n_rows {
        let row = builder.row();
        builder.time.set(row, 1);
        builder.recorded_at.set(row, 1);
        builder.source_kind.set(row, SourceKind::Sensor.as_str());
        builder.kind.set(row, "process_exec");
        builder.arguments.set(row, &number.to_string());
        builder.commit();
    }
    Batch { table: TableId::RuntimeEvents, records: builder.finish().unwrap() }
}

fn waiting(dir: &Path) -> Arc<Waiting> {
    let origin = Origin { cluster: String::new(), node: "n".to_owned(), source: "sensor/n".to_owned() };
    Arc::new(Waiting::open(dir, 1 << 20, origin, setup::clock()).unwrap())
}

struct Running {
    stop: CancellationToken,
    drop: CancellationToken,
    task: JoinHandle<()>,
}

fn deliver(waiting: &Arc<Waiting>, url: &str) -> Running {
    let (stop, drop) = (CancellationToken::new(), CancellationToken::new());
    let (door, _) = Door::lazy(url, &Access::default()).unwrap();
    let delivery = Delivery::new(Arc::clone(waiting), door, "sensor/n".to_owned());
    let delivery = Delivery { wait: Duration::from_millis(5), ..delivery };
    let task = tokio::spawn(delivery.run(stop.clone(), drop.clone()));
    Running { stop, drop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("it ends").unwrap();
        assert!(!self.drop.is_cancelled());
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it does not come about");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_arrive_in_order_and_leave_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::start(vec![]).await;
    let waiting = waiting(dir.path());
    waiting.spool(&(1..=9).map(|number| batch(number, number)).collect::<Vec<_>>());
    let running = deliver(&waiting, &server.url);
    until(|| waiting.status().waiting == 0).await;
    waiting.spool(&[batch(10, 1)]);
    running.stop().await;
    let mut taken = server.taken();
    taken.sort_by_key(|put| put.position);
    assert_eq!(taken.iter().map(|put| put.position).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    assert_eq!(taken.iter().map(|put| put.n_rows).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 1]);
    assert!(taken.iter().all(|put| put.source == "sensor/n" && put.table == "runtime_events"));
    assert_eq!(Account::read(&waiting.account.recorded), 46);
    assert_eq!(waiting.status().waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_is_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing came; all came and nobody said so; a part came; the server is full; it is of an older build.
    let script = vec![
        Answer::Refuse(Code::Unavailable),
        Answer::TakeAndFail,
        Answer::TakeHalf,
        Answer::Refuse(Code::ResourceExhausted),
        Answer::Refuse(Code::NotFound),
    ];
    let server = Scripted::start(script).await;
    let waiting = waiting(dir.path());
    waiting.spool(&[batch(1, 4)]);
    let running = deliver(&waiting, &server.url);
    until(|| waiting.status().waiting == 0).await;
    running.stop().await;
    assert_eq!(server.taken().iter().map(|put| put.position).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(server.n_asked(), 6);
    assert_eq!(Account::read(&waiting.account.lost), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_calls_invalid_is_lost_and_counted_and_the_rest_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::start(vec![Answer::Refuse(Code::InvalidArgument)]).await;
    let waiting = waiting(dir.path());
    waiting.spool(&[batch(1, 4)]);
    let running = deliver(&waiting, &server.url);
    until(|| waiting.status().waiting == 0).await;
    assert_eq!(Account::read(&waiting.account.lost), 4);
    waiting.tell_losses();
    running.stop().await;
    let taken = server.taken();
    assert_eq!(taken.iter().map(|put| (put.table.as_str(), put.n_rows)).collect::<Vec<_>>(), [("losses", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_without_a_server_leaves_all_in_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let waiting_now = waiting(dir.path());
    waiting_now.spool(&[batch(1, 4), batch(2, 4)]);
    let running = deliver(&waiting_now, "http://127.0.0.1:1");
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.stop().await;
    assert_eq!(waiting_now.status().waiting, 2);
    drop(waiting_now);
    assert_eq!(waiting(dir.path()).status().waiting, 2);
}

#[test]
fn a_batch_that_does_not_fit_is_counted_by_table() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin { cluster: String::new(), node: "n".to_owned(), source: "sensor/n".to_owned() };
    let waiting = Waiting::open(dir.path(), 64 << 10, origin, setup::clock()).unwrap();
    let texts: Vec<Batch> = (0..4000).map(|number| batch(number, 1)).collect();
    waiting.spool(&texts);
    let status = waiting.status();
    let lost = Account::read(&waiting.account.lost);
    assert!(lost > 0 && status.n_bytes <= 64 << 10, "{lost} lost, {status:?}");
    assert_eq!(Account::read(&waiting.account.spooled) + lost, 4000);
    assert_eq!(status.waiting + lost, 4000);
}
