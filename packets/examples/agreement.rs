//! Reads every capture below a folder, and compares what it becomes with what stands beside it: the parses of
//! DeepFlow (`.result`) and the prints of tcpdump (`.out`). Usage: `agreement FOLDER`.
//!
//! What is compared is told as short facts, one for each message or connection, and facts are matched one to one.
//! Results of protocols that are not read here are counted as such.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hindcast_model::tables::flows::View;
use hindcast_packets::import::{ImportConfig, ImportCounts};
use hindcast_packets::layers::NotUnderstood;
use hindcast_packets::{PcapImport, redact::Redactor};
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).ok_or("usage: agreement FOLDER")?;
    let folder = Path::new(&folder);
    let mut paths = Vec::new();
    find(folder, &mut paths)?;
    paths.sort();
    let mut all = Totals::default();
    let mut compared = Vec::new();
    for path in &paths {
        let capture = read(path)?;
        all.add(&capture);
        compared.extend(compare(folder, path, &capture)?);
    }
    all.print();
    print_table(&compared);
    Ok(())
}

fn find(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng") {
            paths.push(path);
        }
    }
    Ok(())
}

/// What a capture became.
struct Capture {
    counts: ImportCounts,
    n_damaged: u64,
    most_held: (usize, usize),
    /// The longest time from a datagram's query to its response.
    udp_response_ns: u64,
    facts: Vec<String>,
    connections: Vec<Connection>,
}

struct Connection {
    bytes: u64,
    packets: u64,
    rtt_ns: u64,
    retransmits: u32,
}

fn read(path: &Path) -> Result<Capture, Failure> {
    let config = ImportConfig { redactor: Redactor::none(), ..ImportConfig::default() };
    let mut import = PcapImport::with_config(File::open(path)?, config);
    let mut capture = Capture {
        counts: ImportCounts::default(),
        n_damaged: 0,
        most_held: (0, 0),
        udp_response_ns: 0,
        facts: Vec::new(),
        connections: Vec::new(),
    };
    while let Some(batch) = import.next_batch()? {
        let (n_connections, n_bytes) = import.n_held();
        capture.most_held = (capture.most_held.0.max(n_connections), capture.most_held.1.max(n_bytes));
        tell(&View::new(&batch.records)?, &mut capture);
    }
    capture.counts = import.counts().clone();
    capture.n_damaged = import.damage().n_blocks;
    Ok(capture)
}

/// The rows as facts.
fn tell(rows: &View<'_>, capture: &mut Capture) {
    for row in 0..rows.n_rows() {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let is_response = rows.l7_type.get(row) == Some("RESPONSE");
        if rows.protocol.get(row) == Some("UDP") {
            capture.udp_response_ns = capture.udp_response_ns.max(rows.latency_ns.get(row).unwrap_or(0));
        }
        match rows.l7_protocol.get(row) {
            None => capture.connections.push(Connection {
                bytes: rows.bytes_sent.get(row).unwrap_or(0) + rows.bytes_received.get(row).unwrap_or(0),
                packets: rows.packets_sent.get(row).unwrap_or(0) + rows.packets_received.get(row).unwrap_or(0),
                rtt_ns: rows.rtt_ns.get(row).unwrap_or(0),
                retransmits: rows.retransmits.get(row).unwrap_or(0),
            }),
            Some("DNS") => {
                let name = text(rows.dns_query.get(row));
                let kind = text(rows.dns_qtypes.get(row));
                capture.facts.push(if is_response {
                    let code = rows.dns_rcode.get(row).unwrap_or_default();
                    let ips = text(rows.dns_ips.get(row));
                    format!(
                        "dns response {kind} {name} code {code} [{ips}] after {} µs",
                        micros(rows.latency_ns.get(row))
                    )
                } else {
                    format!("dns query {kind} {name}")
                });
            }
            Some("HTTP") if is_response => {
                let status = rows.http_status.get(row).unwrap_or_default();
                capture.facts.push(format!("http response {status} after {} µs", micros(rows.latency_ns.get(row))));
            }
            Some("HTTP") => {
                let method = text(rows.http_method.get(row));
                capture.facts.push(format!("http request {method} {}", text(rows.http_url.get(row))));
            }
            Some(_) => {}
        }
    }
}

fn micros(nanos: Option<u64>) -> u64 {
    nanos.unwrap_or_default() / 1000
}

/// A capture beside which an expected result stands.
struct Compared {
    name: String,
    what: &'static str,
    n_agreed: usize,
    missing: Vec<String>,
    extra: Vec<String>,
}

fn compare(folder: &Path, path: &Path, capture: &Capture) -> Result<Option<Compared>, Failure> {
    let name = path.strip_prefix(folder)?.display().to_string();
    let (expected, ours, what) = if let Ok(text) = fs::read_to_string(path.with_extension("result")) {
        deepflow(&text, capture)
    } else if let Ok(text) = fs::read_to_string(path.with_extension("out")) {
        let (expected, ours) = tcpdump(&text, capture);
        (expected, ours, "tcpdump")
    } else {
        return Ok(None);
    };
    let (mut extra, mut missing, mut n_agreed) = (ours, Vec::new(), 0);
    for fact in expected {
        if let Some(position) = extra.iter().position(|ours| is_same(ours, &fact)) {
            extra.remove(position);
            n_agreed += 1;
        } else {
            missing.push(fact);
        }
    }
    Ok(Some(Compared { name, what, n_agreed, missing, extra }))
}

/// Whether two facts agree; a `?` stands for what the other side does not tell.
fn is_same(ours: &str, expected: &str) -> bool {
    let (mut ours, mut expected) = (ours.split(' '), expected.split(' '));
    loop {
        match (ours.next(), expected.next()) {
            (None, None) => return true,
            (Some(our), Some(their)) if our == their || their == "?" => {}
            _ => return false,
        }
    }
}

/// The facts that DeepFlow told, ours to be compared with them, and of which protocol they are.
fn deepflow(text: &str, capture: &Capture) -> (Vec<String>, Vec<String>, &'static str) {
    if text.contains(" is_dns: ") {
        return (text.lines().filter_map(deepflow_dns).collect(), of(capture, "dns "), "dns");
    }
    if text.contains("HttpInfo {") {
        return (text.lines().filter_map(deepflow_http).collect(), of(capture, "http "), "http");
    }
    if text.contains("PerfData {") {
        // The last block sums up the ones before it.
        let last = text.rsplit("perf data from").next().unwrap_or_default();
        let number =
            |name: &str| after(last, name).and_then(|rest| rest.split(',').next()).unwrap_or_default().to_owned();
        let expected = format!("tcp retransmits {} rtt {}", number("retrans_sum: "), number("rtt_full: "));
        let retransmits: u32 = capture.connections.iter().map(|connection| connection.retransmits).sum();
        let rtt_ns: u64 = capture.connections.iter().map(|connection| connection.rtt_ns).sum();
        return (vec![expected], vec![format!("tcp retransmits {retransmits} rtt {rtt_ns}ns")], "tcp");
    }
    if text.contains("UdpPerf {") {
        let last = text.rsplit("art_max: ").next().unwrap_or_default();
        let expected = format!("udp longest response {}", last.split(',').next().unwrap_or_default());
        let ours = std::time::Duration::from_nanos(capture.udp_response_ns);
        return (vec![expected], vec![format!("udp longest response {ours:?}")], "udp");
    }
    (Vec::new(), Vec::new(), "other protocol")
}

fn of(capture: &Capture, prefix: &str) -> Vec<String> {
    capture.facts.iter().filter(|fact| fact.starts_with(prefix)).cloned().collect()
}

fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_once(name).map(|(_, rest)| rest)
}

fn deepflow_dns(line: &str) -> Option<String> {
    let json = line.get(..=line.rfind('}')?)?;
    let message: Value = serde_json::from_str(json).ok()?;
    let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| message.get(name).and_then(Value::as_u64).unwrap_or_default();
    let name = format!("{}.", text("request_resource"));
    let kind = text("request_type");
    if text("msg_type") == "Request" {
        return Some(format!("dns query {kind} {name}"));
    }
    let ips: Vec<&str> = text("response_result")
        .split([' ', ';', ','])
        .filter_map(|word| word.strip_prefix("A=").or_else(|| word.strip_prefix("AAAA=")))
        .collect();
    let (code, rrt) = (number("response_code"), number("rrt"));
    Some(format!("dns response {kind} {name} code {code} [{}] after {rrt} µs", ips.join(",")))
}

fn deepflow_http(line: &str) -> Option<String> {
    let quoted = |name: &str| after(line, name).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let word = |name: &str| after(line, name).and_then(|rest| rest.split([',', ' ', ')']).next()).unwrap_or_default();
    match word("msg_type: ") {
        "Request" => {
            // For HTTP/2 it names the kind of frame in place of the method.
            let method = word(" method: ");
            let method = if method.starts_with('_') { "?".to_owned() } else { method.to_ascii_uppercase() };
            Some(format!("http request {method} {}", quoted(" path: \"")))
        }
        // It has no times in these results. A session is a response that it joined with its request.
        "Response" | "Session" => Some(format!("http response {} after ? µs", word("status_code: Some("))),
        _ => None,
    }
}

/// The facts of a print: packets, their bytes where it tells the length of the IP packet, and DNS names asked for.
fn tcpdump(text: &str, capture: &Capture) -> (Vec<String>, Vec<String>) {
    let n_packets = text.lines().filter(|line| line.contains(" IP ") || line.contains(" IP6 ")).count();
    let mut expected = vec![format!("packets {n_packets}")];
    let packets: u64 = capture.connections.iter().map(|connection| connection.packets).sum();
    let mut ours = vec![format!("packets {packets}")];
    let lengths =
        text.lines().filter_map(|line| after(line, "), length ")?.split([' ', ')']).next()?.parse::<u64>().ok());
    let n_bytes: u64 = lengths.sum();
    if n_bytes > 0 {
        expected.push(format!("bytes {n_bytes}"));
        ours.push(format!("bytes {}", capture.connections.iter().map(|connection| connection.bytes).sum::<u64>()));
    }
    for line in text.lines() {
        if let Some((before, rest)) = line.split_once("? ")
            && let (Some(kind), Some(name)) = (before.rsplit(' ').next(), rest.split(' ').next())
        {
            expected.push(format!("dns query {kind} {name}"));
        } else if line.contains("*- ") {
            let ips: Vec<&str> = line.split(" A ").skip(1).filter_map(|rest| rest.split([',', ' ']).next()).collect();
            expected.push(format!("dns answer [{}]", ips.join(",")));
        }
    }
    for fact in of(capture, "dns ") {
        let ips = after(&fact, "[").and_then(|rest| rest.split(']').next());
        ours.push(ips.map(|ips| format!("dns answer [{ips}]")).unwrap_or(fact));
    }
    (expected, ours)
}

/// All captures together.
#[derive(Default)]
struct Totals {
    n_captures: u64,
    n_unbalanced: u64,
    n_damaged: u64,
    most_held: (usize, usize),
    counts: ImportCounts,
}

impl Totals {
    fn add(&mut self, capture: &Capture) {
        self.n_captures += 1;
        self.n_unbalanced += u64::from(!capture.counts.add_up() || capture.counts.open > 0);
        self.n_damaged += capture.n_damaged;
        self.most_held = (self.most_held.0.max(capture.most_held.0), self.most_held.1.max(capture.most_held.1));
        let (sum, one) = (&mut self.counts, &capture.counts);
        for (sum, one) in sum.not_understood.iter_mut().zip(one.not_understood) {
            *sum += one;
        }
        for (sum, one) in [
            (&mut sum.packets, one.packets),
            (&mut sum.in_connections, one.in_connections),
            (&mut sum.connections, one.connections),
            (&mut sum.dns, one.dns),
            (&mut sum.http, one.http),
            (&mut sum.tls, one.tls),
            (&mut sum.dns_faults, one.dns_faults),
            (&mut sum.http_faults, one.http_faults),
            (&mut sum.tls_faults, one.tls_faults),
            (&mut sum.evicted, one.evicted),
            (&mut sum.given_up, one.given_up),
        ] {
            *sum += one;
        }
    }

    fn print(&self) {
        let counts = &self.counts;
        println!(
            "captures {}, damaged blocks {}, not adding up {}",
            self.n_captures, self.n_damaged, self.n_unbalanced
        );
        println!("packets {}: in connections {}", counts.packets, counts.in_connections);
        for reason in NotUnderstood::ALL {
            println!("  {} {}", reason.as_str(), counts.of(reason));
        }
        println!(
            "rows: connections {}, dns {}, http {}, tls {}",
            counts.connections, counts.dns, counts.http, counts.tls
        );
        println!("faults: dns {}, http {}, tls {}", counts.dns_faults, counts.http_faults, counts.tls_faults);
        println!("evicted {}, given up {}", counts.evicted, counts.given_up);
        let peak = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or(" unknown");
        println!(
            "peak memory of the process:{}",
            peak.split_whitespace().fold(String::new(), |text, word| text + " " + word)
        );
    }
}

fn print_table(compared: &[Compared]) {
    println!("\n| capture | expected of | agree | only expected | only ours |\n|---|---|---|---|---|");
    for one in compared.iter().filter(|one| one.n_agreed + one.missing.len() + one.extra.len() > 0) {
        println!("| {} | {} | {} | {} | {} |", one.name, one.what, one.n_agreed, one.missing.len(), one.extra.len());
    }
    let n_unread = compared.iter().filter(|one| one.n_agreed + one.missing.len() + one.extra.len() == 0).count();
    println!("\nresults of protocols that are not read here, not compared: {n_unread}");
    println!("\ndifferences");
    for one in compared {
        for fact in &one.missing {
            println!("  {}: only expected: {fact}", one.name);
        }
        for fact in &one.extra {
            println!("  {}: only ours: {fact}", one.name);
        }
    }
}
