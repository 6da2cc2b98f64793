//! Listens to a Tetragon agent.
//!
//! The agent keeps no history for its clients: what happens between two connections is gone, and recorded as a loss of
//! unknown size.

use hindcast_model::{SourceKind, Timestamp};
use hindcast_proto::json::Message;
use hindcast_proto::tetragon::GetEventsRequest;
use hindcast_proto::tetragon::fine_guidance_sensors_client::FineGuidanceSensorsClient;
use hindcast_proto::{EventBuilders, Origin, RawMessage, Recorded, Rejection, json, tetragon, tetragon_codec};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::config::ConfigError;
use crate::pipeline::Pipeline;
use crate::stream::{ConnectConfig, Listener, StreamConfig, Wire};

/// Largest message taken; with credentials and ancestors an event has tens of kilobytes.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// A Tetragon agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TetragonConfig {
    /// The source's name in the account; empty means the address.
    pub name: String,
    /// How it is reached.
    pub connect: ConnectConfig,
    /// When events are recorded and connections opened again.
    pub stream: StreamConfig,
    /// Filters in JSON, as in an agent's export allow list: only events that match one are recorded.
    pub allow_list: Vec<String>,
    /// Filters in JSON: events that match one are not recorded.
    pub deny_list: Vec<String>,
    /// Field filters in JSON: parts of events that the agent leaves out.
    pub field_filters: Vec<String>,
}

fn parse<M: prost::Message + Default>(message: Message, list: &[String]) -> Result<Vec<M>, (usize, json::JsonError)> {
    let parse = |(index, text): (usize, &String)| json::parse(message, text).map_err(|error| (index, error));
    list.iter().enumerate().map(parse).collect()
}

impl TetragonConfig {
    pub(crate) fn check(&self, field: &str, errors: &mut Vec<ConfigError>) {
        self.connect.check(&format!("{field}.connect"), errors);
        self.stream.check(&format!("{field}.stream"), errors);
        let mut wrong = |name: &str, (index, error): (usize, json::JsonError)| {
            errors.push(ConfigError::new(format!("{field}.{name}[{index}]"), hindcast_model::report(&error)));
        };
        for (name, list) in [("allow_list", &self.allow_list), ("deny_list", &self.deny_list)] {
            if let Err(error) = parse::<tetragon::Filter>(Message::TetragonFilter, list) {
                wrong(name, error);
            }
        }
        if let Err(error) = parse::<tetragon::FieldFilter>(Message::TetragonFieldFilter, &self.field_filters) {
            wrong("field_filters", error);
        }
    }

    /// The source's name in the account.
    #[must_use]
    pub fn source_name(&self) -> String {
        if self.name.is_empty() { format!("tetragon:{}", self.connect.address) } else { self.name.clone() }
    }

    fn request(&self) -> Result<GetEventsRequest, Status> {
        let invalid = |(_, error): (usize, json::JsonError)| Status::invalid_argument(hindcast_model::report(&error));
        Ok(GetEventsRequest {
            allow_list: parse(Message::TetragonFilter, &self.allow_list).map_err(invalid)?,
            deny_list: parse(Message::TetragonFilter, &self.deny_list).map_err(invalid)?,
            field_filters: parse(Message::TetragonFieldFilter, &self.field_filters).map_err(invalid)?,
            ..GetEventsRequest::default()
        })
    }
}

/// Listens until cancelled. `seed` spreads the moments at which it connects again.
pub async fn run(pipeline: Pipeline, config: TetragonConfig, cancel: CancellationToken, seed: u64) {
    let listener = Listener {
        source: pipeline.source(&config.source_name()),
        pipeline,
        address: config.connect.address.clone(),
        config: config.stream.clone(),
        cancel,
        seed,
    };
    // Boxed: a listener's future holds the columns under construction.
    Box::pin(listener.run(Events(config))).await;
}

struct Events(TetragonConfig);

impl Wire for Events {
    const KIND: SourceKind = SourceKind::Tetragon;
    const REPLAYS: bool = false;

    async fn open(&self, _since: Option<Timestamp>) -> Result<Streaming<RawMessage>, Status> {
        let request = self.0.request()?;
        let channel = self.0.connect.connect().await?;
        let mut client = FineGuidanceSensorsClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(client.get_events(self.0.connect.request(request)?).await?.into_inner())
    }

    fn decode(message: &[u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Rejection> {
        tetragon_codec::decode_response(message, origin, into)
    }
}

#[cfg(test)]
mod tests;
