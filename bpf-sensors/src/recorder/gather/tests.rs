//! Events of several rings in one order.

use super::Gathered;
use crate::decode;

fn event(ts: u64, tag: u32) -> Vec<u8> {
    let mut bytes = ts.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&tag.to_ne_bytes());
    bytes.extend_from_slice(&[0; 12]);
    bytes
}

fn taken(gathered: &mut Gathered) -> Vec<(u64, u32)> {
    let mut order = Vec::new();
    gathered.in_order(|bytes| {
        let header = decode::header(bytes).unwrap();
        order.push((header.ts, header.process.pid));
    });
    order
}

#[test]
fn events_come_in_order_of_time_and_younger_ones_wait() {
    let mut gathered = Gathered::default();
    gathered.begin(100);
    for (ts, tag) in [(50, 1), (120, 2), (10, 3), (50, 4), (100, 5)] {
        gathered.push(&event(ts, tag));
    }
    assert_eq!(taken(&mut gathered), [(10, 3), (50, 1), (50, 4), (100, 5)]);
    assert_eq!(taken(&mut gathered), []);
    gathered.begin(200);
    gathered.push(&event(110, 6));
    assert_eq!(taken(&mut gathered), [(110, 6), (120, 2)]);
    assert!(gathered.bytes.is_empty() && gathered.slots.is_empty());
}

#[test]
fn bytes_without_a_header_are_handed_on_at_once() {
    let mut gathered = Gathered::default();
    gathered.begin(1);
    gathered.push(b"short");
    let mut lengths = Vec::new();
    gathered.in_order(|bytes| lengths.push(bytes.len()));
    assert_eq!(lengths, [5]);
}
