//! What is said on connections: DNS over TCP, HTTP/2, gRPC and TLS, between real sockets, told from both ends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use hindcast_bpf_sensors::capability::{Sensor, State};
use hindcast_bpf_sensors::{Config, Origin, Sensors, check, start};
use hindcast_model::Batch;

use crate::frames::{self, Encoder};
use crate::recorded::{Recorded, Row};
use crate::world::SystemClock;
use crate::{quiet, skip};

/// Sensors that run, and what they hand over.
struct Watch {
    _quiet: RwLockReadGuard<'static, ()>,
    sensors: Sensors,
    receiver: Receiver<Batch>,
}

impl Watch {
    /// `None` where packets are not seen; says so.
    fn new(test: &str, config: &Config) -> Option<Self> {
        let quiet = quiet();
        let report = check(config);
        for sensor in [Sensor::Connections, Sensor::AcceptOwners, Sensor::Packets] {
            if report.state(sensor) != Some(&State::Available) {
                skip(test, &report.to_string());
                return None;
            }
        }
        let (sender, receiver) = sync_channel(65_536);
        let origin = Origin { node: "n1".to_owned(), ..Origin::default() };
        let sensors = start(config, origin, Arc::new(SystemClock), Box::new(sender)).unwrap();
        Some(Self { _quiet: quiet, sensors, receiver })
    }

    fn stop(self) -> Recorded {
        println!("{:?}", self.sensors.counters());
        self.sensors.stop();
        Recorded::new(self.receiver.try_iter())
    }
}

/// Rows of the application layer on a connection to a port, as the chosen columns in one line each.
fn said(recorded: &Recorded, port: u16, columns: &[&str]) -> Vec<String> {
    let port = port.to_string();
    let is_ours =
        |row: &&Row| row.text("flow_type") == "L7" && [row.text("src_port"), row.text("dst_port")].contains(&port);
    let rows = recorded.flows.iter().filter(is_ours);
    let mut lines: Vec<String> =
        rows.map(|row| columns.iter().map(|name| row.text(name)).collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    lines
}

/// Both ends saw each of these, in the order of the text.
fn at_both_ends(lines: &[&str]) -> Vec<String> {
    let mut both: Vec<String> = ["EGRESS", "INGRESS"]
        .iter()
        .flat_map(|direction| lines.iter().map(move |line| format!("{direction} {line}")))
        .collect();
    both.sort();
    both
}

/// Answers on a port of its own until the connection ends; `serve` is given the connection.
fn serving(address: &str, serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let local = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(listener.accept().unwrap().0));
    local
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Long enough that what follows is another packet.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(20));
}

#[test]
fn dns_over_tcp_is_told_however_it_is_cut() {
    let Some(watch) = Watch::new("dns_over_tcp_is_told_however_it_is_cut", &Config::default()) else { return };
    let question = b"\x00\x1e\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04pots\x07example\x00\x00\x10\x00\x01";
    let server = serving("127.0.0.77:53", move |mut stream| {
        stream.set_nodelay(true).unwrap();
        for _ in 0..2 {
            let mut asked = vec![0; question.len()];
            stream.read_exact(&mut asked).unwrap();
            pause();
            // An answer of many texts, which takes several packets of an ordinary network and one of this.
            let mut answer = asked[2..].to_vec();
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            answer[6..8].copy_from_slice(&12_u16.to_be_bytes());
            for _ in 0..12 {
                answer.extend_from_slice(b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\xc9\xc8");
                answer.extend_from_slice(&[b't'; 200]);
            }
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            let framed = [&length[..], &answer].concat();
            let (first, rest) = framed.split_at(1500);
            stream.write_all(first).unwrap();
            pause();
            stream.write_all(rest).unwrap();
        }
    });
    let mut client = connect(server);
    // The length alone, then the message in two; then all of it at once.
    for ends in [&[2, 9, 32][..], &[32][..]] {
        let mut begin = 0;
        for end in ends {
            client.write_all(&question[begin..*end]).unwrap();
            begin = *end;
            pause();
        }
        let mut length = [0; 2];
        client.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        client.read_exact(&mut answer).unwrap();
    }
    drop(client);
    let recorded = watch.stop();
    let columns = ["direction", "l7_type", "dns_query", "dns_qtypes", "dns_rcode", "dns_rrtypes", "protocol"];
    let texts = ["TXT"; 12].join(",");
    let answered = format!("RESPONSE pots.example. TXT 0 {texts} TCP");
    let asked = "REQUEST pots.example. TXT   TCP";
    assert_eq!(said(&recorded, 53, &columns), at_both_ends(&[asked, asked, &answered, &answered]));
    let replies: Vec<&Row> = recorded.flows.iter().filter(|row| row.text("dns_rrtypes") == texts).collect();
    // A message is said when its last byte is: twice 20 ms after the question's last, and once within the answer.
    assert!(replies.iter().all(|row| (20_000_000..5_000_000_000).contains(&row.number("latency_ns"))), "{replies:?}");
    assert_eq!(recorded.losses(), Vec::<String>::new());
}

/// The bytes of a body that goes over many packets.
const BODY: usize = 300_000;

/// Answers three calls of so many bytes: with trailers after a body, with trailers alone, and with a page.
fn answer_calls(mut stream: TcpStream, lengths: [usize; 3]) {
    stream.set_nodelay(true).unwrap();
    let mut encoder = Encoder::default();
    stream.write_all(&frames::frame(4, 0, 0, &[])).unwrap();
    let mut buffer = vec![0; 1 << 16];
    for (call, length) in lengths.into_iter().enumerate() {
        let mut n_read = 0;
        while n_read < length {
            n_read += stream.read(&mut buffer).unwrap();
        }
        pause();
        let id = [1, 3, 5][call];
        let answer = match call {
            0 => [
                encoder.headers(id, 4, &[(":status", "200"), ("content-type", "application/grpc")]),
                frames::data(id, BODY),
                encoder.headers(id, 5, &[("grpc-status", "0")]),
            ]
            .concat(),
            1 => {
                let fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")];
                encoder.headers(id, 5, &fields)
            }
            _ => [encoder.headers(id, 4, &[(":status", "404")]), frames::data_last(id, 10)].concat(),
        };
        stream.write_all(&answer).unwrap();
    }
    // Until the client is gone.
    while stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
}

#[test]
fn http2_and_grpc_are_told_past_large_bodies() {
    let Some(watch) = Watch::new("http2_and_grpc_are_told_past_large_bodies", &Config::default()) else { return };
    let mut encoder = Encoder::default();
    let call = |path| {
        let host = (":authority", "cart:7070");
        [(":method", "POST"), (":scheme", "http"), (":path", path), host, ("content-type", "application/grpc")]
    };
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let trace = &format!("00-{trace_id}-00f067aa0ba902b7-01");
    let page =
        [(":method", "GET"), (":scheme", "http"), (":path", "/p?token=hunter2"), ("traceparent", trace.as_str())];
    let add = encoder.headers(1, 4, &call("/shop.Cart/Add"));
    let calls = [
        [frames::PREFACE, &frames::frame(4, 0, 0, &[]), &add, &frames::data_last(1, BODY)].concat(),
        encoder.headers(3, 5, &call("/shop.Cart/Add")),
        encoder.headers(5, 5, &page),
    ];
    let lengths = calls.each_ref().map(Vec::len);
    let server = serving("127.0.0.1:0", move |stream| answer_calls(stream, lengths));
    let mut client = connect(server);
    for (number, sent) in calls.iter().enumerate() {
        // Cut within the preface, or within the header of a frame.
        let (first, rest) = sent.split_at(if number == 0 { 12 } else { 5 });
        client.write_all(first).unwrap();
        pause();
        client.write_all(rest).unwrap();
        let (mut buffer, mut n_answer) = (vec![0; 1 << 16], 0);
        while n_answer < if number == 0 { BODY } else { 1 } {
            n_answer += client.read(&mut buffer).unwrap();
        }
        pause();
    }
    drop(client);
    pause();
    let recorded = watch.stop();
    let columns = ["direction", "l7_type", "http_method", "http_url", "http_status", "http_headers", "http_protocol"];
    let grpc = "content-type,application/grpc";
    let url = "POST http://cart:7070/shop.Cart/Add";
    let expected = at_both_ends(&[
        &format!("REQUEST {url}  {grpc} HTTP/2"),
        &format!("REQUEST {url}  {grpc} HTTP/2"),
        &format!("RESPONSE {url} 200 {grpc},grpc-status,0 HTTP/2"),
        &format!("RESPONSE {url} 200 {grpc},grpc-status,5 HTTP/2"),
        "REQUEST GET /p?token=[redacted]   HTTP/2",
        "RESPONSE GET /p?token=[redacted] 404  HTTP/2",
    ]);
    assert_eq!(said(&recorded, server.port(), &columns), expected);
    let of = |l7_type: &str| -> Vec<&Row> {
        let rows = recorded.flows.iter();
        let port = server.port().to_string();
        rows.filter(|row| row.text("l7_type") == l7_type && row.text("http_protocol") == "HTTP/2")
            .filter(|row| [row.text("src_port"), row.text("dst_port")].contains(&port))
            .collect()
    };
    let latencies: Vec<u64> = of("RESPONSE").iter().map(|row| row.number("latency_ns")).collect();
    assert!(latencies.iter().all(|latency| (20_000_000..5_000_000_000).contains(latency)), "{latencies:?}");
    let traced = of("REQUEST").iter().filter(|row| row.text("trace_id") == trace_id).count();
    assert_eq!(traced, 2);
    assert_eq!(recorded.losses(), Vec::<String>::new());
}

#[test]
fn many_requests_in_one_packet_are_all_told() {
    let Some(watch) = Watch::new("many_requests_in_one_packet_are_all_told", &Config::default()) else { return };
    let (mut asking, mut answering) = (Encoder::default(), Encoder::default());
    let streams = (1..200_u32).step_by(2);
    let mut asked = [frames::PREFACE, &frames::frame(4, 0, 0, &[])].concat();
    let mut answered = frames::frame(4, 0, 0, &[]);
    for id in streams.clone() {
        let path = format!("/stream-{}", id % 10);
        asked.extend(asking.headers(id, 5, &[(":method", "GET"), (":scheme", "http"), (":path", &path)]));
        answered.extend(answering.headers(id, 5, &[(":status", "204")]));
    }
    let length = asked.len();
    let reply = answered.clone();
    let server = serving("127.0.0.1:0", move |mut stream| {
        stream.read_exact(&mut vec![0; length]).unwrap();
        stream.write_all(&reply).unwrap();
        while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {}
    });
    let mut client = connect(server);
    client.write_all(&asked).unwrap();
    client.read_exact(&mut vec![0; answered.len()]).unwrap();
    drop(client);
    pause();
    let recorded = watch.stop();
    let lines: Vec<String> = streams
        .flat_map(|id| {
            let url = format!("/stream-{}", id % 10);
            [format!("REQUEST {url} "), format!("RESPONSE {url} 204")]
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let told = said(&recorded, server.port(), &["direction", "l7_type", "http_url", "http_status"]);
    assert_eq!(told, at_both_ends(&lines));
    assert_eq!(recorded.losses(), Vec::<String>::new());
}

#[test]
fn answers_that_begin_in_one_packet_and_end_in_others_are_all_told() {
    let test = "answers_that_begin_in_one_packet_and_end_in_others_are_all_told";
    let Some(watch) = Watch::new(test, &Config::default()) else { return };
    let (mut asking, mut answering) = (Encoder::default(), Encoder::default());
    let streams = [1_u32, 3, 5];
    let mut asked = [frames::PREFACE, &frames::frame(4, 0, 0, &[])].concat();
    let (mut begun, mut ends) = (frames::frame(4, 0, 0, &[]), Vec::new());
    let call =
        [(":method", "POST"), (":scheme", "http"), (":path", "/pots/Boil"), ("content-type", "application/grpc")];
    for id in streams {
        asked.extend(asking.headers(id, 5, &call));
        begun.extend(answering.headers(id, 4, &[(":status", "200"), ("content-type", "application/grpc")]));
    }
    for id in streams {
        ends.push(answering.headers(id, 5, &[("grpc-status", "0")]));
    }
    let (length, n_answered) = (asked.len(), begun.len() + ends.iter().map(Vec::len).sum::<usize>());
    let server = serving("127.0.0.1:0", move |mut stream| {
        stream.set_nodelay(true).unwrap();
        stream.read_exact(&mut vec![0; length]).unwrap();
        stream.write_all(&begun).unwrap();
        for end in &ends {
            pause();
            stream.write_all(end).unwrap();
        }
        while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {}
    });
    let mut client = connect(server);
    client.write_all(&asked).unwrap();
    client.read_exact(&mut vec![0; n_answered]).unwrap();
    drop(client);
    pause();
    let recorded = watch.stop();
    let lines: Vec<&str> = streams.iter().flat_map(|_id| ["REQUEST /pots/Boil ", "RESPONSE /pots/Boil 200"]).collect();
    let told = said(&recorded, server.port(), &["direction", "l7_type", "http_url", "http_status"]);
    assert_eq!(told, at_both_ends(&lines));
}

/// Starts a program that serves until it is killed; `None` where there is none.
fn server(test: &str, program: &str, arguments: &[&str], port: u16) -> Option<std::process::Child> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        skip(test, &format!("{program} is not installed"));
        return None;
    };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(child);
        }
        pause();
    }
    panic!("{program} does not listen");
}

/// A port that nobody has.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn curl_nghttp_and_nghttpd_are_told_as_they_are() {
    let test = "curl_nghttp_and_nghttpd_are_told_as_they_are";
    let Some(watch) = Watch::new(test, &Config::default()) else { return };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("large"), vec![b'l'; 3_000_000]).unwrap();
    std::fs::write(directory.path().join("small"), "small").unwrap();
    let port = free_port();
    let root = directory.path().display().to_string();
    let Some(mut served) = server(test, "nghttpd", &["--no-tls", "-d", &root, &port.to_string()], port) else {
        return;
    };
    let base = format!("http://127.0.0.1:{port}");
    let paths = ["/large", "/small", "/none?password=x", "/large?again"];
    let mut nghttp = Command::new("nghttp");
    nghttp.arg("-n").args(paths.map(|path| format!("{base}{path}")));
    let mut curl = Command::new("curl");
    curl.args(["-s", "--http2-prior-knowledge", "-d", "a=b", "-o", "/dev/null", &format!("{base}/small")]);
    let asked = [nghttp.status(), curl.status()];
    served.kill().unwrap();
    served.wait().unwrap();
    if asked.iter().any(Result::is_err) {
        return skip(test, "nghttp or curl is not installed");
    }
    assert!(asked.iter().flatten().all(std::process::ExitStatus::success), "{asked:?}");
    let recorded = watch.stop();
    let columns = ["direction", "l7_type", "http_method", "http_url", "http_status", "summary"];
    let mut lines = Vec::new();
    for (method, path, status) in [
        ("GET", "/large", 200),
        ("GET", "/small", 200),
        ("GET", "/none?password=[redacted]", 404),
        ("GET", "/large?again", 200),
        ("POST", "/small", 200),
    ] {
        lines.push(format!("REQUEST {method} {base}{path}  "));
        lines.push(format!("RESPONSE {method} {base}{path} {status} "));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(said(&recorded, port, &columns), at_both_ends(&lines));
    assert_eq!(recorded.losses(), Vec::<String>::new());
}

#[test]
fn hellos_of_openssl_are_told() {
    let test = "hellos_of_openssl_are_told";
    let Some(watch) = Watch::new(test, &Config::default()) else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (key, cert) = (file("key.pem"), file("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pots.example"])
        .args(["-keyout", &key, "-out", &cert])
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return skip(test, "there is no openssl that makes a certificate");
    }
    let mut expected = Vec::new();
    for (version, name, alpn) in [("-tls1_2", "TLS 1.2", "h2"), ("-tls1_3", "TLS 1.3", "")] {
        let port = free_port();
        let arguments =
            ["s_server", "-quiet", "-accept", &port.to_string(), "-key", &key, "-cert", &cert, "-alpn", "h2", version];
        let Some(mut served) = server(test, "openssl", &arguments, port) else { return };
        let talked = Command::new("openssl")
            .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", "pots.example"])
            .args(["-alpn", "h2,http/1.1", version])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(talked.success(), "{version}");
        served.kill().unwrap();
        served.wait().unwrap();
        expected.push((port, name, alpn));
    }
    let recorded = watch.stop();
    for (port, version, alpn) in expected {
        // What TLS 1.3 agrees on but the version and the cipher is encrypted.
        let columns = ["direction", "l7_type", "l7_protocol", "tls_server_name", "tls_version", "tls_alpn"];
        let answered = format!("RESPONSE TLS pots.example {version} {alpn}");
        assert_eq!(said(&recorded, port, &columns), at_both_ends(&["REQUEST TLS pots.example  ", &answered]));
        let replies = recorded.flows.iter().filter(|row| {
            row.text("l7_type") == "RESPONSE"
                && [row.text("src_port"), row.text("dst_port")].contains(&port.to_string())
        });
        let replies: Vec<&Row> = replies.collect();
        assert!(replies.iter().all(|row| row.text("tls_cipher").starts_with("TLS_")), "{replies:?}");
        assert!(replies.iter().all(|row| (1..5_000_000_000).contains(&row.number("latency_ns"))), "{replies:?}");
    }
}
