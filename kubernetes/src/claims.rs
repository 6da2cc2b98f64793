//! Who had an address, and when. An address belongs to whoever took it last, until that one lets go.

use std::sync::Arc;

use hindcast_model::Timestamp;

/// What an object is known by: its uid, which is never used twice.
pub(crate) type Uid = Arc<str>;

/// One holding of an address: from `from` up to but without `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) holder: Uid,
    pub(crate) from: Timestamp,
    pub(crate) to: Option<Timestamp>,
    /// Beginning of the row that says so last: later than `from` where the holder changed meanwhile.
    pub(crate) row_from: Timestamp,
    /// The end is not known: at `to` it was noticed. Whoever is known to have the address earlier ends it earlier.
    pub(crate) is_presumed: bool,
}

impl Claim {
    fn holds_at(&self, at: Timestamp) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

/// The holdings of one address: by `from`, and of the same instant in the order they were told.
#[derive(Debug, Default)]
pub(crate) struct Claims(Vec<Claim>);

/// What became of a holding that was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// From when it holds.
    pub(crate) from: Timestamp,
    /// Until when, where somebody is known to have had the address later.
    pub(crate) to: Option<Timestamp>,
    /// Those that ended by it.
    pub(crate) ended: Vec<Claim>,
}

impl Claims {
    /// Takes an address that only one can have. What is told late finds its place: it ends where the next begins, and
    /// begins where one before it is known to have ended.
    pub(crate) fn take(&mut self, holder: &Uid, from: Timestamp) -> Taken {
        let place = self.0.partition_point(|claim| claim.from <= from);
        let known_end = self.0.get(..place).and_then(<[Claim]>::last).filter(|claim| !claim.is_presumed);
        let next_from = self.0.get(place).map(|next| next.from);
        // Times of the API are whole seconds: the beginning may seem to lie before the end it waited for.
        let from = known_end.and_then(|claim| claim.to).map_or(from, |end| from.max(end));
        let from = next_from.map_or(from, |next| from.min(next));
        let mut ended = Vec::new();
        for claim in self.0.iter_mut().take(place) {
            if claim.to.is_none_or(|to| from < to) {
                claim.to = Some(from);
                claim.is_presumed = false;
                ended.push(claim.clone());
            }
        }
        let claim = Claim { holder: Arc::clone(holder), from, to: next_from, row_from: from, is_presumed: false };
        self.0.insert(place, claim);
        Taken { from, to: next_from, ended }
    }

    /// Takes an address that several may have at once.
    pub(crate) fn share(&mut self, holder: &Uid, from: Timestamp) {
        let place = self.0.partition_point(|claim| claim.from <= from);
        let claim = Claim { holder: Arc::clone(holder), from, to: None, row_from: from, is_presumed: false };
        self.0.insert(place, claim);
    }

    /// The rows of a holding begin anew; when the last one began, or nothing where the address is not held.
    pub(crate) fn begin_row(&mut self, holder: &Uid, from: Timestamp) -> Option<Timestamp> {
        let claim = self.open(holder)?;
        let from = from.max(claim.row_from);
        Some(std::mem::replace(&mut claim.row_from, from))
    }

    /// Lets an address go; the holding with its end, or nothing where there was none.
    pub(crate) fn release(&mut self, holder: &Uid, at: Timestamp, is_presumed: bool) -> Option<&Claim> {
        let claim = self.open(holder)?;
        claim.to = Some(at.max(claim.from));
        claim.is_presumed = is_presumed;
        Some(claim)
    }

    fn open(&mut self, holder: &Uid) -> Option<&mut Claim> {
        self.0.iter_mut().rev().find(|claim| claim.holder == *holder && claim.to.is_none())
    }

    /// Takes back an end that was presumed wrongly; the holding, or nothing where somebody had the address since.
    pub(crate) fn resume(&mut self, holder: &Uid) -> Option<&Claim> {
        let claim = self.0.last_mut().filter(|claim| claim.holder == *holder && claim.is_presumed)?;
        claim.to = None;
        claim.is_presumed = false;
        Some(claim)
    }

    /// Who has it at an instant, the last to take it first.
    pub(crate) fn at(&self, at: Timestamp) -> impl Iterator<Item = &Uid> {
        self.0.iter().rev().filter(move |claim| claim.holds_at(at)).map(|claim| &claim.holder)
    }

    /// Forgets what ended by an instant; whether nothing is left.
    pub(crate) fn forget(&mut self, until: Timestamp) -> bool {
        self.0.retain(|claim| claim.to.is_none_or(|to| to > until));
        self.0.is_empty()
    }
}
