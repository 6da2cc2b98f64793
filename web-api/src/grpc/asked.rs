//! Which part of the past a request asks for, and whether it goes on from there.
//!
//! The newest `number` unless `first`, inside [since, until] with both ends, oldest first, in exact order. A number
//! of 0 or the greatest there is means all. With `follow` a number only limits the past.

use hindcast_model::{TimeRange, Timestamp};
use prost_types::Timestamp as WireTime;
use tonic::Status;

use crate::ask::Pick;

/// What the requests for events have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) first: bool,
    pub(super) follow: bool,
    pub(super) since: Option<WireTime>,
    pub(super) until: Option<WireTime>,
}

/// What that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The part of the past, if any.
    pub(super) past: Option<(TimeRange, Pick)>,
    /// Whether new events follow.
    pub(super) follow: bool,
    /// The last instant asked for.
    pub(super) until: Option<Timestamp>,
}

impl Asked {
    /// What the request means at `now`.
    pub(super) fn plan(&self, now: Timestamp) -> Result<Plan, Status> {
        if self.first && self.follow {
            return Err(Status::invalid_argument("first cannot be specified with follow"));
        }
        let since = self.since.as_ref().map(|time| instant("since", time)).transpose()?;
        let until = self.until.as_ref().map(|time| instant("until", time)).transpose()?;
        let start = since.unwrap_or(Timestamp::MIN);
        let end = until.map_or(Timestamp::MAX, |until| Timestamp::from_nanos(until.as_nanos().saturating_add(1)));
        let Ok(range) = TimeRange::new(start, end) else {
            return Err(Status::invalid_argument("since is after until: no time lies between them"));
        };
        let pick = match self.number {
            0 | u64::MAX => Pick::All,
            number if self.first => Pick::Oldest(number),
            number => Pick::Newest(number),
        };
        // Only new flows: nothing is asked of the past.
        let wants_past = !self.follow || since.is_some() || self.number > 0;
        // What is over by now has no new events.
        let follow = self.follow && until.is_none_or(|until| until >= now);
        Ok(Plan { past: wants_past.then_some((range, pick)), follow, until })
    }
}

/// A wire's time; one beyond what can be held is the first or the last there is.
pub(super) fn instant(name: &str, time: &WireTime) -> Result<Timestamp, Status> {
    if !(0..1_000_000_000).contains(&time.nanos) {
        return Err(Status::invalid_argument(format!("{name} has {} nanoseconds", time.nanos)));
    }
    let beyond = if time.seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Ok(Timestamp::from_parts(time.seconds, time.nanos).unwrap_or(beyond))
}

#[cfg(test)]
mod tests {
    //! The table of hubble requests.

    use hindcast_model::{TimeRange, Timestamp};
    use prost_types::Timestamp as WireTime;

    use super::{Asked, Plan};
    use crate::ask::Pick;

    const NOW: Timestamp = Timestamp::from_nanos(100_000_000_000);

    fn at(seconds: i64) -> Option<WireTime> {
        Some(WireTime { seconds, nanos: 0 })
    }

    fn range(start: Option<i64>, end: Option<i64>) -> TimeRange {
        let start = start.map_or(Timestamp::MIN, |s| Timestamp::from_nanos(s * 1_000_000_000));
        let end = end.map_or(Timestamp::MAX, |s| Timestamp::from_nanos(s * 1_000_000_000 + 1));
        TimeRange::new(start, end).expect("a range")
    }

    fn check(asked: Asked, past: Option<(TimeRange, Pick)>, follow: bool) {
        let plan = asked.plan(NOW).expect("a plan");
        let until = asked.until.map(|time| Timestamp::from_nanos(time.seconds * 1_000_000_000));
        assert_eq!(plan, Plan { past, follow, until }, "{asked:?}");
    }

    #[test]
    fn each_request_means_one_thing() {
        let all = range(None, None);
        check(Asked { number: 20, ..Asked::default() }, Some((all, Pick::Newest(20))), false);
        check(Asked { number: 20, first: true, ..Asked::default() }, Some((all, Pick::Oldest(20))), false);
        check(Asked::default(), Some((all, Pick::All)), false);
        check(Asked { number: u64::MAX, ..Asked::default() }, Some((all, Pick::All)), false);
        let between = range(Some(1), Some(9));
        check(
            Asked { number: 3, since: at(1), until: at(9), ..Asked::default() },
            Some((between, Pick::Newest(3))),
            false,
        );
        check(Asked { follow: true, ..Asked::default() }, None, true);
        check(Asked { follow: true, number: 4, ..Asked::default() }, Some((all, Pick::Newest(4))), true);
        check(Asked { follow: true, since: at(1), ..Asked::default() }, Some((range(Some(1), None), Pick::All)), true);
        check(
            Asked { follow: true, since: at(1), until: at(9), ..Asked::default() },
            Some((between, Pick::All)),
            false,
        );
        check(Asked { follow: true, until: at(200), ..Asked::default() }, None, true);
    }

    #[test]
    fn contradictions_are_refused_and_far_times_held() {
        assert!(Asked { first: true, follow: true, ..Asked::default() }.plan(NOW).is_err());
        assert!(Asked { since: at(9), until: at(1), ..Asked::default() }.plan(NOW).is_err());
        assert!(Asked { since: Some(WireTime { seconds: 0, nanos: -1 }), ..Asked::default() }.plan(NOW).is_err());
        let zero_time = Asked { since: at(-62_135_596_800), ..Asked::default() };
        check(zero_time, Some((range(None, None), Pick::All)), false);
    }
}
