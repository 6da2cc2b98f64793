//! Segments of one direction, put in order.
//!
//! What comes early is held, within limits; what is never seen becomes a gap. Nothing is given twice. Each segment has a
//! stamp, such as its time, that is given with its bytes however long they were held.

/// Segments held while one before them is missing.
const MOST_SEGMENTS: usize = 32;
/// Bytes held while some before them are missing.
const MOST_BYTES: usize = 64 * 1024;

/// What comes next in a direction.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// So many bytes that were not captured.
    Gap(u32),
}

#[derive(Debug)]
struct Early<S> {
    seq: u32,
    stamp: S,
    bytes: Vec<u8>,
    length: u32,
}

/// The order of one direction.
#[derive(Debug)]
pub struct Order<S = ()> {
    /// The sequence number that is to come next; `None` before anything was seen.
    next: Option<u32>,
    early: Vec<Early<S>>,
    n_held: usize,
}

/// How far `seq` lies behind `next`: negative where it was passed already.
const fn ahead(seq: u32, next: u32) -> i32 {
    seq.wrapping_sub(next).cast_signed()
}

impl<S> Default for Order<S> {
    fn default() -> Self {
        Self { next: None, early: Vec::new(), n_held: 0 }
    }
}

impl<S: Copy> Order<S> {
    /// The direction begins with this sequence number.
    pub const fn begin(&mut self, seq: u32) {
        if self.next.is_none() {
            self.next = Some(seq);
        }
    }

    /// Bytes that wait for others.
    #[must_use]
    pub const fn n_held(&self) -> usize {
        self.n_held
    }

    /// Takes a segment of which `bytes` were captured and `length` were sent. Tells whether all of it was there
    /// before.
    pub fn take(&mut self, seq: u32, bytes: &[u8], length: u32, stamp: S, mut give: impl FnMut(Piece<'_>, S)) -> bool {
        let next = *self.next.get_or_insert(seq);
        let distance = ahead(seq, next);
        if distance > 0 {
            return self.hold(Early { seq, stamp, bytes: bytes.to_vec(), length }, give);
        }
        let n_known = distance.unsigned_abs();
        if n_known >= length {
            // A keep-alive repeats one byte, or none, to be answered: nothing was lost.
            return !(length == 1 && n_known == 1);
        }
        self.give(bytes, length, n_known, &mut |piece| give(piece, stamp));
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

    fn hold(&mut self, new: Early<S>, mut give: impl FnMut(Piece<'_>, S)) -> bool {
        let is_known = self.early.iter().any(|early| early.seq == new.seq && early.length >= new.length);
        if is_known {
            return true;
        }
        self.n_held += new.bytes.len();
        let position = self.early.partition_point(|early| ahead(early.seq, new.seq) < 0);
        self.early.insert(position, new);
        while self.early.len() > MOST_SEGMENTS || self.n_held > MOST_BYTES {
            self.jump(&mut give);
            self.drain(&mut give);
        }
        false
    }

    /// Bytes missing before the earliest segment held; `None` where none is held.
    #[must_use]
    pub fn n_missing(&self) -> Option<u32> {
        let early = self.early.first()?;
        u32::try_from(ahead(early.seq, self.next?)).ok()
    }

    /// The stamp of the earliest segment held.
    #[must_use]
    pub fn waiting(&self) -> Option<S> {
        self.early.first().map(|early| early.stamp)
    }

    /// The next bytes are not needed, whether they come or not.
    pub fn pass(&mut self, n_bytes: u32, mut give: impl FnMut(Piece<'_>, S)) {
        self.next = self.next.map(|next| next.wrapping_add(n_bytes));
        self.drain(&mut give);
    }

    /// Waits no longer for what is missing before the earliest segment held.
    pub fn give_up(&mut self, mut give: impl FnMut(Piece<'_>, S)) {
        self.jump(&mut give);
        self.drain(&mut give);
    }

    /// What is missing before the earliest segment held is given up.
    fn jump(&mut self, give: &mut impl FnMut(Piece<'_>, S)) {
        let (Some(early), Some(next)) = (self.early.first(), self.next) else { return };
        let n_missing = ahead(early.seq, next);
        if n_missing > 0 {
            give(Piece::Gap(n_missing.unsigned_abs()), early.stamp);
            self.next = Some(early.seq);
        }
    }

    /// Gives the segments held that are due.
    fn drain(&mut self, give: &mut impl FnMut(Piece<'_>, S)) {
        while let (Some(early), Some(next)) = (self.early.first(), self.next) {
            let distance = ahead(early.seq, next);
            if distance > 0 {
                break;
            }
            let early = self.early.remove(0);
            self.n_held -= early.bytes.len();
            if distance.unsigned_abs() < early.length {
                self.give(&early.bytes, early.length, distance.unsigned_abs(), &mut |piece| give(piece, early.stamp));
            }
        }
    }
}

#[cfg(test)]
mod tests;
