//! The two doors: opened together, closed together.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::auth::Auth;
use crate::config::ValidConfig;
use crate::doors::{Doors, Parts};
use crate::tls::{Tls, TlsError};
use crate::{grpc, rest};

/// How long a client may take to send the headers of a request, or to finish a TLS handshake.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How often an idle HTTP/2 connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Streams of one connection at once.
const MAX_STREAMS: u32 = 256;

/// Doors that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An address is taken or not ours.
    #[error("{option}: cannot listen on {address}")]
    Listen {
        /// The option that holds the address.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(TlsError),
}

/// A door that failed while it was open.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The HTTP door.
    #[error("the HTTP door failed")]
    Http(#[source] std::io::Error),
    /// The gRPC door.
    #[error("the gRPC door failed")]
    Grpc(#[source] tonic::transport::Error),
    /// The descriptions of the gRPC services cannot be read.
    #[error("the gRPC services cannot be described")]
    Describe(#[source] tonic_reflection::server::Error),
}

/// Both doors, listening; nobody is let in before [`Server::run`].
#[derive(Debug)]
pub struct Server {
    doors: Arc<Doors>,
    http: TcpListener,
    http_addr: SocketAddr,
    grpc: TcpListener,
    grpc_addr: SocketAddr,
    tls: Option<Tls>,
    grace: Duration,
}

impl Server {
    /// Takes both addresses and reads the certificates.
    ///
    /// # Errors
    /// An address is taken, or a certificate cannot be used.
    pub fn open(config: ValidConfig, parts: Parts) -> Result<Self, OpenError> {
        let tls = config.tls.as_ref().map(Tls::read).transpose().map_err(OpenError::Tls)?;
        let (http, http_addr) = listen("web.http", config.http)?;
        let (grpc, grpc_addr) = listen("web.grpc", config.grpc)?;
        let auth = Auth::new(&config.auth);
        let doors = Arc::new(Doors::new(parts, auth, config.limits, tls.is_some()));
        Ok(Self { doors, http, http_addr, grpc, grpc_addr, tls, grace: config.shutdown_grace })
    }

    /// Where REST listens: the port that the system chose where 0 was asked for.
    #[must_use]
    pub const fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where gRPC listens.
    #[must_use]
    pub const fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Serves until `stop` is cancelled; then lets requests under way end, for as long as the grace allows.
    ///
    /// # Errors
    /// A door failed; the other is closed too.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServeError> {
        let Self { doors, http, http_addr, grpc, tls, grace, .. } = self;
        let stopping = doors.stopping.clone();
        let watch = async {
            stop.cancelled().await;
            doors.set_unready();
            stopping.cancel();
        };
        let http_tls = tls.as_ref().map(|tls| Arc::clone(&tls.http));
        let http = serve_http(Arc::clone(&doors), http, http_addr, http_tls, grace);
        let grpc = serve_grpc(Arc::clone(&doors), grpc, tls.map(|tls| tls.grpc), grace);
        let http = stop_others(http, &stop);
        let grpc = stop_others(grpc, &stop);
        let ((), http, grpc) = tokio::join!(watch, http, grpc);
        http.and(grpc)
    }
}

/// When one door ends by itself, so does all.
async fn stop_others(
    door: impl Future<Output = Result<(), ServeError>>,
    stop: &CancellationToken,
) -> Result<(), ServeError> {
    let ended = door.await;
    stop.cancel();
    ended
}

fn listen(option: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), OpenError> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    open().map_err(|source| OpenError::Listen { option, address, source })
}

async fn serve_http(
    doors: Arc<Doors>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    grace: Duration,
) -> Result<(), ServeError> {
    let handle = axum_server::Handle::new();
    let stopping = doors.stopping.clone();
    let app = rest::router(doors, address).into_make_service();
    let closer = handle.clone();
    let close = async move {
        stopping.cancelled().await;
        closer.graceful_shutdown(Some(grace));
    };
    macro_rules! serve {
        ($server:expr) => {{
            let mut server = $server.map_err(ServeError::Http)?.handle(handle).first_request_timeout(HEADER_TIMEOUT);
            server.http_builder().http1().header_read_timeout(HEADER_TIMEOUT);
            server.http_builder().http2().max_concurrent_streams(MAX_STREAMS).keep_alive_interval(KEEPALIVE);
            tokio::select! {
                // The door closes by the handle; what closes it never ends before.
                served = server.serve(app) => served,
                () = async { close.await; std::future::pending().await } => Ok(()),
            }
        }};
    }
    let served = match tls {
        None => serve!(axum_server::from_tcp(listener)),
        Some(config) => serve!(axum_server::tls_rustls::from_tcp_rustls(listener, RustlsConfig::from_config(config))),
    };
    served.map_err(ServeError::Http)
}

async fn serve_grpc(
    doors: Arc<Doors>,
    listener: TcpListener,
    tls: Option<tonic::transport::ServerTlsConfig>,
    grace: Duration,
) -> Result<(), ServeError> {
    let stopping = doors.stopping.clone();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(ServeError::Http)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut server = tonic::transport::Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(HEADER_TIMEOUT));
    if let Some(tls) = tls {
        server = server.tls_config(tls).map_err(ServeError::Grpc)?;
    }
    let mut server = server.layer(grpc::Admission::new(Arc::clone(&doors)));
    let router = server.add_routes(grpc::routes(doors).await.map_err(ServeError::Describe)?);
    let asked = stopping.clone();
    let serve = router.serve_with_incoming_shutdown(incoming, async move { asked.cancelled().await });
    let too_late = async {
        stopping.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        served = serve => served.map_err(ServeError::Grpc),
        // Connections that outlast the grace are closed with their streams.
        () = too_late => Ok(()),
    }
}
