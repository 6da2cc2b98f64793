//! Export datagrams of any version, several from one exporter.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use hindcast_model::Timestamp;
use hindcast_packets::export::{ExportConfig, ExportDecoder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagrams: Vec<Vec<u8>>| {
    let mut decoder = ExportDecoder::new(ExportConfig { most_exporters: 4, most_templates: 8, ..ExportConfig::default() });
    for (nth, datagram) in datagrams.iter().take(16).enumerate() {
        let exporter = IpAddr::V4(Ipv4Addr::new(192, 0, 2, (nth % 2) as u8));
        let _either = decoder.take(exporter, Timestamp::from_nanos(0), datagram);
        assert!(decoder.n_exporters() <= 4);
    }
    let n_rows: usize = decoder.finish().unwrap().iter().map(|batch| batch.n_rows()).sum();
    let counts = decoder.counts();
    assert_eq!(counts.records, counts.rows + counts.rejected);
    assert_eq!(counts.rows, n_rows as u64);
});
