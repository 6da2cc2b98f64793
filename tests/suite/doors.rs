//! Asking a server over gRPC, with the answers decoded by `prost-reflect`.

use std::time::Duration;

use hindcast_proto::observer::GetFlowsRequest;
use hindcast_proto::observer::observer_client::ObserverClient;
use hindcast_proto::tetragon::GetEventsRequest;
use hindcast_proto::tetragon::fine_guidance_sensors_client::FineGuidanceSensorsClient;
use hindcast_tests::Server;
use prost_reflect::DynamicMessage;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::recordings::descriptor;

/// The most a stream may take.
const PATIENCE: Duration = Duration::from_secs(120);

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(server.grpc_url()).unwrap().connect().await.unwrap()
}

/// Every answer of one `GetFlows`, to the end of the stream.
pub(crate) async fn flows(server: &Server, request: GetFlowsRequest) -> Result<Vec<DynamicMessage>, Status> {
    let mut client = ObserverClient::new(channel(server).await);
    let mut stream = client.get_flows(request).await?.into_inner();
    let mut answers = Vec::new();
    let descriptor = descriptor("observer.GetFlowsResponse");
    let ended = tokio::time::timeout(PATIENCE, async {
        while let Some(answer) = stream.message().await? {
            answers.push(DynamicMessage::decode(descriptor.clone(), answer.0).unwrap());
        }
        Ok(())
    });
    ended.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("the stream did not end")))?;
    Ok(answers)
}

/// The answers that are flows: a stream may also say what was lost, and which nodes there are.
pub(crate) fn with_flow(mut answers: Vec<DynamicMessage>) -> Vec<DynamicMessage> {
    answers.retain(|answer| answer.has_field_by_name("flow"));
    answers
}

/// A request for every flow there is.
pub(crate) fn everything() -> GetFlowsRequest {
    GetFlowsRequest { number: u64::MAX, ..GetFlowsRequest::default() }
}

/// The first `n` runtime events since that instant (RFC 3339), fewer where the stream ends before.
pub(crate) async fn runtime_events(
    server: &Server,
    since: &str,
    until: &str,
    n: usize,
) -> Result<Vec<DynamicMessage>, Status> {
    let mut client = FineGuidanceSensorsClient::new(channel(server).await);
    let mut request = Request::new(GetEventsRequest::default());
    request.metadata_mut().insert("x-hindcast-since", since.parse().unwrap());
    request.metadata_mut().insert("x-hindcast-until", until.parse().unwrap());
    let mut stream = client.get_events(request).await?.into_inner();
    let descriptor = descriptor("tetragon.GetEventsResponse");
    let mut answers = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, async {
        while answers.len() < n
            && let Some(answer) = stream.message().await?
        {
            answers.push(DynamicMessage::decode(descriptor.clone(), answer.0).unwrap());
        }
        Ok(())
    });
    ended.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("the stream did not end")))?;
    Ok(answers)
}
