//! Flight through its real clients.

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::array_value_to_string;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables, SqlInfo};
use arrow_flight::{FlightClient, FlightDescriptor, FlightInfo};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::config::{AuthConfig, Config};
use crate::grpc::tests::{Running, serve};
use crate::secret::Secret;
use crate::testing::{self, flow_batch};

async fn rows(client: &mut FlightSqlServiceClient<Channel>, info: FlightInfo) -> Vec<RecordBatch> {
    let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket).expect("a ticket");
    client.do_get(ticket).await.expect("rows").try_collect().await.expect("batches")
}

fn texts(batches: &[RecordBatch], column: &str) -> Vec<String> {
    let arrays = batches.iter().map(|batch| batch.column_by_name(column).expect("a column"));
    arrays
        .flat_map(|array| (0..array.len()).map(|row| array_value_to_string(array, row).expect("a text")))
        .collect::<Vec<_>>()
}

async fn push(house: &Running, messages: Vec<(RecordBatch, Option<Value>)>) -> Result<Vec<Value>, String> {
    let descriptor = FlightDescriptor::new_path(vec!["flows".to_owned()]);
    let mut data = Vec::new();
    for (records, said) in messages {
        let encoder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(descriptor.clone()));
        let encoded = encoder.build(futures::stream::iter([Ok(records)])).try_collect::<Vec<_>>().await;
        let mut encoded = encoded.expect("encoded");
        if let (Some(last), Some(said)) = (encoded.last_mut(), said) {
            last.app_metadata = Bytes::from(said.to_string());
        }
        // The schema is sent once.
        data.extend(encoded.into_iter().skip(usize::from(!data.is_empty())));
    }
    let mut client = FlightClient::new(house.channel.clone());
    let results = client.do_put(futures::stream::iter(data).map(Ok)).await.map_err(|error| error.to_string())?;
    let results = results.try_collect::<Vec<_>>().await.map_err(|error| error.to_string())?;
    Ok(results.iter().map(|result| serde_json::from_slice(&result.app_metadata).expect("json")).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_is_answered_plain_and_prepared() {
    let house = serve(testing::free_ports()).await;
    house.append(vec![flow_batch(0..6)]).await;
    let mut client = FlightSqlServiceClient::new(house.channel.clone());
    let query = "SELECT src_pod, verdict FROM flows WHERE verdict = 'DROPPED' ORDER BY src_pod";
    let info = client.execute(query.to_owned(), None).await.expect("a plan");
    let schema = info.clone().try_decode_schema().expect("a schema");
    let batches = rows(&mut client, info).await;
    assert_eq!(texts(&batches, "src_pod"), ["web-0", "web-3"]);
    assert_eq!(batches[0].schema().fields(), schema.fields());

    let mut prepared = client.prepare("SELECT count(*) AS n FROM flows".to_owned(), None).await.expect("a statement");
    let info = prepared.execute().await.expect("a plan");
    let batches = rows(&mut client, info).await;
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 6);
    prepared.close().await.expect("closed");

    for bad in ["SELECT", "DELETE FROM flows", "SELECT nothing FROM flows"] {
        assert!(client.execute(bad.to_owned(), None).await.is_err(), "{bad}");
    }
    assert!(client.execute_update("DELETE FROM flows".to_owned(), None).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_abilities_are_told() {
    let house = serve(testing::free_ports()).await;
    let mut client = FlightSqlServiceClient::new(house.channel.clone());
    let tables = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
    let info = client.get_tables(tables).await.expect("an answer");
    assert!(texts(&rows(&mut client, info).await, "table_name").contains(&"flows".to_owned()));
    let info = client.get_catalogs().await.expect("an answer");
    assert_eq!(texts(&rows(&mut client, info).await, "catalog_name"), ["hindcast"]);
    let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.expect("an answer");
    assert_eq!(texts(&rows(&mut client, info).await, "db_schema_name"), ["public"]);
    let info = client.get_table_types().await.expect("an answer");
    assert_eq!(texts(&rows(&mut client, info).await, "table_type"), ["TABLE"]);
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerReadOnly]).await.expect("an answer");
    assert_eq!(rows(&mut client, info).await[0].num_rows(), 1);
    let info = client.get_xdbc_type_info(arrow_flight::sql::CommandGetXdbcTypeInfo { data_type: None }).await;
    assert!(rows(&mut client, info.expect("an answer")).await[0].num_rows() > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_batches_are_acknowledged_one_by_one() {
    let house = serve(testing::free_ports()).await;
    let first = flow_batch(0..3).records;
    let second = flow_batch(3..5).records;
    let said = |position: u64| Some(json!({"source": "probe", "position": position}));
    let acknowledged = push(&house, vec![(first, said(10)), (second, said(20))]).await.expect("acknowledged");
    let expected = |recorded: u64, position: u64| json!({"recorded": recorded, "deduplicated": 0, "rejected": 0, "position": position});
    assert_eq!(acknowledged, [expected(3, 10), expected(2, 20)]);
    let stats = house.store.snapshot().stats(hindcast_model::TableId::Flows);
    assert_eq!(stats.memory_rows, 5);

    let bad = flow_batch(0..1).records.project(&[1, 2]).expect("columns");
    let error = push(&house, vec![(bad, None)]).await.expect_err("no time");
    assert!(error.contains("column time is required"), "{error}");
    let error = push(&house, vec![(flow_batch(0..1).records, Some(json!({"colour": 1})))]).await.expect_err("metadata");
    assert!(error.contains("application metadata is read as"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_server_may_take_is_told_from_what_none_will() {
    let house = serve(testing::free_ports()).await;
    let code = async |table: &str, column: &str| {
        let records = flow_batch(0..1).records;
        let columns = vec![(column, records.column_by_name("time").cloned().expect("a column"))];
        let records = RecordBatch::try_from_iter(columns).expect("a batch");
        let encoder = FlightDataEncoderBuilder::new();
        let encoder = encoder.with_flight_descriptor(Some(FlightDescriptor::new_path(vec![table.to_owned()])));
        let data: Vec<_> = encoder.build(futures::stream::iter([Ok(records)])).try_collect().await.expect("encoded");
        let mut client = arrow_flight::flight_service_client::FlightServiceClient::new(house.channel.clone());
        let mut results = match client.do_put(futures::stream::iter(data)).await {
            Ok(results) => results.into_inner(),
            Err(status) => return status.code(),
        };
        results.message().await.expect_err("refused").code()
    };
    assert_eq!(code("flows", "of_a_later_build").await, tonic::Code::NotFound);
    assert_eq!(code("of_a_later_build", "time").await, tonic::Code::NotFound);
    assert_eq!(code("flows", "latency_ns").await, tonic::Code::InvalidArgument);
    assert_eq!(code("edges_1m", "time").await, tonic::Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_gives_a_token() {
    let auth =
        AuthConfig { user: Some("ann".to_owned()), password: Some(Secret::new("secret")), ..AuthConfig::default() };
    let house = serve(Config { auth, ..testing::free_ports() }).await;
    let mut client = FlightSqlServiceClient::new(house.channel.clone());
    assert!(client.get_catalogs().await.is_err());
    assert!(client.handshake("ann", "wrong").await.is_err());
    client.handshake("ann", "secret").await.expect("a token");
    client.get_catalogs().await.expect("an answer");
}
