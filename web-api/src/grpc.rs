//! The gRPC door: the services of Hubble and Tetragon as their clients expect them, health, reflection and Flight.

mod asked;
mod events;
mod flight;
mod get_flows;
mod held;
mod observer;
mod peer;
mod sensors;

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use hindcast_proto::observer::observer_server::ObserverServer;
use hindcast_proto::peer::peer_server::PeerServer;
use hindcast_proto::tetragon::fine_guidance_sensors_server::FineGuidanceSensorsServer;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tower::{Layer, Service};

use crate::doors::Doors;
use crate::render::Ending;

/// The name under which the `hubble` CLI asks for the server's health.
const HUBBLE_HEALTH: &str = "hubble.server.Observer";
/// The name under which `tetra` and its probes do.
const TETRAGON_HEALTH: &str = "liveness";

/// What the ending of an answer has to say; nothing if it is whole.
fn ending_status(ending: Ending) -> Option<Status> {
    match (ending.fault, ending.cut) {
        (Some(fault), _) => Some(fault.into()),
        (None, Some(cut)) if cut.is_away() => Some(Status::unavailable(cut.detail)),
        (None, Some(cut)) => Some(Status::resource_exhausted(format!("the answer was cut: {}", cut.detail))),
        (None, None) => None,
    }
}

/// Every service of the door.
pub(crate) async fn routes(doors: Arc<Doors>) -> Result<Routes, tonic_reflection::server::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let names = [HUBBLE_HEALTH, TETRAGON_HEALTH, "observer.Observer", "peer.Peer", "tetragon.FineGuidanceSensors"];
    for name in names {
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(hindcast_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(health)
        .add_service(describe().build_v1()?)
        .add_service(describe().build_v1alpha()?)
        .add_service(ObserverServer::new(observer::Service::new(Arc::clone(&doors))))
        .add_service(PeerServer::new(peer::Service::new(Arc::clone(&doors))))
        .add_service(FineGuidanceSensorsServer::new(sensors::Service::new(Arc::clone(&doors))))
        .add_service(flight::service(doors));
    Ok(routes)
}

/// Lets only those in who have the credential.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    doors: Arc<Doors>,
}

impl Admission {
    pub(crate) const fn new(doors: Arc<Doors>) -> Self {
        Self { doors }
    }
}

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted { doors: Arc::clone(&self.doors), inner }
    }
}

/// A service behind the check of the credential.
#[derive(Clone, Debug)]
pub(crate) struct Admitted<S> {
    doors: Arc<Doors>,
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Admitted<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if self.doors.auth.admits(request.headers()) {
            return Box::pin(self.inner.call(request));
        }
        self.doors.metrics.refused.inc();
        let text = "this server asks for a credential: send `authorization: Bearer …` or basic auth";
        let response = Status::unauthenticated(text).into_http();
        Box::pin(std::future::ready(Ok(response)))
    }
}

#[cfg(test)]
mod tests;
