//! The task that owns the way into the store.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::append::append;
use super::{Job, Shared};

/// Takes jobs until the pipeline is stopped and nothing waits any more.
pub(super) async fn run(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Job>) {
    let mut put_off = None;
    loop {
        let first = match put_off.take() {
            Some(job) => job,
            None => tokio::select! {
                // Receiving is cancel safe. Jobs first: what was submitted before the end is recorded.
                biased;
                job = waiting.recv() => match job {
                    Some(job) => job,
                    None => return,
                },
                () = shared.stop.cancelled() => {
                    waiting.close();
                    match waiting.recv().await {
                        Some(job) => job,
                        None => return,
                    }
                }
            },
        };
        let mut n_rows = first.n_rows();
        let mut jobs = vec![first];
        while n_rows < shared.config.max_append_rows
            && let Ok(job) = waiting.try_recv()
        {
            if n_rows + job.n_rows() > shared.config.max_append_rows {
                put_off = Some(job);
                break;
            }
            n_rows += job.n_rows();
            jobs.push(job);
        }
        settle(&shared, jobs).await;
    }
}

/// Appends jobs together; if they are refused together, one by one, so that each answers for itself.
async fn settle(shared: &Arc<Shared>, jobs: Vec<Job>) {
    let is_alone = jobs.len() == 1;
    let Err((error, jobs)) = append(shared, jobs).await else { return };
    if is_alone || error.may_pass_later() {
        for job in jobs {
            let _gone = job.reply.send(Err(error.clone()));
        }
        return;
    }
    for job in jobs {
        if let Err((error, jobs)) = append(shared, vec![job]).await {
            for job in jobs {
                let _gone = job.reply.send(Err(error.clone()));
            }
        }
    }
}
