//! Prints the rows that a capture becomes, one line each, and what was counted: `rows FILE…`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::fs::File;

use hindcast_model::tables::flows::View;
use hindcast_packets::PcapImport;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        println!("== {path}");
        let mut import = PcapImport::new(File::open(&path)?);
        loop {
            let batch = match import.next_batch() {
                Ok(batch) => batch,
                Err(error) => {
                    println!("{}", hindcast_model::report(&error));
                    import.finish()?
                }
            };
            let Some(batch) = batch else { break };
            print(&View::new(&batch.records)?);
        }
        println!("{:?} {:?}", import.counts(), import.damage());
    }
    Ok(())
}

fn print(rows: &View<'_>) {
    for row in 0..rows.n_rows() {
        let mut line = Vec::new();
        let numbers = [
            ("status", rows.http_status.get(row).map(u64::from)),
            ("rcode", rows.dns_rcode.get(row).map(u64::from)),
            ("ttl", rows.dns_ttl_s.get(row).map(u64::from)),
            ("flags", rows.tcp_flags.get(row).map(u64::from)),
            ("bytes", rows.bytes_sent.get(row)),
            ("back", rows.bytes_received.get(row)),
            ("packets", rows.packets_sent.get(row)),
            ("back", rows.packets_received.get(row)),
            ("again", rows.retransmits.get(row).map(u64::from)),
            ("rtt", rows.rtt_ns.get(row)),
            ("latency", rows.latency_ns.get(row)),
        ];
        let texts = [
            rows.protocol.get(row),
            rows.l7_protocol.get(row),
            rows.l7_type.get(row),
            rows.dns_qtypes.get(row),
            rows.dns_query.get(row),
            rows.dns_ips.get(row),
            rows.dns_cnames.get(row),
            rows.http_method.get(row),
            rows.http_url.get(row),
            rows.http_protocol.get(row),
            rows.http_headers.get(row),
            rows.tls_server_name.get(row),
            rows.tls_version.get(row),
            rows.tls_cipher.get(row),
            rows.tls_alpn.get(row),
        ];
        line.extend(texts.into_iter().flatten().map(str::to_owned));
        line.extend(numbers.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}"))));
        let port = |port: Option<u16>| port.map(|port| port.to_string()).unwrap_or_default();
        println!(
            "{} {}:{} > {}:{} {:?} {}",
            rows.time.get(row).unwrap_or_default(),
            rows.src_ip.get(row).unwrap_or_default(),
            port(rows.src_port.get(row)),
            rows.dst_ip.get(row).unwrap_or_default(),
            port(rows.dst_port.get(row)),
            rows.is_reply.get(row),
            line.join(" "),
        );
    }
}
