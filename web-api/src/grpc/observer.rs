//! `observer.Observer`: what a Hubble relay offers, answered from the record.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use hindcast_model::tables::agent_events;
use hindcast_model::{Kind, TableId, Timestamp};
use hindcast_proto::observer as wire;
use hindcast_proto::observer::observer_server::Observer;
use hindcast_proto::relay::NodeState;
use hindcast_query::filter::Filter;
use tonic::{Request, Response, Status};

use super::asked::Asked;
use super::events::{Delivery, Encode, EventStream, Timed};
use super::held::Held;
use crate::ask::{self, Question};
use crate::doors::Doors;
use crate::fault::Fault;

/// Over how long the rate of flows is measured.
const RATE_SPAN: Duration = Duration::from_secs(60);

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    doors: Arc<Doors>,
}

impl Service {
    pub(crate) const fn new(doors: Arc<Doors>) -> Self {
        Self { doors }
    }

    /// Agent or debug events; they know no filter.
    async fn agent_events(&self, asked: Asked, kind: &'static str) -> Result<Response<EventStream>, Status> {
        let doors = &self.doors;
        let plan = asked.plan(doors.clock.now())?;
        let held = Held::of(doors, TableId::AgentEvents);
        held.check(&plan)?;
        let filter = Filter::one_of("kind", [kind]);
        let permit = if plan.follow { doors.follow_permit()? } else { doors.query_permit()? };
        let pieces = match plan.past {
            None => ask::follow(doors, TableId::AgentEvents, filter).await?,
            Some((range, pick)) => {
                let question = Question::stream(TableId::AgentEvents, filter, range, pick);
                if plan.follow {
                    ask::events_then_follow(doors, question).await?
                } else {
                    ask::events(doors, question).await?.pieces
                }
            }
        };
        let delivery = Delivery {
            pieces,
            encode: AgentEvents,
            notices: VecDeque::new(),
            skips_early_notices: false,
            skips_late_notices: false,
            until: plan.until,
            permit,
        };
        Ok(held.respond(delivery.stream(doors)))
    }
}

#[tonic::async_trait]
impl Observer for Service {
    type GetFlowsStream = EventStream;
    type GetAgentEventsStream = EventStream;
    type GetDebugEventsStream = EventStream;

    async fn get_flows(
        &self,
        request: Request<wire::GetFlowsRequest>,
    ) -> Result<Response<Self::GetFlowsStream>, Status> {
        super::get_flows::stream(&self.doors, request.into_inner()).await
    }

    async fn get_agent_events(
        &self,
        request: Request<wire::GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        let wire::GetAgentEventsRequest { number, first, follow, since, until } = request.into_inner();
        self.agent_events(Asked { number, first, follow, since, until }, "agent").await
    }

    async fn get_debug_events(
        &self,
        request: Request<wire::GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        let wire::GetDebugEventsRequest { number, first, follow, since, until } = request.into_inner();
        self.agent_events(Asked { number, first, follow, since, until }, "debug").await
    }

    async fn get_nodes(
        &self,
        _request: Request<wire::GetNodesRequest>,
    ) -> Result<Response<wire::GetNodesResponse>, Status> {
        let _permit = self.doors.query_permit()?;
        let nodes = ask::nodes(&self.doors).await?;
        // What is not recorded of a node (address, version, uptime) stays absent and prints as N/A.
        let nodes = nodes.into_iter().map(|node| wire::Node {
            name: node.name,
            state: NodeState::UnknownNodeState.into(),
            num_flows: node.n_flows,
            seen_flows: node.n_flows,
            ..wire::Node::default()
        });
        Ok(Response::new(wire::GetNodesResponse { nodes: nodes.collect() }))
    }

    async fn get_namespaces(
        &self,
        _request: Request<wire::GetNamespacesRequest>,
    ) -> Result<Response<wire::GetNamespacesResponse>, Status> {
        let _permit = self.doors.query_permit()?;
        let namespaces = ask::namespaces(&self.doors).await?;
        let namespaces = namespaces.into_iter().map(|(cluster, namespace)| wire::Namespace { cluster, namespace });
        Ok(Response::new(wire::GetNamespacesResponse { namespaces: namespaces.collect() }))
    }

    async fn server_status(
        &self,
        _request: Request<wire::ServerStatusRequest>,
    ) -> Result<Response<wire::ServerStatusResponse>, Status> {
        let _permit = self.doors.query_permit()?;
        let now = self.doors.clock.now();
        let n_recent = ask::n_flows_since(&self.doors, now.saturating_sub(RATE_SPAN)).await?;
        let n_flows = ask::n_rows(&self.doors, TableId::Flows);
        Ok(Response::new(wire::ServerStatusResponse {
            num_flows: n_flows,
            // There is no capacity in flows: the record is bounded by age and by bytes.
            max_flows: 0,
            seen_flows: n_flows,
            uptime_ns: u64::try_from(now.since(self.doors.started).as_nanos()).unwrap_or(u64::MAX),
            version: self.doors.version.clone(),
            #[expect(clippy::cast_precision_loss, reason = "a rate is shown with two digits")]
            flows_rate: n_recent as f64 / RATE_SPAN.as_secs_f64(),
            ..wire::ServerStatusResponse::default()
        }))
    }
}

/// Agent and debug events as responses.
struct AgentEvents;

impl Encode for AgentEvents {
    fn encode(&self, records: &RecordBatch, out: &mut VecDeque<Timed>) -> Result<(), Fault> {
        let view = agent_events::View::new(records).map_err(|error| Fault::new(Kind::Internal, error.to_string()))?;
        for row in 0..view.n_rows() {
            let mut message = Vec::new();
            hindcast_proto::hubble::encode_agent_response(&view, row, &mut message);
            let time = Timestamp::from_nanos(view.time.get(row).unwrap_or_default());
            out.push_back(Timed { time, message: message.into() });
        }
        Ok(())
    }

    fn oversized(&self, _time: Timestamp, _n_bytes: usize) -> Option<Bytes> {
        None
    }
}
