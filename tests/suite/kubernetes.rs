//! A cluster's API names what the sensors of a host saw. The API here is a stand-in of a few lines: no real one can be had
//! where these tests run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use hindcast_tests::tool::run;
use hindcast_tests::{Options, Server, wait_until};
use serde_json::json;
use tempfile::tempdir;

use crate::judges::asked;
use crate::sensors::{answer_once, may_watch};

/// The address of the pod: nobody else on this host answers there.
const POD: &str = "127.0.0.9";

/// Answers lists with one pod; a watch stays open and says nothing.
fn serve(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
}

fn answer(mut stream: TcpStream) {
    let mut requests = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut header = String::new();
        while requests.read_line(&mut header).is_ok_and(|n| n > 2) {
            header.clear();
        }
        if line.contains("watch=true") {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
                .unwrap();
            continue;
        }
        let pod = json!({
            "metadata": {"uid": "u-1", "name": "web-1", "namespace": "shop", "labels": {"app": "web"},
                "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            "status": {"phase": "Running", "podIP": POD, "podIPs": [{"ip": POD}], "startTime": "2026-01-01T00:00:00Z"},
        });
        let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [pod]});
        let body = list.to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }
}

#[test]
fn what_the_sensors_see_has_the_names_of_the_cluster() {
    const TEST: &str = "kubernetes::what_the_sensors_see_has_the_names_of_the_cluster";
    let folder = tempdir().unwrap();
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = api.local_addr().unwrap().port();
    serve(api);
    let kubeconfig = folder.path().join("kubeconfig");
    let cluster = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    });
    std::fs::write(&kubeconfig, cluster.to_string()).unwrap();
    let config = folder.path().join("config.toml");
    let text = format!("[sensors]\ncluster = \"east\"\n[kubernetes]\nkubeconfig = {kubeconfig:?}\nkinds = [\"Pod\"]\n");
    std::fs::write(&config, text).unwrap();
    let arguments = vec!["--config".to_owned(), config.display().to_string()];
    let options = Options { arguments, ..Options::default() };
    let (data_dir, watches) = (folder.path().join("data"), may_watch(TEST));
    let start = if watches { Server::start_watching } else { Server::start };
    let server = start(&data_dir, &options).unwrap();
    let told = format!("SELECT count(*) FROM workloads WHERE cluster = 'east' AND ip = '{POD}' AND pod = 'web-1'");
    wait_until("the pod is not recorded", || asked(&server, &told) >= 1).unwrap();
    if !watches {
        return;
    }
    let listener = TcpListener::bind((POD, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = answer_once(listener);
    let said = run(Command::new("curl").args(["-s", &format!("http://{POD}:{port}/named")])).unwrap();
    assert_eq!(said.success().unwrap(), "hi\n");
    answering.join().unwrap();
    let named = format!(
        "SELECT count(*) FROM flows WHERE dst_port = {port} AND http_url LIKE '%/named' \
         AND cluster = 'east' AND dst_pod = 'web-1' AND dst_namespace = 'shop' AND dst_labels LIKE '%k8s:app=web%' AND src_pod IS NULL"
    );
    wait_until("the request is not named", || asked(&server, &named) >= 1).unwrap();
    // What the API said is not learned a second time, from the rows it named.
    assert_eq!(asked(&server, &format!("SELECT count(*) FROM workloads WHERE ip = '{POD}'")), 1);
}
