//! An S3 server of one's own: a real one, in a process that ends with the test; and a wire to it that fails.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt as _, PutPayload};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::OwnedMutexGuard;

use crate::pause;
use crate::repository::python;

const USER: &str = "reader";
const SECRET: &str = "a secret of the tests";
const BUCKET: &str = "flows";
static ALONE: LazyLock<Arc<tokio::sync::Mutex<()>>> = LazyLock::new(Arc::default);
/// How long it may take to come up.
const PATIENCE: u32 = 300;

/// A server with one empty bucket; killed when it goes out of scope.
#[derive(Debug)]
pub struct Bucket {
    /// Two servers at once get into each other's way: some of their ports cannot be chosen.
    _alone: OwnedMutexGuard<()>,
    child: Child,
    port: u16,
    client: AmazonS3,
}

impl Bucket {
    /// Starts a server on that folder; `None`, and noted as skipped, where there is none.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(test: &str, folder: &Path) -> Result<Option<Self>> {
        let Some(python) = python(test) else { return Ok(None) };
        let program = python.with_file_name("weed");
        let alone = Arc::clone(&ALONE).lock_owned().await;
        std::fs::create_dir_all(folder.join("data"))?;
        let config = folder.join("s3.json");
        let identity = serde_json::json!({ "identities": [{
            "name": USER,
            "credentials": [{ "accessKey": USER, "secretKey": SECRET }],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        std::fs::write(&config, identity.to_string())?;
        let (child, port) = spawn(&program, folder, &config)?;
        let client = AmazonS3Builder::new()
            .with_endpoint(format!("http://127.0.0.1:{port}"))
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id(USER)
            .with_secret_access_key(SECRET)
            .with_bucket_name(BUCKET)
            .build()?;
        let bucket = Self { _alone: alone, child, port, client };
        bucket.make().await?;
        Ok(Some(bucket))
    }

    /// Makes the bucket, as soon as the server answers.
    async fn make(&self) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/{BUCKET}", self.port);
        for _ in 0..PATIENCE {
            let made = Command::new("curl")
                .args(["-s", "-f", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &format!("{USER}:{SECRET}")])
                .args(["-X", "PUT", &url])
                .output()
                .context("cannot run curl")?;
            // A volume to write to comes up after the door does.
            if made.status.success() && self.put(".ready", b"1".to_vec()).await.is_ok() {
                return self.delete(".ready").await;
            }
            pause(Duration::from_millis(200));
        }
        bail!("the S3 server does not answer")
    }

    /// Writes an object, in place of another one of that name.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn put(&self, key: &str, content: Vec<u8>) -> Result<()> {
        self.client.put(&Key::from(key), PutPayload::from(content)).await?;
        Ok(())
    }

    /// Removes an object.
    ///
    /// # Errors
    /// The server does not do it.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.client.delete(&Key::from(key)).await?;
        Ok(())
    }

    /// Names of all objects.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn keys(&self) -> Result<Vec<String>> {
        use futures::TryStreamExt as _;
        use object_store::ObjectStore as _;
        let listed = self.client.list(None).try_collect::<Vec<_>>().await?;
        let mut keys: Vec<String> = listed.into_iter().map(|object| object.location.to_string()).collect();
        keys.sort();
        Ok(keys)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address of a folder in it.
    #[must_use]
    pub fn url(&self, folder: &str) -> String {
        format!("s3://{BUCKET}/{folder}")
    }

    /// What a program needs to read it, at that port.
    #[must_use]
    pub fn environment(port: u16) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", USER.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{port}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

fn spawn(program: &PathBuf, folder: &Path, config: &Path) -> Result<(Child, u16)> {
    // All held at once, so that they differ.
    let held: Vec<TcpListener> = (0..9).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<std::io::Result<_>>()?;
    let ports: Vec<u16> = held.iter().map(|held| Ok(held.local_addr()?.port())).collect::<Result<_>>()?;
    let names = [
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "s3.port.grpc",
        "metricsPort",
        "s3.port",
    ];
    let port = *ports.last().context("no port")?;
    drop(held);
    let log = std::fs::File::create(folder.join("log"))?;
    let child = Command::new(program)
        .arg("server")
        .arg(format!("-dir={}", folder.join("data").display()))
        .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.volumeSizeLimitMB=64"])
        .args(["-volume.max=50", "-filer", "-s3", "-s3.port.iceberg=0", "-s3.iam=false"])
        .arg(format!("-s3.config={}", config.display()))
        .args(names.iter().zip(&ports).map(|(name, port)| format!("-{name}={port}")))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    Ok((child, port))
}

/// A wire to a server that does what stores do on a bad day: refuses for now, or ends in the middle of an answer.
#[derive(Debug)]
pub struct BadWire {
    port: u16,
    n_refused: Arc<AtomicU64>,
    n_cut: Arc<AtomicU64>,
}

impl BadWire {
    /// Listens on a free port and hands on to that one, with what goes wrong drawn from a seed. Ends with the runtime.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(target: u16, seed: u64) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let wire = Self { port, n_refused: Arc::default(), n_cut: Arc::default() };
        let (refused, cut) = (Arc::clone(&wire.n_refused), Arc::clone(&wire.n_cut));
        let chance = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (kind, n_bytes) = {
                    let mut chance = chance.lock();
                    (chance.random_range(0..4), chance.random_range(200..400_000_usize))
                };
                let (refused, cut) = (Arc::clone(&refused), Arc::clone(&cut));
                tokio::spawn(async move {
                    if kind == 0 {
                        refused.fetch_add(1, Ordering::Relaxed);
                        refuse(near).await;
                    } else if carry(near, target, n_bytes).await {
                        cut.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Ok(wire)
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How often it refused, and how often it ended an answer in its middle.
    #[must_use]
    pub fn faults(&self) -> (u64, u64) {
        (self.n_refused.load(Ordering::Relaxed), self.n_cut.load(Ordering::Relaxed))
    }
}

/// Throttles whoever asks.
async fn refuse(mut near: TcpStream) {
    let mut request = [0; 4096];
    let text = "HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    if near.read(&mut request).await.is_ok_and(|n| n > 0) {
        // Nobody there is for the client to find out.
        drop(near.write_all(text.as_bytes()).await);
    }
}

/// Hands on until so many bytes of answers have passed; whether that came before the end.
async fn carry(near: TcpStream, target: u16, mut n_bytes: usize) -> bool {
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { return false };
    let (mut from_client, mut to_client) = near.into_split();
    let (mut from_server, mut to_server) = far.into_split();
    let asking = tokio::spawn(async move { drop(tokio::io::copy(&mut from_client, &mut to_server).await) });
    let mut chunk = vec![0; 16 << 10];
    let was_cut = loop {
        let Ok(n) = from_server.read(&mut chunk).await else { break false };
        if n == 0 {
            break false;
        }
        let passed = chunk.get(..n.min(n_bytes)).unwrap_or_default();
        if to_client.write_all(passed).await.is_err() {
            break false;
        }
        n_bytes -= passed.len();
        if n_bytes == 0 {
            break true;
        }
    };
    drop((to_client, from_server));
    // The other way ends when the client notices.
    drop(tokio::time::timeout(Duration::from_secs(1), asking).await);
    was_cut
}
