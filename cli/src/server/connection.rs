//! One HTTP/1.1 connection, plain or TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Where systems keep the certificates they trust.
const SYSTEM_BUNDLES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Whom to trust.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// No TLS.
    Plain,
    /// TLS, with these authorities.
    Tls(Arc<ClientConfig>),
}

impl Trust {
    pub(super) fn new(is_tls: bool, bundle: Option<&Path>) -> anyhow::Result<Self> {
        if !is_tls {
            return Ok(Self::Plain);
        }
        let bundle = match bundle {
            Some(bundle) => bundle.to_owned(),
            None => system_bundle()?,
        };
        let mut roots = RootCertStore::empty();
        let name = bundle.display();
        for certificate in
            CertificateDer::pem_file_iter(&bundle).map_err(|error| anyhow!("cannot read {name}: {error}"))?
        {
            let certificate = certificate.map_err(|error| anyhow!("{name} is no PEM file: {error}"))?;
            // A system's bundle may hold certificates that TLS libraries do not take; the others still count.
            let (_added, _ignored) = roots.add_parsable_certificates([certificate]);
        }
        if roots.is_empty() {
            bail!("{name} holds no certificate to trust");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self::Tls(Arc::new(config)))
    }
}

fn system_bundle() -> anyhow::Result<PathBuf> {
    let candidates = SYSTEM_BUNDLES.iter().map(PathBuf::from);
    candidates
        .into_iter()
        .find(|path| fs::metadata(path).is_ok())
        .context("this system has no bundle of trusted certificates: give one with --tls-ca FILE")
}

/// Sends one request on a connection of its own.
pub(super) async fn send(
    url: &Url,
    trust: &Trust,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Response<Incoming>> {
    let host = url.host_str().context("the URL names no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().context("the URL names no port")?;
    let connecting = TcpStream::connect((host.as_str(), port));
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_elapsed| anyhow!("no connection within {CONNECT_TIMEOUT:?}"))??;
    stream.set_nodelay(true)?;
    match trust {
        Trust::Plain => exchange(stream, request).await,
        Trust::Tls(config) => {
            let name = ServerName::try_from(host).context("the URL's host is no name of a server")?;
            let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.context("TLS failed")?;
            exchange(stream, request).await
        }
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The connection lives as long as its answer is read; its own errors show as errors of the answer's body.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender.send_request(request).await?)
}
