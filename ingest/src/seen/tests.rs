//! Telling repeats equals a plain list of what was recorded, whatever is forgotten in between.
use hindcast_model::TableId;
use hindcast_model::tables::flows;
use proptest::prelude::*;

use super::{BatchKeys, Minute, NANOS_PER_MINUTE, Seen};

/// A row: minute, what is observed, and perhaps a uuid.
type Row = (i64, u8, Option<u8>);

fn batch(rows: &[Row]) -> BatchKeys {
    let mut builder = flows::Builder::default();
    for (minute, port, uuid) in rows {
        let row = builder.row();
        builder.time.set(row, minute * NANOS_PER_MINUTE + 7);
        builder.recorded_at.set(row, 1);
        builder.source_kind.set(row, "hubble");
        builder.flow_count.set(row, 1);
        builder.dst_port.set(row, u16::from(*port));
        if let Some(uuid) = uuid {
            builder.uuid.set(row, &format!("uuid-{uuid}"));
        }
        builder.commit();
    }
    BatchKeys::of(TableId::Flows, &builder.finish().expect("whole rows"))
}

/// The plain list: a row is new unless a recorded one agrees, differing uuids apart.
fn is_new(recorded: &mut Vec<Row>, row: Row) -> bool {
    let agrees = |other: &Row| {
        (other.0, other.1) == (row.0, row.1) && (other.2 == row.2 || other.2.is_none() || row.2.is_none())
    };
    if recorded.iter().any(agrees) {
        return false;
    }
    recorded.push(row);
    true
}

fn any_row() -> impl Strategy<Value = Row> {
    (-3_i64..3, 0_u8..3, proptest::option::of(0_u8..3))
}

proptest! {
    #[test]
    fn admitting_equals_a_list(
        batches in proptest::collection::vec((proptest::collection::vec(any_row(), 0..12), any::<bool>()), 0..12),
        max_keys in 1_usize..20,
    ) {
        let mut seen = Seen::new(max_keys);
        let mut recorded: Vec<Row> = Vec::new();
        for (rows, fails) in batches {
            let keys = batch(&rows);
            let mut minutes = Vec::new();
            keys.minutes(TableId::Flows, &mut minutes);
            for minute in minutes {
                if !seen.holds(minute) {
                    let of_minute: Vec<Row> =
                        recorded.iter().copied().filter(|row| row.0 == minute.number).collect();
                    seen.load(minute, batch(&of_minute).keys);
                }
            }
            let before = recorded.clone();
            let expected: Vec<bool> = rows.iter().map(|row| is_new(&mut recorded, *row)).collect();
            let found = seen.admit(TableId::Flows, &keys);
            prop_assert_eq!(&found, &expected);
            if fails {
                seen.retract(TableId::Flows, &keys, &found);
                recorded = before;
            }
            seen.forget();
            prop_assert!(seen.n_keys() <= max_keys || seen.n_minutes() == 1);
        }
    }
}

#[test]
fn minutes_hold_their_edges() {
    let minute = Minute::of(TableId::Flows, -1);
    assert_eq!((minute.start().as_nanos(), minute.end().as_nanos()), (-NANOS_PER_MINUTE, 0));
}

#[test]
fn telling_repeats_is_cheap() {
    const N_ROWS: u32 = 200_000;
    let rows: Vec<Row> = (0..N_ROWS).map(|n| (i64::from(n / 20_000), 0, None)).collect();
    let mut keys = batch(&rows);
    for (n, key) in (0_u64..).zip(&mut keys.keys) {
        key.id = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    let mut seen = Seen::new(10_000_000);
    let started = std::time::Instant::now();
    let n_new = seen.admit(TableId::Flows, &keys).into_iter().filter(|new| *new).count();
    let per_row = started.elapsed().as_nanos() / u128::from(N_ROWS);
    println!("{per_row} ns a row");
    assert_eq!(n_new, 200_000);
}
