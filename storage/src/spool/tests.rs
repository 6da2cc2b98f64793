//! The spool against a model: a queue that forgets nothing but what was acknowledged.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const LIMIT: u64 = 256 << 10;

fn opened(dir: &Path) -> Spool {
    Spool::open(dir, LIMIT).unwrap()
}

fn record(position: u64, payload: Vec<u8>) -> Spooled {
    Spooled::Record { position: Lsn::new(position), payload }
}

/// All that can be read now.
fn drained(spool: &mut Spool) -> Vec<Spooled> {
    std::iter::from_fn(|| spool.take().unwrap()).collect()
}

fn log_files(dir: &Path) -> Vec<PathBuf> {
    reader::list(&RealFs, dir).unwrap().into_iter().map(|(path, _, _)| path).collect()
}

#[test]
fn what_is_not_acknowledged_is_there_again_and_positions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = opened(dir.path());
    assert_eq!(spool.append(vec![vec![1; 10], vec![2; 20]]).unwrap(), Lsn::new(1));
    assert_eq!(spool.take().unwrap(), Some(record(1, vec![1; 10])));
    spool.acknowledge(Lsn::new(1)).unwrap();
    drop(spool);
    let mut spool = opened(dir.path());
    assert_eq!(spool.append(vec![vec![3; 30]]).unwrap(), Lsn::new(3));
    assert_eq!(drained(&mut spool), [record(2, vec![2; 20]), record(3, vec![3; 30])]);
    spool.acknowledge(Lsn::new(3)).unwrap();
    drop(spool);
    let mut spool = opened(dir.path());
    assert_eq!((spool.status().waiting, log_files(dir.path()).len()), (0, 0), "all is acknowledged: nothing is kept");
    assert_eq!(spool.append(vec![vec![4]]).unwrap(), Lsn::new(4), "a position is never given twice");
}

#[test]
fn nothing_is_acknowledged_that_was_not_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = opened(dir.path());
    spool.append(vec![vec![1], vec![2]]).unwrap();
    spool.acknowledge(Lsn::new(2)).unwrap();
    assert_eq!(drained(&mut spool).len(), 2);
}

#[test]
fn a_full_spool_refuses_and_takes_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = opened(dir.path());
    let mut n_taken = 0;
    let error = loop {
        match spool.append(vec![vec![7; 10_000]]) {
            Ok(_) => n_taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpoolError::Full { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Busy);
    assert!((20..=26).contains(&n_taken), "{n_taken}");
    let on_disk: u64 = log_files(dir.path()).iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
    assert!(on_disk <= LIMIT, "{on_disk}");
    assert_eq!(spool.status().n_bytes, on_disk);
    // One file's records gone make room for one file's records.
    for position in 1..=4 {
        assert!(spool.take().unwrap().is_some());
        spool.acknowledge(Lsn::new(position)).unwrap();
    }
    spool.append(vec![vec![7; 10_000]]).unwrap();
    drained(&mut spool);
    spool.acknowledge(Lsn::new(n_taken + 1)).unwrap();
    spool.append(vec![vec![7; 200_000]]).unwrap();
}

#[test]
fn another_process_has_no_business_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let _spool = opened(dir.path());
    assert!(matches!(Spool::open(dir.path(), LIMIT), Err(OpenError::Locked { .. })));
}

#[test]
fn a_marker_that_is_lost_or_damaged_sends_again_and_loses_nothing() {
    for damage in [None, Some(vec![]), Some(vec![0xFF; MARKER_LEN]), Some(b"HCASTACK".to_vec())] {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = opened(dir.path());
        spool.append(vec![vec![1; 10], vec![2; 10]]).unwrap();
        spool.take().unwrap();
        spool.acknowledge(Lsn::new(1)).unwrap();
        drop(spool);
        let marker = dir.path().join(MARKER);
        match damage {
            Some(bytes) => std::fs::write(marker, bytes).unwrap(),
            None => std::fs::remove_file(marker).unwrap(),
        }
        assert_eq!(drained(&mut opened(dir.path())).len(), 2);
    }
}

#[test]
fn the_marker_stays_small_and_a_torn_entry_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = opened(dir.path());
    let n_records = MARKER_ENTRIES as u64 + 10;
    spool.append(vec![vec![1]; usize::try_from(n_records).unwrap()]).unwrap();
    for position in 1..=n_records {
        spool.take().unwrap();
        spool.acknowledge(Lsn::new(position)).unwrap();
    }
    let marker = dir.path().join(MARKER);
    let bytes = std::fs::read(&marker).unwrap();
    assert_eq!(bytes.len(), 10 * MARKER_LEN);
    drop(spool);
    for n_cut in 0..MARKER_LEN {
        std::fs::write(&marker, &bytes[..bytes.len() - n_cut]).unwrap();
        assert_eq!(opened(dir.path()).acknowledged.get(), n_records - u64::from(n_cut > 0));
    }
}

#[test]
fn damage_is_told_in_its_place_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = opened(dir.path());
    // 16 KiB files: two records each.
    for number in 1..=6 {
        spool.append(vec![vec![number; 9_000]]).unwrap();
    }
    drop(spool);
    let files = log_files(dir.path());
    assert_eq!(files.len(), 3);
    let mut bytes = std::fs::read(&files[1]).unwrap();
    bytes[12_000] ^= 1;
    std::fs::write(&files[1], bytes).unwrap();
    let mut spool = opened(dir.path());
    let read: Vec<u64> = drained(&mut spool).iter().map(|spooled| spooled.last().get()).collect();
    assert_eq!(read, [1, 2, 3, 4, 5, 6]);
    spool.acknowledge(Lsn::new(6)).unwrap();
    assert_eq!(spool.append(vec![vec![7]]).unwrap(), Lsn::new(7));
    assert_eq!(drained(&mut spool), [record(7, vec![7])]);
}

#[test]
fn damage_in_the_last_file_takes_a_position_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = opened(dir.path());
    spool.append(vec![vec![1; 1_000]]).unwrap();
    spool.append(vec![vec![2; 1_000]]).unwrap();
    spool.append(vec![vec![3; 1_000]]).unwrap();
    drop(spool);
    let file = log_files(dir.path()).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1_500] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let mut spool = opened(dir.path());
    let position = spool.append(vec![vec![4]]).unwrap();
    let read = drained(&mut spool);
    let damaged = Spooled::Damaged { first: Lsn::new(2), last: Lsn::new(2) };
    assert_eq!(read, [record(1, vec![1; 1_000]), damaged, record(position.get(), vec![4])]);
}

#[test]
fn a_spool_of_a_later_build_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = opened(dir.path());
    spool.append(vec![vec![1; 100]]).unwrap();
    drop(spool);
    let file = log_files(dir.path()).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&file, &bytes).unwrap();
    assert!(matches!(Spool::open(dir.path(), LIMIT), Err(OpenError::Log { .. })));
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[derive(Clone, Debug)]
enum Step {
    /// Records of these lengths, with one sync.
    Append(Vec<u16>),
    /// Take up to so many.
    Take(u8),
    /// Acknowledge so many of those taken.
    Acknowledge(u8),
    /// The process ends, and so much of a further record was written: per mille of it.
    Crash(Option<u16>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec(0..9_000_u16, 1..4).prop_map(Step::Append),
        4 => (1..20_u8).prop_map(Step::Take),
        3 => (1..20_u8).prop_map(Step::Acknowledge),
        1 => prop::option::of(0..1000_u16).prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..80)
}

/// What a spool must do.
#[derive(Debug, Default)]
struct Model {
    /// Not acknowledged, oldest first.
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// How many of them were handed out by this process.
    n_taken: usize,
    next: u64,
}

/// Puts a part of a record behind the last one, as a write that the end of the process interrupted.
fn tear(dir: &Path, next: u64, per_mille: u16) {
    let payload = Payload::new(vec![0xAB; 500]);
    let lsn = Lsn::new(next);
    let synced = Lsn::new(next - 1);
    let mut bytes = format::RecordHeader { len: 500, payload_crc: payload.crc, lsn, synced }.to_bytes().to_vec();
    bytes.extend_from_slice(&payload.bytes);
    bytes.truncate(bytes.len() * usize::from(per_mille) / 1000);
    if let Some(last) = log_files(dir).last() {
        use std::io::Write as _;
        std::fs::File::options().append(true).open(last).unwrap().write_all(&bytes).unwrap();
    }
}

impl Model {
    fn step(&mut self, step: &Step, spool: &mut Option<Spool>, dir: &Path) {
        let open = spool.as_mut().unwrap();
        match step {
            Step::Append(lengths) => {
                let filled = |(offset, length): (usize, &u16)| {
                    vec![u8::try_from((self.next + offset as u64) % 251).unwrap(); usize::from(*length)]
                };
                let payloads: Vec<Vec<u8>> = lengths.iter().enumerate().map(filled).collect();
                match open.append(payloads.clone()) {
                    Ok(first) => {
                        assert_eq!(first.get(), self.next);
                        for payload in payloads {
                            self.waiting.push_back((self.next, payload));
                            self.next += 1;
                        }
                    }
                    Err(error) => assert!(matches!(error, SpoolError::Full { .. }), "{error}"),
                }
            }
            Step::Take(most) => {
                for _ in 0..*most {
                    let expected = self.waiting.get(self.n_taken).cloned();
                    assert_eq!(open.take().unwrap(), expected.map(|(position, payload)| record(position, payload)));
                    self.n_taken = self.waiting.len().min(self.n_taken + 1);
                }
            }
            Step::Acknowledge(most) => {
                let n_done = usize::from(*most).min(self.n_taken);
                let done: Vec<_> = self.waiting.drain(..n_done).collect();
                self.n_taken -= n_done;
                if let Some((position, _)) = done.last() {
                    open.acknowledge(Lsn::new(*position)).unwrap();
                }
            }
            Step::Crash(torn) => {
                drop(spool.take());
                if let Some(per_mille) = torn {
                    tear(dir, self.next, *per_mille);
                }
                *spool = Some(opened(dir));
                self.n_taken = 0;
            }
        }
        let status = spool.as_ref().unwrap().status();
        assert!(status.n_bytes <= LIMIT, "{status:?}");
        assert_eq!(status.waiting, self.waiting.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn it_is_a_queue_through_any_crash(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Some(opened(dir.path()));
        let mut model = Model { next: 1, ..Model::default() };
        for step in &steps {
            model.step(step, &mut spool, dir.path());
        }
        // In the end everything that was not acknowledged comes, once and in order.
        model.step(&Step::Crash(None), &mut spool, dir.path());
        let rest: Vec<Spooled> = model.waiting.into_iter().map(|(position, payload)| record(position, payload)).collect();
        prop_assert_eq!(drained(spool.as_mut().unwrap()), rest);
    }
}

/// Appends, takes and acknowledges until the machine stops; what was appended for sure, and what was told as acknowledged.
fn work(fs: &crate::log::faulty::FaultyFs, dir: &Path) -> (u64, u64) {
    let (mut n_appended, mut acknowledged) = (0, 0);
    let Ok(mut spool) = Spool::open_on(Arc::new(fs.clone()), dir, LIMIT) else { return (0, 0) };
    for number in 1..=12_u8 {
        match spool.append(vec![vec![number; 6_000]]) {
            Ok(position) => n_appended = position.get(),
            Err(_) => break,
        }
        if number % 3 == 0 {
            while let Ok(Some(spooled)) = spool.take() {
                // Also where it fails: the half of it that was done may be the half that counts.
                acknowledged = spooled.last().get();
                if spool.acknowledge(spooled.last()).is_err() {
                    break;
                }
            }
        }
    }
    (n_appended, acknowledged)
}

#[test]
fn a_power_failure_at_any_call_loses_nothing_that_was_appended() {
    use crate::log::faulty::{Fault, FaultyFs};
    let dir = tempfile::tempdir().unwrap();
    let dry = FaultyFs::new(1, Fault::Crash, u64::MAX, 0);
    assert_eq!(work(&dry, dir.path()).0, 12);
    for call in dry.strikable() {
        let dir = tempfile::tempdir().unwrap();
        let fs = FaultyFs::new(1, Fault::Crash, call, 1);
        let (n_appended, acknowledged) = work(&fs, dir.path());
        fs.lose_power();
        let mut spool = opened(dir.path());
        let read = drained(&mut spool);
        let first = read.first().map_or(acknowledged + 1, |spooled| spooled.last().get());
        assert!(first <= acknowledged + 1, "call {call}: {first} is behind a gap after {acknowledged}");
        let positions: Vec<u64> = read.iter().map(|spooled| spooled.last().get()).collect();
        let last = positions.last().copied().unwrap_or(acknowledged);
        assert!(last >= n_appended, "call {call}: {last} of {n_appended}");
        assert!(read.iter().all(|spooled| matches!(spooled, Spooled::Record { .. })), "call {call}");
        assert_eq!(positions, (first..first + positions.len() as u64).collect::<Vec<_>>(), "call {call}");
        let next = spool.append(vec![vec![0]]).unwrap();
        assert!(next.get() > n_appended, "call {call}: position {next} is given twice");
    }
}
