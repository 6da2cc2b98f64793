//! Arrow Flight: SQL for ADBC and JDBC clients, read-only, and `DoPut` for those who push batches.
//!
//! No state is kept between calls: the ticket of a query and the handle of a prepared statement are its text.

mod conform;
mod encode;
mod facts;
mod put;

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightServiceServer;
use arrow_flight::sql::server::{DoPutError, FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandStatementIngest, CommandStatementQuery,
    CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, SchemaAsIpc,
    Ticket,
};
use bytes::Bytes;
use futures::Stream;
use prost::Message as _;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use crate::ask;
use crate::doors::Doors;

/// The largest message that a client may push.
const MAX_PUSH_BYTES: usize = 64 * 1024 * 1024;
/// What writing statements are told.
const READ_ONLY: &str = "statements cannot change anything here: what is recorded is read-only; push rows with DoPut";

type FlightStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type DoGetStream = FlightStream<arrow_flight::FlightData>;
type DoPutStream = FlightStream<arrow_flight::PutResult>;

/// The Flight SQL service.
#[derive(Clone, Debug)]
pub(crate) struct FlightSql {
    doors: Arc<Doors>,
}

/// The service for the gRPC router.
pub(crate) fn service(doors: Arc<Doors>) -> FlightServiceServer<FlightSql> {
    FlightServiceServer::new(FlightSql { doors }).max_decoding_message_size(MAX_PUSH_BYTES)
}

/// The descriptor's answer: rows of `schema` behind one ticket.
fn info(descriptor: FlightDescriptor, ticket: &impl ProstMessageExt, schema: &Schema) -> Result<FlightInfo, Status> {
    let ticket = Ticket::new(ticket.as_any().encode_to_vec());
    let info = FlightInfo::new().with_endpoint(FlightEndpoint::new().with_ticket(ticket)).with_descriptor(descriptor);
    info.try_with_schema(schema).map_err(|error| Status::internal(error.to_string()))
}

/// Rows that are at hand, as a stream.
fn at_hand(records: Result<RecordBatch, FlightError>) -> Result<Response<DoGetStream>, Status> {
    let records = records.map_err(|error| Status::internal(error.to_string()))?;
    let schema = records.schema();
    Ok(Response::new(encode::stream(&schema, futures::stream::iter([Ok(records)]))))
}

/// The text of a statement in a ticket or a handle.
fn statement(handle: &Bytes) -> Result<&str, Status> {
    std::str::from_utf8(handle).map_err(|_not_text| Status::invalid_argument("the handle is not one of this server"))
}

impl FlightSql {
    async fn columns_of(&self, text: &str) -> Result<Schema, Status> {
        let schema = ask::sql_schema(&self.doors, text).await?;
        Ok(encode::plain_schema(&schema))
    }

    async fn rows_of(&self, text: &str) -> Result<Response<DoGetStream>, Status> {
        let permit = self.doors.query_permit()?;
        let answer = ask::sql(&self.doors, text).await?;
        Ok(Response::new(encode::answer(answer, Arc::clone(&self.doors), permit)))
    }
}

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        _request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<FlightStream<HandshakeResponse>>, Status> {
        // The credential was checked at the door; what is left is to say how to come in again.
        let token = self.doors.auth.session_token();
        let payload = Bytes::copy_from_slice(token.as_bytes());
        let reply = futures::stream::iter([Ok(HandshakeResponse { protocol_version: 0, payload })]);
        let mut response = Response::new(Box::pin(reply) as FlightStream<HandshakeResponse>);
        let value = MetadataValue::try_from(format!("Bearer {token}"));
        let value = value.map_err(|_not_ascii| Status::internal("the token cannot be sent in a header"))?;
        response.metadata_mut().insert("authorization", value);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = self.columns_of(&query.query).await?;
        let ticket = TicketStatementQuery { statement_handle: query.query.into_bytes().into() };
        info(request.into_inner(), &ticket, &schema).map(Response::new)
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = self.columns_of(statement(&query.prepared_statement_handle)?).await?;
        info(request.into_inner(), &query, &schema).map(Response::new)
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.into_builder().schema();
        info(request.into_inner(), &query, &schema).map(Response::new)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder().schema();
        info(request.into_inner(), &query, &schema).map(Response::new)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder().schema();
        info(request.into_inner(), &query, &schema).map(Response::new)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.into_builder().schema();
        info(request.into_inner(), &query, &schema).map(Response::new)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema =
            facts::sql_info(&self.doors.version).map_err(|error| Status::internal(error.to_string()))?.schema();
        info(request.into_inner(), &query, &schema).map(Response::new)
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = facts::types().map_err(|error| Status::internal(error.to_string()))?.schema();
        info(request.into_inner(), &query, &schema).map(Response::new)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        _request: Request<Ticket>,
    ) -> Result<Response<DoGetStream>, Status> {
        self.rows_of(statement(&ticket.statement_handle)?).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        _request: Request<Ticket>,
    ) -> Result<Response<DoGetStream>, Status> {
        self.rows_of(statement(&query.prepared_statement_handle)?).await
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        _request: Request<Ticket>,
    ) -> Result<Response<DoGetStream>, Status> {
        at_hand(facts::catalogs(query))
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        _request: Request<Ticket>,
    ) -> Result<Response<DoGetStream>, Status> {
        at_hand(facts::schemas(query))
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        _request: Request<Ticket>,
    ) -> Result<Response<DoGetStream>, Status> {
        at_hand(facts::tables(query))
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        _request: Request<Ticket>,
    ) -> Result<Response<DoGetStream>, Status> {
        at_hand(facts::table_types(query))
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        _request: Request<Ticket>,
    ) -> Result<Response<DoGetStream>, Status> {
        at_hand(facts::sql_info(&self.doors.version).and_then(|facts| query.into_builder(&facts).build()))
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        _request: Request<Ticket>,
    ) -> Result<Response<DoGetStream>, Status> {
        at_hand(facts::types().and_then(|types| query.into_builder(&types).build()))
    }

    async fn do_put_fallback(
        &self,
        request: Request<PeekableFlightDataStream>,
        _message: Any,
    ) -> Result<Response<DoPutStream>, Status> {
        put::accept(Arc::clone(&self.doors), request.into_inner()).await.map(Response::new)
    }

    async fn do_put_error_callback(
        &self,
        _request: Request<PeekableFlightDataStream>,
        error: DoPutError,
    ) -> Result<Response<DoPutStream>, Status> {
        Err(Status::invalid_argument(match error {
            DoPutError::MissingCommand => "DoPut was called without any message",
            DoPutError::MissingFlightDescriptor => {
                "the first message of DoPut has no descriptor: give it the path [table], for example [flows]"
            }
        }))
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        put::ingest(&self.doors, command, request.into_inner()).await
    }

    async fn do_put_statement_update(
        &self,
        _command: CommandStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(Status::unimplemented(READ_ONLY))
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        put::refuse_parameters(request.into_inner()).await?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(query.prepared_statement_handle) })
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let schema = self.columns_of(&query.query).await?;
        let options = arrow::ipc::writer::IpcWriteOptions::default();
        let IpcMessage(dataset_schema) = SchemaAsIpc::new(&schema, &options)
            .try_into()
            .map_err(|error: arrow::error::ArrowError| Status::internal(error.to_string()))?;
        let prepared_statement_handle = query.query.into_bytes().into();
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle,
            dataset_schema,
            parameter_schema: Bytes::new(),
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _query: ActionClosePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Result<(), Status> {
        // Nothing was kept.
        Ok(())
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {
        // The facts of this server do not change while it runs.
    }
}

#[cfg(test)]
mod tests;
