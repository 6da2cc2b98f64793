//! Flow logs of every format.
#![no_main]

use hindcast_packets::Origin;
use hindcast_packets::flow_logs::{FlowLogFormat, FlowLogImport};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for format in [FlowLogFormat::Aws, FlowLogFormat::Gcp, FlowLogFormat::Azure, FlowLogFormat::NetObserv] {
        let mut import = FlowLogImport::new(bytes, format, Origin::default());
        let mut n_rows = 0;
        while let Ok(Some(batch)) = import.next_batch() {
            n_rows += batch.n_rows() as u64;
        }
        assert!(import.counts().add_up());
        assert_eq!(import.counts().rows, n_rows);
    }
});
