//! How a server is reached: address, TLS, credentials.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::config::ConfigError;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent connection is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A word that is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "Secret(empty)" } else { "Secret(***)" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Secret {
    /// Shows whether there is one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "***" })
    }
}

/// TLS towards a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Whether TLS is spoken.
    pub enabled: bool,
    /// PEM file of the authorities that may have signed the server's certificate.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our certificate, for servers that ask for one.
    pub cert_file: Option<PathBuf>,
    /// PEM file of its key.
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have; empty means the host of the address.
    pub server_name: String,
}

/// What we show to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// User name of basic authentication.
    pub username: String,
    /// Password of basic authentication.
    pub password: Secret,
    /// Bearer token.
    pub bearer_token: Secret,
}

impl AuthConfig {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn header(&self) -> Option<String> {
        if !self.bearer_token.0.is_empty() {
            return Some(format!("Bearer {}", self.bearer_token.0));
        }
        let pair = format!("{}:{}", self.username, self.password.0);
        (!self.is_empty()).then(|| format!("Basic {}", STANDARD.encode(pair)))
    }
}

/// A server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectConfig {
    /// `host:port`.
    pub address: String,
    /// TLS towards it.
    pub tls: TlsConfig,
    /// What we show to it. Only over TLS or to this machine.
    pub auth: AuthConfig,
}

impl ConnectConfig {
    fn uri(&self) -> String {
        format!("{}://{}", if self.tls.enabled { "https" } else { "http" }, self.address)
    }

    fn is_local(&self) -> bool {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn check(&self, field: &str, errors: &mut Vec<ConfigError>) {
        let mut wrong = |name: &str, problem: &str| errors.push(ConfigError::new(format!("{field}.{name}"), problem));
        let has_port = self.address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if !has_port || Endpoint::from_shared(self.uri()).is_err() {
            wrong("address", "must have the form host:port");
        }
        let tls = &self.tls;
        let has_tls_setting = tls.ca_file.is_some() || tls.cert_file.is_some() || !tls.server_name.is_empty();
        match (tls.enabled, &tls.ca_file) {
            (true, None) => wrong("tls.ca_file", "must name the authorities to trust when tls is enabled"),
            (false, _) if has_tls_setting => wrong("tls.enabled", "must be true where other tls settings are given"),
            _ => {}
        }
        if tls.cert_file.is_some() != tls.key_file.is_some() {
            wrong("tls.key_file", "certificate and key go together");
        }
        let auth = &self.auth;
        if !auth.bearer_token.0.is_empty() && !auth.username.is_empty() {
            wrong("auth", "is either a user name with a password or a bearer token");
        }
        if auth.username.is_empty() && !auth.password.0.is_empty() {
            wrong("auth.username", "is missing beside a password");
        }
        if !auth.is_empty() && !tls.enabled && !self.is_local() {
            wrong("auth", "would travel in the clear: enable tls");
        }
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Channel, Status> {
        let unavailable = |error: tonic::transport::Error| Status::from_error(Box::new(error));
        let mut endpoint = Endpoint::from_shared(self.uri())
            .map_err(unavailable)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        if self.tls.enabled {
            endpoint = endpoint.tls_config(self.tls_config().await?).map_err(unavailable)?;
        }
        endpoint.connect().await.map_err(unavailable)
    }

    async fn tls_config(&self) -> Result<ClientTlsConfig, Status> {
        let TlsConfig { ca_file, cert_file, key_file, server_name, .. } = &self.tls;
        let mut config = ClientTlsConfig::new();
        if let Some(path) = ca_file {
            config = config.ca_certificate(Certificate::from_pem(read(path).await?));
        }
        if let (Some(cert), Some(key)) = (cert_file, key_file) {
            // Read for every connection: certificates are renewed.
            config = config.identity(Identity::from_pem(read(cert).await?, read(key).await?));
        }
        if !server_name.is_empty() {
            config = config.domain_name(server_name);
        }
        Ok(config)
    }

    /// A request that shows what we have to show.
    pub(crate) fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if let Some(header) = self.auth.header() {
            let mut value: MetadataValue<Ascii> =
                header.parse().map_err(|_invalid| Status::unauthenticated("the credentials are no header value"))?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, Status> {
    tokio::fs::read(path)
        .await
        .map_err(|error| Status::failed_precondition(format!("cannot read {}: {error}", path.display())))
}
