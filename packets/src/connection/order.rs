//! Segments of one direction, put in order.
//!
//! What comes early is held, within limits; what is never seen becomes a gap. Nothing is given twice.

/// Segments held while one before them is missing.
const MOST_SEGMENTS: usize = 32;
/// Bytes held while some before them are missing.
const MOST_BYTES: usize = 64 * 1024;

/// What comes next in a direction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// So many bytes that were not captured.
    Gap(u32),
}

#[derive(Debug)]
struct Early {
    seq: u32,
    bytes: Vec<u8>,
    length: u32,
}

/// The order of one direction.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The sequence number that is to come next; `None` before anything was seen.
    next: Option<u32>,
    early: Vec<Early>,
    n_held: usize,
}

/// How far `seq` lies behind `next`: negative where it was passed already.
const fn ahead(seq: u32, next: u32) -> i32 {
    seq.wrapping_sub(next).cast_signed()
}

impl Order {
    /// The direction begins with this sequence number.
    pub(super) const fn begin(&mut self, seq: u32) {
        if self.next.is_none() {
            self.next = Some(seq);
        }
    }

    pub(super) const fn n_held(&self) -> usize {
        self.n_held
    }

    /// Takes a segment of which `bytes` were captured and `length` were sent. Tells whether all of it was there
    /// before.
    pub(super) fn take(&mut self, seq: u32, bytes: &[u8], length: u32, mut give: impl FnMut(Piece<'_>)) -> bool {
        let next = *self.next.get_or_insert(seq);
        let distance = ahead(seq, next);
        if distance > 0 {
            return self.hold(seq, bytes, length, give);
        }
        let n_known = distance.unsigned_abs();
        if n_known >= length {
            // A keep-alive repeats one byte, or none, to be answered: nothing was lost.
            return !(length == 1 && n_known == 1);
        }
        self.give(bytes, length, n_known, &mut give);
        self.drain(&mut give);
        false
    }

    /// Gives what is new of a segment that begins where the direction stands, or before.
    fn give(&mut self, bytes: &[u8], length: u32, n_known: u32, give: &mut impl FnMut(Piece<'_>)) {
        let new = usize::try_from(n_known).ok().and_then(|n_known| bytes.get(n_known..)).unwrap_or_default();
        let n_new = length - n_known;
        let next = self.next.unwrap_or_default();
        self.next = Some(next.wrapping_add(n_new));
        if !new.is_empty() {
            give(Piece::Bytes(new));
        }
        let n_missing = n_new.saturating_sub(u32::try_from(new.len()).unwrap_or(u32::MAX));
        if n_missing > 0 {
            give(Piece::Gap(n_missing));
        }
    }

    fn hold(&mut self, seq: u32, bytes: &[u8], length: u32, mut give: impl FnMut(Piece<'_>)) -> bool {
        let is_known = self.early.iter().any(|early| early.seq == seq && early.length >= length);
        if is_known {
            return true;
        }
        self.n_held += bytes.len();
        let position = self.early.partition_point(|early| ahead(early.seq, seq) < 0);
        self.early.insert(position, Early { seq, bytes: bytes.to_vec(), length });
        while self.early.len() > MOST_SEGMENTS || self.n_held > MOST_BYTES {
            self.jump(&mut give);
            self.drain(&mut give);
        }
        false
    }

    /// What is missing before the earliest segment held is given up.
    fn jump(&mut self, give: &mut impl FnMut(Piece<'_>)) {
        let (Some(early), Some(next)) = (self.early.first(), self.next) else { return };
        let n_missing = ahead(early.seq, next);
        if n_missing > 0 {
            give(Piece::Gap(n_missing.unsigned_abs()));
            self.next = Some(early.seq);
        }
    }

    /// Gives the segments held that are due.
    fn drain(&mut self, give: &mut impl FnMut(Piece<'_>)) {
        while let (Some(early), Some(next)) = (self.early.first(), self.next) {
            let distance = ahead(early.seq, next);
            if distance > 0 {
                break;
            }
            let early = self.early.remove(0);
            self.n_held -= early.bytes.len();
            if distance.unsigned_abs() < early.length {
                self.give(&early.bytes, early.length, distance.unsigned_abs(), give);
            }
        }
    }
}
