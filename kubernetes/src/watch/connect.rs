//! The way to a cluster: a kubeconfig, or the service account of the pod.

use std::path::PathBuf;

use hindcast_model::Kind as ErrorKind;
use kube::Client;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::Config;

/// There is no way to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// The path; that in `KUBECONFIG` where none is set.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KubeconfigError,
    },
    /// The service account of the pod cannot be used.
    #[error("cannot use the service account of this pod")]
    ServiceAccount(#[source] InClusterError),
    /// No client can be made of what was found.
    #[error("cannot make a client of the cluster's API")]
    Client(#[source] Box<kube::Error>),
}

impl ConnectError {
    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Kubeconfig { .. } | Self::ServiceAccount(_) | Self::Client(_) => ErrorKind::Invalid,
        }
    }
}

pub(super) async fn client(config: &Config) -> Result<Client, ConnectError> {
    let is_there = |path: &std::path::Path| path.try_exists().unwrap_or(false);
    let is_named = !config.kubeconfig.as_os_str().is_empty();
    let found = if !is_named && Config::has_service_account(is_there) {
        kube::Config::incluster().map_err(ConnectError::ServiceAccount)?
    } else {
        let path = if is_named {
            config.kubeconfig.clone()
        } else {
            std::env::var_os("KUBECONFIG").unwrap_or_default().into()
        };
        let refused = |source| ConnectError::Kubeconfig { path: path.clone(), source };
        let kubeconfig = if is_named { Kubeconfig::read_from(&path) } else { Kubeconfig::read() }.map_err(refused)?;
        let context = Some(config.context.clone()).filter(|name| !name.is_empty());
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(refused)?
    };
    Client::try_from(found).map_err(|error| ConnectError::Client(Box::new(error)))
}
