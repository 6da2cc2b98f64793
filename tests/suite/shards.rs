//! Two ClickHouse servers, each with the rows of one recorder: whoever asks one is answered from both, and told when
//! one is away.

use std::net::TcpListener;
use std::path::Path;

use hindcast_model::TableId;
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::tool::{hindcast, run, run_hindcast};
use hindcast_tests::{Options, Server, http, wait_until};
use tempfile::tempdir;

use crate::crash::rows;
use crate::judges::{asked, busy_store};

fn wait(what: &str, holds: impl FnMut() -> bool) {
    wait_until(what, holds).unwrap();
}

fn environment(clickhouse: &ClickHouse) -> Vec<(String, String)> {
    let set = |name: &str, value: String| (format!("HINDCAST_STORAGE_CLICKHOUSE_{name}"), value);
    vec![set("URL", clickhouse.url()), set("SHARDS", "fleet".to_owned())]
}

fn start(data: &Path, clickhouse: &ClickHouse) -> Server {
    let mut options = busy_store();
    options.environment.extend(environment(clickhouse));
    Server::start(data, &options).unwrap()
}

/// Two servers that know each other as the shards of a cluster.
fn cluster(folder: &Path) -> Option<[ClickHouse; 2]> {
    const TEST: &str = "shards::rows_of_all_shards_are_one_answer";
    let free = || TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let ports = [free(), free()];
    let shards =
        ports.map(|port| format!("<shard><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>"));
    let config = folder.join("cluster.xml");
    let text = format!("<clickhouse><remote_servers><fleet>{}</fleet></remote_servers></clickhouse>", shards.concat());
    std::fs::write(&config, text).unwrap();
    let [first, second] = ["first", "second"].map(|name| ClickHouse::start(TEST, &folder.join(name)).unwrap());
    let mut servers = [first?, second?];
    for (server, port) in servers.iter_mut().zip(ports) {
        let arguments = ["--tcp-port", &port.to_string(), "--config", &config.display().to_string()].map(str::to_owned);
        server.restart_with(arguments.into()).unwrap();
    }
    for server in &servers {
        let mut migrate = hindcast().unwrap();
        run(migrate.args(["migrate", "apply"]).envs(environment(server))).unwrap().success().unwrap();
        let again = run(migrate.args(["--color", "never"])).unwrap().success().unwrap();
        assert_eq!(again, "the schema is up to date\n");
    }
    Some(servers)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_all_shards_are_one_answer() {
    let folder = tempdir().unwrap();
    let Some([first, mut second]) = cluster(folder.path()) else { return };
    let mut recorders = Vec::new();
    for (number, clickhouse) in [&first, &second].into_iter().enumerate() {
        let server = start(&folder.path().join(format!("recorder-{number}")), clickhouse);
        let begin = u64::try_from(number).unwrap() * 2000;
        let mut pusher = Pusher::connect(&server.grpc_url()).await.unwrap();
        pusher.push(encode(TableId::Flows, vec![rows(&(begin..begin + 2000))]).await.unwrap()).await.unwrap();
        recorders.push(server);
    }
    for clickhouse in [&first, &second] {
        let count = || clickhouse.ask("SELECT count() FROM hindcast.flows").unwrap();
        wait("rows are not sent", || count() == "2000");
    }
    for clickhouse in [&first, &second] {
        assert_eq!(clickhouse.ask("SELECT count() FROM hindcast_all.flows").unwrap(), "4000");
    }

    // A server that keeps nothing, and a recorder that has the half of them.
    let options = Options { environment: environment(&first), ..Options::default() };
    let server = Server::start_read_only(&folder.path().join("asking"), &options).unwrap();
    let count = |server: &Server| asked(server, "SELECT count(*) FROM flows");
    for server in [&server, &recorders[0], &recorders[1]] {
        wait("rows of a shard are not seen", || count(server) == 4000);
        assert_eq!(asked(server, "SELECT sum(flows) FROM edges_1h"), 4000);
        assert_eq!(asked(server, "SELECT count(DISTINCT time) FROM flows WHERE verdict = 'DROPPED'"), 80);
    }
    let last = ["observe", "--server", &server.url(""), "--last", "2500", "--output", "jsonpb"];
    let ended = run_hindcast(last).unwrap();
    assert_eq!(ended.stdout.lines().count(), 2500, "{}", ended.stderr);

    // One goes away: what is left is answered, with a word about the rest.
    second.kill().unwrap();
    let sql = |server: &Server| {
        run_hindcast(["sql", "--server", &server.url(""), "SELECT count(*) AS n FROM flows", "--output", "csv"])
            .unwrap()
    };
    wait("a shard that is away is not noticed", || {
        let ended = sql(&server);
        ended.stdout == "n\n2000\n" && ended.stderr.contains("rows that are only there are missing")
    });
    let shown = run_hindcast(["status", "--server", &server.url("")]).unwrap();
    assert!(shown.code == Some(1) && shown.stdout.contains("shards of ClickHouse that do not answer: 1"), "{shown:?}");
    let metrics = http::get(&server.url("/metrics"), "*/*").unwrap().text();
    assert!(metrics.contains("hindcast_storage_clickhouse_shards_away 1\n"), "{metrics}");
    second.restart().unwrap();
    wait("a shard that is back is not noticed", || {
        let ended = sql(&server);
        ended.stdout == "n\n4000\n" && ended.stderr.is_empty()
    });
    assert_eq!(run_hindcast(["status", "--server", &server.url("")]).unwrap().code, Some(0));
}
