//! `tetragon.FineGuidanceSensors`: the recorded runtime events for `tetra`, live or from the past.
//!
//! Without metadata it is the agent's stream: from now on. `x-hindcast-since` and `x-hindcast-until` (instants as in
//! the REST parameters) ask for the past; without `-until` the stream then goes on. Nothing can be changed here.

mod deliver;

use std::sync::Arc;

use hindcast_proto::tetragon as wire;
use hindcast_proto::tetragon::fine_guidance_sensors_server::FineGuidanceSensors;
use tonic::{Request, Response, Status};

use super::events::EventStream;
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

/// What calls that would change an agent are told.
fn no_agent<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("this is a recorder, not an agent: policies and sensors are managed at the agents"))
}

#[tonic::async_trait]
impl FineGuidanceSensors for Service {
    type GetEventsStream = EventStream;

    async fn get_events(
        &self,
        request: Request<wire::GetEventsRequest>,
    ) -> Result<Response<Self::GetEventsStream>, Status> {
        deliver::events(&self.doors, request).await.map(Response::new)
    }

    async fn get_health(
        &self,
        _request: Request<wire::GetHealthStatusRequest>,
    ) -> Result<Response<wire::GetHealthStatusResponse>, Status> {
        let is_ready = self.doors.is_ready();
        let status = if is_ready {
            wire::HealthStatusResult::HealthStatusRunning
        } else {
            wire::HealthStatusResult::HealthStatusStopped
        };
        let health = wire::HealthStatus {
            event: wire::HealthStatusType::Status.into(),
            status: status.into(),
            details: if is_ready { "running" } else { "stopping" }.to_owned(),
        };
        Ok(Response::new(wire::GetHealthStatusResponse { health_status: vec![health] }))
    }

    async fn get_version(
        &self,
        _request: Request<wire::GetVersionRequest>,
    ) -> Result<Response<wire::GetVersionResponse>, Status> {
        Ok(Response::new(wire::GetVersionResponse { version: self.doors.version.clone() }))
    }

    async fn get_info(
        &self,
        _request: Request<wire::GetInfoRequest>,
    ) -> Result<Response<wire::GetInfoResponse>, Status> {
        let version = self.doors.version.clone();
        let info = wire::GetInfoResponse { version, name: "hindcast".to_owned(), ..wire::GetInfoResponse::default() };
        Ok(Response::new(info))
    }

    async fn list_tracing_policies(
        &self,
        _request: Request<wire::ListTracingPoliciesRequest>,
    ) -> Result<Response<wire::ListTracingPoliciesResponse>, Status> {
        // No policy is loaded here.
        Ok(Response::new(wire::ListTracingPoliciesResponse::default()))
    }

    async fn add_tracing_policy(
        &self,
        _request: Request<wire::AddTracingPolicyRequest>,
    ) -> Result<Response<wire::AddTracingPolicyResponse>, Status> {
        no_agent()
    }

    async fn delete_tracing_policy(
        &self,
        _request: Request<wire::DeleteTracingPolicyRequest>,
    ) -> Result<Response<wire::DeleteTracingPolicyResponse>, Status> {
        no_agent()
    }

    async fn configure_tracing_policy(
        &self,
        _request: Request<wire::ConfigureTracingPolicyRequest>,
    ) -> Result<Response<wire::ConfigureTracingPolicyResponse>, Status> {
        no_agent()
    }

    async fn enable_tracing_policy(
        &self,
        _request: Request<wire::EnableTracingPolicyRequest>,
    ) -> Result<Response<wire::EnableTracingPolicyResponse>, Status> {
        no_agent()
    }

    async fn disable_tracing_policy(
        &self,
        _request: Request<wire::DisableTracingPolicyRequest>,
    ) -> Result<Response<wire::DisableTracingPolicyResponse>, Status> {
        no_agent()
    }

    async fn list_sensors(
        &self,
        _request: Request<wire::ListSensorsRequest>,
    ) -> Result<Response<wire::ListSensorsResponse>, Status> {
        no_agent()
    }

    async fn enable_sensor(
        &self,
        _request: Request<wire::EnableSensorRequest>,
    ) -> Result<Response<wire::EnableSensorResponse>, Status> {
        no_agent()
    }

    async fn disable_sensor(
        &self,
        _request: Request<wire::DisableSensorRequest>,
    ) -> Result<Response<wire::DisableSensorResponse>, Status> {
        no_agent()
    }

    async fn remove_sensor(
        &self,
        _request: Request<wire::RemoveSensorRequest>,
    ) -> Result<Response<wire::RemoveSensorResponse>, Status> {
        no_agent()
    }

    async fn list_domains(
        &self,
        _request: Request<wire::ListDomainsRequest>,
    ) -> Result<Response<wire::ListDomainsResponse>, Status> {
        no_agent()
    }

    async fn runtime_hook(
        &self,
        _request: Request<wire::RuntimeHookRequest>,
    ) -> Result<Response<wire::RuntimeHookResponse>, Status> {
        no_agent()
    }

    async fn get_debug(
        &self,
        _request: Request<wire::GetDebugRequest>,
    ) -> Result<Response<wire::GetDebugResponse>, Status> {
        no_agent()
    }

    async fn set_debug(
        &self,
        _request: Request<wire::SetDebugRequest>,
    ) -> Result<Response<wire::SetDebugResponse>, Status> {
        no_agent()
    }
}
