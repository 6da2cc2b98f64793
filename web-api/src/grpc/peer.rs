//! `peer.Peer`: which Hubble servers there are. There is one, this one: a relay that is told of it finds here the
//! flows of all nodes.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use hindcast_proto::peer::peer_server::Peer;
use hindcast_proto::peer::{ChangeNotification, ChangeNotificationType, NotifyRequest, Tls};
use tonic::{Request, Response, Status};

use crate::doors::Doors;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    doors: Arc<Doors>,
}

impl Service {
    pub(crate) const fn new(doors: Arc<Doors>) -> Self {
        Self { doors }
    }
}

#[tonic::async_trait]
impl Peer for Service {
    type NotifyStream = BoxStream<'static, Result<ChangeNotification, Status>>;

    async fn notify(&self, request: Request<NotifyRequest>) -> Result<Response<Self::NotifyStream>, Status> {
        let address = request.local_addr().map_or_else(String::new, |address| address.to_string());
        let this = ChangeNotification {
            name: "hindcast".to_owned(),
            address,
            r#type: ChangeNotificationType::PeerAdded.into(),
            tls: self.doors.is_encrypted.then(Tls::default),
        };
        // Nothing changes until the server stops.
        let stopping = self.doors.stopping.clone();
        let until_stopped = async move { stopping.cancelled().await }.into_stream().filter_map(|()| async { None });
        Ok(Response::new(futures::stream::iter([Ok(this)]).chain(until_stopped).boxed()))
    }
}
