//! The wire between a recorder and ClickHouse, which can be cut, slowed down, or lose the answer to what arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Bytes that are moved at once.
const CHUNK: usize = 16 << 10;

/// What becomes of bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They arrive.
    Pass,
    /// Connections are ended, and new ones at once.
    Cut,
    /// Each chunk arrives that much later.
    Delay(Duration),
    /// That many bytes arrive a second, and no more.
    Throttle(u64),
    /// Requests arrive; their answers do not, and the connection ends instead.
    DropAnswer,
}

#[derive(Debug)]
struct State {
    mode: Mutex<Mode>,
    n_dropped: AtomicU64,
}

/// A wire to one port.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

impl Proxy {
    /// Listens on a free port and hands on to that one. Ends with the runtime.
    pub(crate) async fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State { mode: Mutex::new(Mode::Pass), n_dropped: AtomicU64::new(0) });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *shared.mode.lock() == Mode::Cut {
                    continue;
                }
                // Nobody there is for the client to find out.
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { continue };
                let (from_client, to_client) = near.into_split();
                let (from_server, to_server) = far.into_split();
                let (there, back) = (Arc::clone(&shared), Arc::clone(&shared));
                tokio::spawn(async move {
                    // Whichever way ends first ends both.
                    tokio::select! {
                        () = carry(from_client, to_server, &there, false) => {}
                        () = carry(from_server, to_client, &back, true) => {}
                    }
                });
            }
        });
        Ok(Self { port, state })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.state.mode.lock() = mode;
    }

    /// Answers that were dropped so far.
    pub(crate) fn n_dropped(&self) -> u64 {
        self.state.n_dropped.load(Ordering::Relaxed)
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, is_answer: bool) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let Ok(n_bytes) = read(&mut from, &mut chunk, state).await else { return };
        if n_bytes == 0 {
            return;
        }
        let mode = *state.mode.lock();
        match mode {
            Mode::Cut => return,
            Mode::DropAnswer if is_answer => {
                state.n_dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Mode::Pass | Mode::DropAnswer => {}
            Mode::Delay(time) => tokio::time::sleep(time).await,
            Mode::Throttle(rate) => {
                let n_bytes = u64::try_from(n_bytes).unwrap_or(u64::MAX);
                tokio::time::sleep(Duration::from_micros(n_bytes.saturating_mul(1_000_000) / rate.max(1))).await;
            }
        }
        let part = chunk.get(..n_bytes).unwrap_or_default();
        if to.write_all(part).await.is_err() {
            return;
        }
    }
}

/// Reads; an idle connection notices too that the wire was cut.
async fn read(from: &mut OwnedReadHalf, chunk: &mut [u8], state: &State) -> std::io::Result<usize> {
    loop {
        let done = tokio::time::timeout(Duration::from_millis(50), from.read(chunk)).await;
        if let Ok(done) = done {
            return done;
        }
        if *state.mode.lock() == Mode::Cut {
            return Ok(0);
        }
    }
}
