//! Which objects are watched, and where the API has them.

use kube::core::{ApiResource, GroupVersionKind};
use serde::{Deserialize, Serialize};

/// A kind of object that can be watched. In settings it has the name the cluster gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the cluster's own names say it")]
pub enum Kind {
    Pod,
    Service,
    EndpointSlice,
    Node,
    Namespace,
    ReplicaSet,
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
    NetworkPolicy,
    CiliumNetworkPolicy,
    CiliumClusterwideNetworkPolicy,
    AdminNetworkPolicy,
    BaselineAdminNetworkPolicy,
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 16] = [
        Self::Pod,
        Self::Service,
        Self::EndpointSlice,
        Self::Node,
        Self::Namespace,
        Self::ReplicaSet,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::CronJob,
        Self::NetworkPolicy,
        Self::CiliumNetworkPolicy,
        Self::CiliumClusterwideNetworkPolicy,
        Self::AdminNetworkPolicy,
        Self::BaselineAdminNetworkPolicy,
    ];

    /// Kinds that stand between a pod and the workload that owns it. Pods are listed once these are known.
    pub(crate) const BETWEEN: [Self; 2] = [Self::ReplicaSet, Self::Job];

    /// The name, as in a manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.path().2
    }

    /// Group, version, kind, and the plural that URLs have.
    const fn path(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::Node => ("", "v1", "Node", "nodes"),
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::ReplicaSet => ("apps", "v1", "ReplicaSet", "replicasets"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::DaemonSet => ("apps", "v1", "DaemonSet", "daemonsets"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::CronJob => ("batch", "v1", "CronJob", "cronjobs"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::CiliumNetworkPolicy => ("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies"),
            Self::CiliumClusterwideNetworkPolicy => {
                ("cilium.io", "v2", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies")
            }
            Self::AdminNetworkPolicy => {
                ("policy.networking.k8s.io", "v1alpha1", "AdminNetworkPolicy", "adminnetworkpolicies")
            }
            Self::BaselineAdminNetworkPolicy => {
                ("policy.networking.k8s.io", "v1alpha1", "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies")
            }
        }
    }

    /// Where the API has the objects.
    pub(crate) fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.path();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// The version of the API that objects are written in, as a manifest names it.
    pub(crate) fn api_version(self) -> String {
        let (group, version, ..) = self.path();
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// Whether names, labels and owners are all that is asked of the API.
    pub(crate) const fn is_metadata_only(self) -> bool {
        match self {
            Self::Namespace
            | Self::ReplicaSet
            | Self::Deployment
            | Self::StatefulSet
            | Self::DaemonSet
            | Self::Job
            | Self::CronJob => true,
            Self::Pod
            | Self::Service
            | Self::EndpointSlice
            | Self::Node
            | Self::NetworkPolicy
            | Self::CiliumNetworkPolicy
            | Self::CiliumClusterwideNetworkPolicy
            | Self::AdminNetworkPolicy
            | Self::BaselineAdminNetworkPolicy => false,
        }
    }

    /// Whether the objects go to the table of policies.
    pub(crate) const fn is_policy(self) -> bool {
        matches!(
            self,
            Self::NetworkPolicy
                | Self::CiliumNetworkPolicy
                | Self::CiliumClusterwideNetworkPolicy
                | Self::AdminNetworkPolicy
                | Self::BaselineAdminNetworkPolicy
        )
    }
}
