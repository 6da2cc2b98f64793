//! Facts hold from when they were seen until they are contradicted, in whatever order they arrive.
use hindcast_model::Timestamp;

use super::{Directory, Fact, Learned, Subject};

const NOW: Timestamp = Timestamp::from_nanos(1000);

fn subject() -> Subject {
    Subject { cluster: None, ip: Some("10.0.0.1".to_owned()), pod: None }
}

fn fact(pod: &str, workload: Option<&str>) -> Fact {
    Fact { pod: Some(pod.to_owned()), workload: workload.map(str::to_owned), ..Fact::default() }
}

/// Observations as (time, pod, workload), then (valid_from, valid_to, pod, workload) of the rows they lead to.
type Row<'a> = (i64, Option<i64>, &'a str, Option<&'a str>);

fn check(observations: &[(i64, &str, Option<&str>)], rows: &[Row<'_>]) -> Directory {
    let mut directory = Directory::new(10);
    let mut learned = Learned::default();
    for (time, pod, workload) in observations {
        directory.observe(subject(), fact(pod, *workload), Timestamp::from_nanos(*time), NOW, &mut learned);
    }
    let found: Vec<Row<'_>> = learned
        .0
        .iter()
        .map(|it| {
            let pod = it.fact.pod.as_deref().unwrap_or_default();
            (it.valid_from.as_nanos(), it.valid_to.map(Timestamp::as_nanos), pod, it.fact.workload.as_deref())
        })
        .collect();
    assert_eq!(found, rows);
    directory
}

#[test]
fn a_fact_is_told_once_and_closed_when_contradicted() {
    let directory = check(
        &[(1, "a", None), (2, "a", None), (3, "a", Some("web")), (4, "a", None), (9, "b", None)],
        &[(1, None, "a", None), (1, None, "a", Some("web")), (1, Some(9), "a", Some("web")), (9, None, "b", None)],
    );
    let at = |time| directory.look_up(None, "10.0.0.1", Timestamp::from_nanos(time)).and_then(|fact| fact.pod);
    assert_eq!((at(0), at(1), at(8), at(9)), (None, Some("a".into()), Some("a".into()), Some("b".into())));
    assert_eq!(directory.look_up(Some("east"), "10.0.0.1", NOW), None);
}

#[test]
fn late_observations_fit_between() {
    check(&[(10, "b", None), (5, "b", None)], &[(10, None, "b", None), (5, None, "b", None)]);
    check(&[(10, "b", None), (5, "a", None)], &[(10, None, "b", None), (5, Some(10), "a", None)]);
}

#[test]
fn what_was_not_recorded_is_learned_again() {
    let mut directory = Directory::new(10);
    let mut learned = Learned::default();
    directory.observe(subject(), fact("a", None), NOW, NOW, &mut learned);
    directory.unlearn(&learned);
    let mut again = Learned::default();
    directory.observe(subject(), fact("a", None), NOW, NOW, &mut again);
    assert_eq!(again.0, learned.0);
    assert_eq!(again.batch().expect("whole rows").map(|batch| batch.n_rows()), Some(1));
}

#[test]
fn the_bound_is_kept() {
    let mut directory = Directory::new(4);
    for n in 0..20 {
        let subject = Subject { ip: Some(format!("10.0.0.{n}")), ..subject() };
        directory.observe(subject, fact("a", None), NOW, NOW, &mut Learned::default());
        assert!(directory.forget() <= 4);
    }
    assert!(directory.look_up(None, "10.0.0.19", NOW).is_some(), "the newest stays");
}
