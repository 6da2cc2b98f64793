//! Damage of every kind, and what recovery makes of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fs::{LogFs, RealFs};
use super::reader::{Recovered, Recovery};
use super::writer::{LogWriter, Payload};
use super::*;
use crate::config::OnCorruption;
use crate::ids::Lsn;

/// Three groups: records 1 and 2, record 3, records 4 to 6.
fn written(dir: &Path, max_file_size: u64) -> Vec<PathBuf> {
    let mut writer = LogWriter::new(Arc::new(RealFs), dir.to_path_buf(), max_file_size, Lsn::new(1), Vec::new());
    let payload = |number: u8| Payload::new(vec![number; 100 * usize::from(number)]);
    for group in [vec![1, 2], vec![3], vec![4, 5, 6]] {
        let payloads: Vec<Payload> = group.into_iter().map(payload).collect();
        writer.append(&payloads.iter().collect::<Vec<_>>()).unwrap();
    }
    reader::list(&RealFs, dir).unwrap().into_iter().map(|(path, _, _)| path).collect()
}

fn recover(dir: &Path, on_corruption: OnCorruption) -> Result<(Vec<u64>, Recovered), LogError> {
    let mut seen = Vec::new();
    let recovery = Recovery {
        fs: &RealFs,
        dir,
        on_corruption,
        max_record: 1 << 20,
        oldest_needed: Lsn::new(1),
        next_at_least: Lsn::new(1),
    };
    let recovered = recovery.run(|lsn, payload| {
        let number = usize::try_from(lsn.get()).unwrap();
        assert_eq!(payload, vec![u8::try_from(number).unwrap(); 100 * number]);
        seen.push(lsn.get());
        Ok(())
    })?;
    Ok((seen, recovered))
}

fn damage(error: &LogError) -> &Damage {
    let LogError::Damaged { source, .. } = error else { panic!("{error}") };
    source
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_was_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(written(dir.path(), 1 << 20).len(), 1);
    let (seen, recovered) = recover(dir.path(), OnCorruption::Stop).unwrap();
    assert_eq!((seen, recovered.next.get(), recovered.torn_bytes), ((1..=6).collect(), 7, 0));
}

#[test]
fn a_tail_cut_anywhere_is_torn_and_counted() {
    let whole = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(&written(whole.path(), 1 << 20)[0]).unwrap();
    let ends: Vec<usize> = (1..=6)
        .scan(24, |end, n| {
            *end += 28 + 100 * n;
            Some(*end)
        })
        .collect();
    for len in 0..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(format::file_name(Lsn::new(1))), &bytes[..len]).unwrap();
        let (seen, recovered) = recover(dir.path(), OnCorruption::Stop).unwrap();
        let n_whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(seen.len(), n_whole, "cut at {len}");
        let good = if len < 24 { 0 } else { ends[..n_whole].last().copied().unwrap_or(24) };
        assert_eq!(recovered.torn_bytes, u64::try_from(len - good).unwrap(), "cut at {len}");
        let (again, clean) = recover(dir.path(), OnCorruption::Stop).unwrap();
        assert_eq!((again, clean.torn_bytes), (seen, 0));
    }
}

#[test]
fn a_flipped_bit_is_damage_where_a_later_group_calls_it_synced_and_torn_where_none_does() {
    let whole = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(&written(whole.path(), 1 << 20)[0]).unwrap();
    let last_group = 24 + 3 * 28 + 600;
    for at in (24..bytes.len()).step_by(3) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(format::file_name(Lsn::new(1)));
        std::fs::write(&path, &bytes).unwrap();
        flip(&path, at);
        let result = recover(dir.path(), OnCorruption::Stop);
        if at < last_group {
            assert!(matches!(damage(&result.unwrap_err()), Damage::Checksum), "bit at {at}");
        } else {
            assert!(result.unwrap().0.len() < 6, "bit at {at}");
        }
    }
}

#[test]
fn damage_has_a_name() {
    let fresh = || {
        let dir = tempfile::tempdir().unwrap();
        let files = written(dir.path(), 600);
        assert_eq!(files.len(), 3 - 1);
        (dir, files)
    };
    let (dir, files) = fresh();
    flip(&files[0], 2);
    assert_eq!(*damage(&recover(dir.path(), OnCorruption::Stop).unwrap_err()), Damage::Magic);
    let (dir, files) = fresh();
    flip(&files[0], 9);
    assert_eq!(*damage(&recover(dir.path(), OnCorruption::Stop).unwrap_err()), Damage::Checksum);
    let (dir, files) = fresh();
    let len = std::fs::metadata(&files[0]).unwrap().len();
    RealFs.truncate(&files[0], len - 10).unwrap();
    let error = recover(dir.path(), OnCorruption::Stop).unwrap_err();
    assert_eq!(*damage(&error), Damage::Short { missing: 10 });
    assert_eq!(error.kind(), Kind::Corrupt);
    let (dir, files) = fresh();
    let mut header = std::fs::read(&files[0]).unwrap();
    header[8] = 9;
    let crc = crc32c::crc32c(&header[..20]);
    header[20..24].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&files[0], header).unwrap();
    let error = recover(dir.path(), OnCorruption::Stop).unwrap_err();
    assert_eq!(*damage(&error), Damage::Version { found: 9, known: 1 });
    let (dir, files) = fresh();
    std::fs::remove_file(&files[0]).unwrap();
    assert!(matches!(recover(dir.path(), OnCorruption::Stop), Err(LogError::Gap { first_missing: 1, .. })));
}

#[test]
fn quarantine_keeps_what_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path(), 600);
    flip(&files[0], 24 + 28 + 100 + 50);
    let (seen, recovered) = recover(dir.path(), OnCorruption::Quarantine).unwrap();
    assert_eq!(seen, [1, 4, 5, 6]);
    assert_eq!(recovered.quarantined, [files[0].clone()]);
    assert_eq!(recovered.next.get(), 7);
}

#[test]
fn files_are_freed_when_all_their_records_are_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::new(Arc::new(RealFs), dir.path().to_path_buf(), 1, Lsn::new(1), Vec::new());
    for _ in 0..4 {
        writer.append(&[&Payload::new(vec![1; 10])]).unwrap();
    }
    assert_eq!(writer.n_files(), 4);
    assert_eq!(writer.free(Lsn::new(3)).unwrap(), 2);
    assert_eq!(writer.free(Lsn::new(5)).unwrap(), 1);
    writer.rotate();
    assert_eq!(writer.free(Lsn::new(5)).unwrap(), 1);
    assert_eq!((writer.n_files(), writer.n_bytes(), writer.next()), (0, 0, Lsn::new(5)));
}
