//! What the doors need to know before they open: addresses, limits, TLS and credentials.
//!
//! A door on loopback may be open to everyone on the machine. Anywhere else [`Config::validate`] insists on TLS and
//! on a credential, because what was recorded is what an attacker would like to know first.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::secret::Secret;

/// Where the doors listen, what they allow and what they ask for.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of REST, event streams and metrics. Default `127.0.0.1:7171`.
    pub http: SocketAddr,
    /// Address of gRPC and Flight. Default `127.0.0.1:4245`, where the `hubble` CLI looks.
    pub grpc: SocketAddr,
    /// Encryption of both doors. Needed on any address but loopback.
    pub tls: TlsConfig,
    /// Credentials asked for at both doors. Needed on any address but loopback.
    pub auth: AuthConfig,
    /// What one request may cost.
    pub limits: LimitsConfig,
    /// How long requests under way may take to end when the server stops. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 7171)),
            grpc: SocketAddr::from(([127, 0, 0, 1], 4245)),
            tls: TlsConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// Where the certificate and the key lie. Empty: no TLS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the server's certificate chain.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the server's private key.
    pub key_file: Option<PathBuf>,
    /// PEM file with the authorities that client certificates must come from. Empty: none asked for.
    pub client_ca_file: Option<PathBuf>,
}

/// Credentials. Either of them opens every door; both empty: no credential asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Bearer token, for programs: `authorization: Bearer …`.
    pub token: Option<Secret>,
    /// User name of basic auth, which the `hubble` CLI can send.
    pub user: Option<String>,
    /// Password of basic auth.
    pub password: Option<Secret>,
}

/// What requests may cost.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Queries under way at once, over both doors; one more is answered "busy". Default 16.
    pub concurrent_queries: usize,
    /// Clients that follow live events at once; one more is answered "busy". Default 64.
    pub concurrent_follows: usize,
    /// Bytes of a request body over HTTP. Default 1 MiB.
    pub body_bytes: usize,
    /// Time until a request must be read and its answer begun. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Rows of an answer when the request does not say. Default 100.
    pub default_rows: u64,
    /// Rows of an answer that a request over REST can ask for. Default 1 000 000.
    pub max_rows: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            concurrent_queries: 16,
            concurrent_follows: 64,
            body_bytes: 1024 * 1024,
            request_timeout: Duration::from_secs(30),
            default_rows: 100,
            max_rows: 1_000_000,
        }
    }
}

/// A configuration that cannot be served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The address can be reached from other machines and the door would not be encrypted.
    #[error(
        "{option} = {address} is not a loopback address: set web.tls.cert_file and web.tls.key_file, or listen on 127.0.0.1"
    )]
    NeedsTls {
        /// The option that holds the address.
        option: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The address can be reached from other machines and the door would ask for nothing.
    #[error(
        "{option} = {address} is not a loopback address: set web.auth.token, or web.auth.user and web.auth.password (the hubble CLI sends those), or listen on 127.0.0.1"
    )]
    NeedsCredential {
        /// The option that holds the address.
        option: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// One of two options that go together is missing.
    #[error("{present} is set but {missing} is not: they go together")]
    Half {
        /// The option that is set.
        present: &'static str,
        /// The option that is not.
        missing: &'static str,
    },
    /// An option that must not be empty or zero is.
    #[error("{option} must not be {value}")]
    Bad {
        /// The option.
        option: &'static str,
        /// What it must not be.
        value: &'static str,
    },
    /// Both doors on one address.
    #[error("web.http and web.grpc are both {address}: each needs its own port")]
    SameAddress {
        /// The address.
        address: SocketAddr,
    },
}

/// A configuration that may be served.
#[derive(Clone, Debug)]
pub struct ValidConfig {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) auth: AuthConfig,
    pub(crate) limits: LimitsConfig,
    pub(crate) shutdown_grace: Duration,
}

/// Where the PEM files lie.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
}

impl Config {
    /// The configuration, if it may be served; else everything that is wrong with it.
    ///
    /// # Errors
    /// All problems at once.
    pub fn validate(self) -> Result<ValidConfig, Vec<ConfigError>> {
        let mut problems = Vec::new();
        self.check_addresses(&mut problems);
        self.check_credentials(&mut problems);
        self.check_limits(&mut problems);
        let tls = match (&self.tls.cert_file, &self.tls.key_file) {
            (Some(cert), Some(key)) => {
                Some(TlsFiles { cert: cert.clone(), key: key.clone(), client_ca: self.tls.client_ca_file.clone() })
            }
            _ => None,
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(ValidConfig {
            http: self.http,
            grpc: self.grpc,
            tls,
            auth: self.auth,
            limits: self.limits,
            shutdown_grace: self.shutdown_grace,
        })
    }

    fn check_addresses(&self, problems: &mut Vec<ConfigError>) {
        let has_tls = self.tls.cert_file.is_some() && self.tls.key_file.is_some();
        let has_credential = self.auth.token.is_some() || (self.auth.user.is_some() && self.auth.password.is_some());
        for (option, address) in [("web.http", self.http), ("web.grpc", self.grpc)] {
            if address.ip().is_loopback() {
                continue;
            }
            if !has_tls {
                problems.push(ConfigError::NeedsTls { option, address });
            }
            if !has_credential {
                problems.push(ConfigError::NeedsCredential { option, address });
            }
        }
        if self.http == self.grpc && self.http.port() != 0 {
            problems.push(ConfigError::SameAddress { address: self.http });
        }
    }

    fn check_credentials(&self, problems: &mut Vec<ConfigError>) {
        let pairs = [
            (("web.tls.cert_file", self.tls.cert_file.is_some()), ("web.tls.key_file", self.tls.key_file.is_some())),
            (("web.auth.user", self.auth.user.is_some()), ("web.auth.password", self.auth.password.is_some())),
        ];
        for ((first, has_first), (second, has_second)) in pairs {
            if has_first && !has_second {
                problems.push(ConfigError::Half { present: first, missing: second });
            } else if has_second && !has_first {
                problems.push(ConfigError::Half { present: second, missing: first });
            }
        }
        if self.tls.client_ca_file.is_some() && self.tls.cert_file.is_none() {
            problems.push(ConfigError::Half { present: "web.tls.client_ca_file", missing: "web.tls.cert_file" });
        }
        if self.auth.user.as_deref().is_some_and(|user| user.is_empty() || user.contains(':')) {
            problems.push(ConfigError::Bad { option: "web.auth.user", value: "empty, nor hold a colon" });
        }
        let secrets = [("web.auth.token", &self.auth.token), ("web.auth.password", &self.auth.password)];
        for (option, secret) in secrets {
            if secret.as_ref().is_some_and(Secret::is_empty) {
                problems.push(ConfigError::Bad { option, value: "empty" });
            }
        }
    }

    fn check_limits(&self, problems: &mut Vec<ConfigError>) {
        let limits = &self.limits;
        let zeros = [
            ("web.limits.concurrent_queries", limits.concurrent_queries == 0),
            ("web.limits.concurrent_follows", limits.concurrent_follows == 0),
            ("web.limits.body_bytes", limits.body_bytes == 0),
            ("web.limits.request_timeout", limits.request_timeout.is_zero()),
            ("web.limits.default_rows", limits.default_rows == 0),
            ("web.limits.max_rows", limits.max_rows == 0),
        ];
        for (option, _) in zeros.into_iter().filter(|(_, is_zero)| *is_zero) {
            problems.push(ConfigError::Bad { option, value: "0" });
        }
    }
}

#[cfg(test)]
mod tests;
