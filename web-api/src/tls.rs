//! Certificates and keys, read once when the doors open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::config::TlsFiles;

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no PEM of the kind that is needed.
    #[error("{path} holds no usable {what}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is needed.
        what: &'static str,
        /// Why not.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate and the key do not go together, or are of a kind that is not spoken.
    #[error("the certificate in {path} cannot be used")]
    Use {
        /// The certificate file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// The authorities for client certificates cannot be used.
    #[error("the authorities in {path} cannot be used")]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
}

/// TLS for both doors.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// For HTTP: HTTP/2 and HTTP/1.1.
    pub(crate) http: Arc<ServerConfig>,
    /// For gRPC: HTTP/2 only, which grpc-go insists to see in ALPN.
    pub(crate) grpc: ServerTlsConfig,
}

impl Tls {
    /// Reads and checks the files.
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        // Only the first call in a process installs a provider; a second one finds the same.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let certs = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| pem(&files.key, "private key", source))?;
        let builder = ServerConfig::builder();
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = rustls::RootCertStore::empty();
                let (_n_added, _n_ignored) = roots.add_parsable_certificates(certificates(path)?);
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
                let verifier = verifier.build().map_err(|source| TlsError::ClientCa { path: path.clone(), source })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut http = builder
            .with_single_cert(certs, key)
            .map_err(|source| TlsError::Use { path: files.cert.clone(), source })?;
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];

        let mut grpc = ServerTlsConfig::new().identity(Identity::from_pem(read(&files.cert)?, read(&files.key)?));
        if let Some(path) = &files.client_ca {
            grpc = grpc.client_ca_root(Certificate::from_pem(read(path)?));
        }
        Ok(Self { http: Arc::new(http), grpc })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certs = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certs {
        Ok(certs) if certs.is_empty() => Err(pem(path, "certificate", rustls::pki_types::pem::Error::NoItemsFound)),
        Ok(certs) => Ok(certs),
        Err(source) => Err(pem(path, "certificate", source)),
    }
}

fn pem(path: &Path, what: &'static str, source: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Pem { path: path.to_owned(), what, source }
}
