//! Captures to rows: the accounting law holds whatever the bytes, and what is held is bounded.
#![no_main]

use hindcast_packets::import::{ImportConfig, PcapImport};
use hindcast_packets::redact::Redactor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let config = ImportConfig {
        // The rules are compiled anew for every input otherwise.
        redactor: Redactor::none(),
        rows_per_batch: 4,
        most_connections: 8,
        most_held_bytes: 4096,
        ..ImportConfig::default()
    };
    let mut import = PcapImport::with_config(bytes, config);
    let mut n_rows = 0;
    while let Ok(Some(batch)) = import.next_batch() {
        n_rows += batch.n_rows() as u64;
        assert!(import.n_held().0 <= 8 && import.n_held().1 <= 4096);
    }
    n_rows += import.finish().unwrap().map_or(0, |batch| batch.n_rows() as u64);
    let counts = import.counts();
    assert!(counts.add_up() && counts.open == 0);
    assert_eq!(n_rows, counts.connections + counts.dns + counts.http + counts.tls);
});
