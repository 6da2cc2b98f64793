//! A Flight server that does as it is told.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use serde_json::Value;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};

/// What is answered to a push. Where the script ends, everything is taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// Nothing is taken.
    Refuse(Code),
    /// All is taken, and the acknowledgement is lost.
    TakeAndFail,
    /// The acknowledgement is of half of the rows.
    TakeHalf,
}

/// A push that was taken.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) table: String,
    pub(super) source: String,
    pub(super) position: u64,
    pub(super) n_rows: usize,
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Answer>,
    taken: Vec<Put>,
    n_asked: usize,
}

/// The server.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Scripted {
    pub(super) async fn start(script: Vec<Answer>) -> Self {
        let state = Arc::new(Mutex::new(State { script: script.into(), ..State::default() }));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = FlightServiceServer::new(Service(Arc::clone(&state)));
        let router = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
        Self { url, state }
    }

    pub(super) fn taken(&self) -> Vec<Put> {
        self.state.lock().taken.clone()
    }

    pub(super) fn n_asked(&self) -> usize {
        self.state.lock().n_asked
    }
}

struct Service(Arc<Mutex<State>>);

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not here"))
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let messages: Vec<FlightData> = request.into_inner().try_collect().await?;
        let table = messages[0].flight_descriptor.as_ref().unwrap().path[0].clone();
        let said: Value = serde_json::from_slice(&messages[0].app_metadata).unwrap();
        let stream = futures::stream::iter(messages).map(Ok::<_, FlightError>);
        let batches: Vec<_> = FlightRecordBatchStream::new_from_flight_data(stream).try_collect().await.unwrap();
        let n_rows = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
        let (source, position) = (said["source"].as_str().unwrap().to_owned(), said["position"].as_u64().unwrap());
        let mut state = self.0.lock();
        state.n_asked += 1;
        let answer = state.script.pop_front();
        if let Some(Answer::Refuse(code)) = answer {
            return Err(Status::new(code, "as told"));
        }
        state.taken.push(Put { table, source, position, n_rows });
        let n_told = match answer {
            Some(Answer::TakeAndFail) => return Err(Status::unavailable("gone")),
            Some(Answer::TakeHalf) => n_rows / 2,
            _ => n_rows,
        };
        let text = serde_json::json!({ "recorded": n_told, "deduplicated": 0, "rejected": 0, "position": position });
        let result = PutResult { app_metadata: text.to_string().into() };
        Ok(Response::new(futures::stream::iter([Ok(result)]).boxed()))
    }

    async fn handshake(
        &self,
        _request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        not_here()
    }

    async fn list_flights(&self, _request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        not_here()
    }

    async fn get_flight_info(&self, _request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        not_here()
    }

    async fn poll_flight_info(&self, _request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        not_here()
    }

    async fn get_schema(&self, _request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        not_here()
    }

    async fn do_get(&self, _request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        not_here()
    }

    async fn do_exchange(
        &self,
        _request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        not_here()
    }

    async fn do_action(&self, _request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        not_here()
    }

    async fn list_actions(&self, _request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        not_here()
    }
}
