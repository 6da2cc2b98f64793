//! Batches to bytes and back.

use hindcast_model::Batch;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{self, MINUTE, T0, Traffic};
use crate::memory;

fn check(batches: &[Batch]) {
    let (normalized, _) = memory::prepare(batches).unwrap();
    let bytes = encode(normalized.iter());
    let decoded = decode(&bytes).unwrap();
    assert_eq!(decoded.len(), normalized.len());
    for (decoded, written) in decoded.iter().zip(&normalized) {
        assert_eq!(decoded.table, written.table);
        assert_eq!(decoded.records, written.records);
    }
}

#[test]
fn batches_come_back_also_as_slices_and_with_many_values() {
    let flows = Traffic::new(1, 200).flows(700, T0, 60 * MINUTE);
    let runtime = fixtures::runtime(1, 70_000, T0);
    check(&[flows.clone(), runtime.clone()]);
    for (offset, len) in [(0, 1), (1, 8), (13, 500), (699, 1)] {
        check(&[Batch { table: flows.table, records: flows.records.slice(offset, len) }]);
        check(&[Batch { table: runtime.table, records: runtime.records.slice(offset, len) }]);
    }
}

#[test]
fn a_slice_costs_what_it_holds() {
    let flows = Traffic::new(1, 200).flows(5000, T0, 60 * MINUTE);
    let slice = Batch { table: flows.table, records: flows.records.slice(17, 3) };
    assert!(encode([slice].iter()).len() < 2500);
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(
        seed in 0..4_u64,
        at in 0..4000_usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..20),
        cut in 0..4000_usize,
    ) {
        let batch = Traffic::new(seed, 20).flows(20, T0, MINUTE);
        let mut payload = encode([batch].iter());
        let at = at % payload.len();
        for (target, byte) in payload.iter_mut().skip(at).zip(bytes) {
            *target = byte;
        }
        payload.truncate(payload.len() - cut % payload.len() / 50);
        // Any answer will do, as long as it is one.
        drop(decode(&payload));
    }
}
