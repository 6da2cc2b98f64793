//! Listens to a Hubble relay or agent.
//!
//! A new connection asks from a little before the last recorded flow on: the agent's ring replays what was missed, and
//! repeats are told by their ids. Lost events and node states that the server reports are rows of table `losses`.

use hindcast_model::{SourceKind, Timestamp};
use hindcast_proto::json::Message;
use hindcast_proto::observer::observer_client::ObserverClient;
use hindcast_proto::observer::{GetAgentEventsRequest, GetFlowsRequest};
use hindcast_proto::{EventBuilders, Origin, RawMessage, Recorded, Rejection, flow, hubble, json};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::config::ConfigError;
use crate::pipeline::Pipeline;
use crate::stream::{ConnectConfig, Listener, StreamConfig, Wire};

/// Largest message taken: an agent's flow is a few kilobytes, an L7 one with headers more.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// A Hubble relay or agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubbleConfig {
    /// The source's name in the account; empty means the address.
    pub name: String,
    /// How it is reached.
    pub connect: ConnectConfig,
    /// When events are recorded and connections opened again.
    pub stream: StreamConfig,
    /// Filters in JSON, as `hubble observe --print-raw-filters` shows them: only flows that match one are recorded.
    pub allow_list: Vec<String>,
    /// Filters in JSON: flows that match one are not recorded.
    pub deny_list: Vec<String>,
    /// Whether agent events are recorded too; only agents have them, a relay does not.
    pub agent_events: bool,
}

impl HubbleConfig {
    pub(crate) fn check(&self, field: &str, errors: &mut Vec<ConfigError>) {
        self.connect.check(&format!("{field}.connect"), errors);
        self.stream.check(&format!("{field}.stream"), errors);
        for (name, list) in [("allow_list", &self.allow_list), ("deny_list", &self.deny_list)] {
            for (index, text) in list.iter().enumerate() {
                if let Err(error) = filter(text) {
                    let problem = hindcast_model::report(&error);
                    errors.push(ConfigError::new(format!("{field}.{name}[{index}]"), problem));
                }
            }
        }
    }

    /// The source's name in the account.
    #[must_use]
    pub fn source_name(&self) -> String {
        if self.name.is_empty() { format!("hubble:{}", self.connect.address) } else { self.name.clone() }
    }
}

fn filter(text: &str) -> Result<flow::FlowFilter, json::JsonError> {
    json::parse(Message::FlowFilter, text)
}

/// Listens until cancelled. `seed` spreads the moments at which it connects again.
pub async fn run(pipeline: Pipeline, config: HubbleConfig, cancel: CancellationToken, seed: u64) {
    let name = config.source_name();
    let listener = |source: &str, address: String, seed| Listener {
        pipeline: pipeline.clone(),
        source: pipeline.source(source),
        address,
        config: config.stream.clone(),
        cancel: cancel.clone(),
        seed,
    };
    let address = config.connect.address.clone();
    // Boxed: a listener's future holds the columns under construction.
    let flows = Box::pin(listener(&name, address.clone(), seed).run(Flows(config.clone())));
    if config.agent_events {
        let events = listener(&format!("{name}/agent-events"), format!("{address}/agent-events"), !seed);
        tokio::join!(flows, Box::pin(events.run(AgentEvents(config.clone()))));
    } else {
        flows.await;
    }
}

/// The time as the wire has it; without one, the oldest that the server holds.
fn since_or_oldest(since: Option<Timestamp>) -> prost_types::Timestamp {
    let (seconds, nanos) = since.unwrap_or_default().to_parts();
    prost_types::Timestamp { seconds, nanos }
}

struct Flows(HubbleConfig);

impl Wire for Flows {
    const KIND: SourceKind = SourceKind::Hubble;
    const REPLAYS: bool = true;

    async fn open(&self, since: Option<Timestamp>) -> Result<Streaming<RawMessage>, Status> {
        let parse = |list: &[String]| -> Result<Vec<flow::FlowFilter>, Status> {
            let filters = list.iter().map(|text| filter(text)).collect::<Result<_, _>>();
            filters.map_err(|error| Status::invalid_argument(hindcast_model::report(&error)))
        };
        let request = GetFlowsRequest {
            follow: true,
            since: Some(since_or_oldest(since)),
            whitelist: parse(&self.0.allow_list)?,
            blacklist: parse(&self.0.deny_list)?,
            ..GetFlowsRequest::default()
        };
        let channel = self.0.connect.connect().await?;
        let mut client = ObserverClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(client.get_flows(self.0.connect.request(request)?).await?.into_inner())
    }

    fn decode(message: &[u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Rejection> {
        hubble::decode_response(message, origin, into)
    }
}

struct AgentEvents(HubbleConfig);

impl Wire for AgentEvents {
    const KIND: SourceKind = SourceKind::Hubble;
    const REPLAYS: bool = true;

    async fn open(&self, since: Option<Timestamp>) -> Result<Streaming<RawMessage>, Status> {
        let request = GetAgentEventsRequest {
            follow: true,
            since: Some(since_or_oldest(since)),
            ..GetAgentEventsRequest::default()
        };
        let channel = self.0.connect.connect().await?;
        let mut client = ObserverClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(client.get_agent_events(self.0.connect.request(request)?).await?.into_inner())
    }

    fn decode(message: &[u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Rejection> {
        hubble::decode_agent_response(message, origin, into)
    }
}

#[cfg(test)]
mod tests;
