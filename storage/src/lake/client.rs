//! A connection to the shared catalogue.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_postgres::config::Host;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{LakeConfig, LakeError};

/// A connection. It ends when it is dropped.
pub(super) struct Lake {
    client: Client,
    /// Host and database, without a password.
    at: Arc<str>,
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lake").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Lake {
    /// Connects, within [`Lake::in_time`].
    pub(super) async fn connect(config: &LakeConfig) -> Result<Self, LakeError> {
        let mut postgres: tokio_postgres::Config = config.catalog.parse().map_err(LakeError::Address)?;
        if !config.password_file.as_os_str().is_empty() {
            let password = tokio::fs::read_to_string(&config.password_file).await;
            let failed = |source| LakeError::File { path: config.password_file.clone(), source };
            postgres.password(password.map_err(failed)?.trim_end());
        }
        postgres.application_name("hindcast").connect_timeout(config.timeout);
        let at: Arc<str> = place(&postgres).into();
        let failed = |source| LakeError::Server { action: "reach", at: at.to_string(), source };
        let (client, connection) = postgres.connect(tls(config).await?).await.map_err(failed)?;
        // Ends with the client; what went wrong is said to whoever asks next.
        let _detached = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the shared catalogue ended");
            }
        });
        Ok(Self { client, at })
    }

    /// Begins a transaction; dropped without a commit, nothing of it takes place.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_>, LakeError> {
        let failed = self.failed("begin to write");
        self.client.transaction().await.map_err(failed)
    }

    /// Rows of one question.
    pub(super) async fn query(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, LakeError> {
        self.client.query(statement, parameters).await.map_err(self.failed("read"))
    }

    /// Work on it, ended when it takes too long. Then the connection is of no use any more.
    pub(super) async fn in_time<T>(
        config: &LakeConfig,
        action: &'static str,
        work: impl Future<Output = Result<T, LakeError>>,
    ) -> Result<T, LakeError> {
        match tokio::time::timeout(config.timeout, work).await {
            Ok(done) => done,
            Err(_elapsed) => {
                let at = config.catalog.parse().map_or_else(|_bad| String::new(), |postgres| place(&postgres));
                Err(LakeError::Slow { action, at, waited: config.timeout })
            }
        }
    }

    /// What an error of a statement becomes.
    pub(super) fn failed(&self, action: &'static str) -> impl Fn(tokio_postgres::Error) -> LakeError + use<> {
        let at = Arc::clone(&self.at);
        move |source| LakeError::Server { action, at: at.to_string(), source }
    }
}

/// Host, port and database.
fn place(postgres: &tokio_postgres::Config) -> String {
    let host = match postgres.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = postgres.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}/{}", postgres.get_dbname().unwrap_or_default())
}

/// Encryption as the address asks for it, with the authorities that are named or else the usual ones.
async fn tls(config: &LakeConfig) -> Result<MakeRustlsConnect, LakeError> {
    let mut roots = rustls::RootCertStore::empty();
    if config.ca_file.as_os_str().is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    } else {
        let failed = |source| LakeError::File { path: config.ca_file.clone(), source };
        let text = tokio::fs::read(&config.ca_file).await.map_err(failed)?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| failed(std::io::Error::other(error)))?;
            roots.add(certificate).map_err(LakeError::Tls)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = builder.map_err(LakeError::Tls)?.with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(client))
}
