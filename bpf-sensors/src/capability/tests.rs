//! A report says what is there, what is not, and why.

use super::{Outcome, Report, Sensor, State};

#[test]
fn a_sensor_is_as_whole_as_its_programs() {
    let failed = || Outcome::Failed("operation not permitted".to_owned());
    let report = Report::from_programs(
        "6.1.0".to_owned(),
        &[
            (Sensor::Exec, "process_exec", Outcome::Loaded),
            (Sensor::Cgroups, "cgroup_made", Outcome::Loaded),
            (Sensor::Cgroups, "cgroup_entered", failed()),
            (Sensor::Drops, "packet_dropped", failed()),
            (Sensor::Files, "file_opened", Outcome::Off),
        ],
    );
    assert_eq!(report.state(Sensor::Exec), Some(&State::Available));
    assert_eq!(report.state(Sensor::Files), Some(&State::Off));
    assert!(
        matches!(report.state(Sensor::Cgroups), Some(State::Partial { reason }) if reason.contains("cgroup_entered"))
    );
    assert!(matches!(report.state(Sensor::Drops), Some(State::Missing { .. })));
    assert!(report.sees_anything());
    let text = report.to_string();
    assert!(text.starts_with("kernel 6.1.0\n"), "{text}");
    assert!(text.contains("drops              missing    packet_dropped: operation not permitted\n"), "{text}");
}

#[test]
fn without_a_kernel_nothing_is_seen_and_the_reason_is_everywhere() {
    let report = Report::nothing("5.4.0".to_owned(), "the kernel has no BTF");
    assert!(!report.sees_anything());
    assert_eq!(report.to_string().matches("the kernel has no BTF").count(), Sensor::ALL.len());
}
