//! Filters of Tetragon's `GetEvents`: allow and deny lists, field by field as the agent reads them.
//!
//! Patterns are searched for anywhere in a text. An event without a process matches no predicate on its process.
//! `pid_set` is, over a recording, the processes with one of these numbers and their direct children as the events
//! themselves tell; the agent's own notion (every descendant seen since the call began) is a state of the call.

use hindcast_proto::tetragon::{CapFilterSet, EventType, Filter as Wanted};

use super::labels::Selector;
use super::wire::WireTest;
use super::{BitsTest, Filter, NumberTest, Pattern, TextTest};
use crate::FilterError;

/// The kinds of event whose policy a filter by policy name reads.
const KINDS_WITH_POLICY: [&str; 4] = ["process_kprobe", "process_tracepoint", "process_uprobe", "process_lsm"];

/// The events that a request selects.
///
/// # Errors
/// A value of some filter is malformed.
pub fn from_request(allow: &[Wanted], deny: &[Wanted]) -> Result<Filter, FilterError> {
    let allowed = match allow {
        [] => Filter::True,
        list => Filter::any(list.iter().map(from_filter).collect::<Result<Vec<_>, _>>()?),
    };
    let denied = Filter::any(deny.iter().map(from_filter).collect::<Result<Vec<_>, _>>()?);
    Ok(Filter::all([allowed, denied.negate()]))
}

/// The events that one filter selects.
///
/// # Errors
/// A value is malformed.
pub fn from_filter(wanted: &Wanted) -> Result<Filter, FilterError> {
    let mut parts = vec![
        process_text("binary", &wanted.binary_regex)?,
        process_text("arguments", &wanted.arguments_regex)?,
        pod_text("pod", &wanted.pod_regex)?,
        pod_text("namespace", &wanted.namespace_regex)?,
        pod_text("container_name", &wanted.container_name_regex)?,
        process_text("container_id", &wanted.container_id)?,
        parent_text("parent_binary", &wanted.parent_binary_regex)?,
        parent_text("parent_arguments", &wanted.parent_arguments_regex)?,
        ancestors(&wanted.ancestor_binary_regex)?,
        namespaces(&wanted.namespace),
        labels(&wanted.labels)?,
        pids(&wanted.pid),
        pid_set(&wanted.pid_set),
        policies(&wanted.policy_names),
    ];
    if !wanted.event_set.is_empty() {
        parts.push(Filter::one_of("kind", wanted.event_set.iter().map(|number| kind_name(*number))));
    }
    if let Some(is_probe) = wanted.health_check {
        let probes = Filter::any([exec_probe("process"), exec_probe("parent")]);
        parts.push(if is_probe { probes } else { probes.negate() });
    }
    if let Some(is_inside) = wanted.in_init_tree {
        let inside = Filter::Bool { column: "in_init_tree", value: true };
        parts.push(Filter::all([has_process(), if is_inside { inside } else { inside.negate() }]));
    }
    if let Some(sets) = &wanted.capabilities {
        parts.push(has_process());
        parts.push(recorded_capabilities());
        parts.push(capabilities("cap_permitted", sets.permitted.as_ref())?);
        parts.push(capabilities("cap_effective", sets.effective.as_ref())?);
        parts.push(capabilities("cap_inheritable", sets.inheritable.as_ref())?);
    }
    if !wanted.cel_expression.is_empty() {
        let expressions =
            wanted.cel_expression.iter().map(|text| super::cel::event(text)).collect::<Result<Vec<_>, _>>()?;
        parts.push(Filter::any(expressions));
    }
    Ok(Filter::all(parts))
}

/// The wire name of a kind of event.
fn kind_name(number: i32) -> String {
    EventType::try_from(number).map_or_else(|_unknown| number.to_string(), |kind| kind.as_str_name().to_lowercase())
}

fn has_process() -> Filter {
    Filter::BytesPresent { column: "process" }
}

fn has_pod() -> Filter {
    Filter::any([Filter::present("pod"), Filter::present("namespace")])
}

/// Any of the patterns in a text, where an absent text is an empty one.
fn patterns(column: &'static str, patterns: &[String]) -> Result<Filter, FilterError> {
    let any = patterns
        .iter()
        .map(|pattern| {
            let pattern = Pattern::re2(pattern).map_err(|error| FilterError {
                message: format!("failed to compile regexp: {}", error.message),
                ..error
            })?;
            Ok(Filter::Text { column, test: TextTest::MatchesOrAbsent(pattern) })
        })
        .collect::<Result<Vec<_>, FilterError>>()?;
    Ok(Filter::any(any))
}

fn process_text(column: &'static str, wanted: &[String]) -> Result<Filter, FilterError> {
    if wanted.is_empty() { Ok(Filter::True) } else { Ok(Filter::all([has_process(), patterns(column, wanted)?])) }
}

fn parent_text(column: &'static str, wanted: &[String]) -> Result<Filter, FilterError> {
    if wanted.is_empty() {
        return Ok(Filter::True);
    }
    Ok(Filter::all([Filter::BytesPresent { column: "parent" }, patterns(column, wanted)?]))
}

fn pod_text(column: &'static str, wanted: &[String]) -> Result<Filter, FilterError> {
    if wanted.is_empty() { Ok(Filter::True) } else { Ok(Filter::all([has_pod(), patterns(column, wanted)?])) }
}

fn ancestors(wanted: &[String]) -> Result<Filter, FilterError> {
    if wanted.is_empty() {
        return Ok(Filter::True);
    }
    let patterns = wanted.iter().map(|pattern| Pattern::re2(pattern)).collect::<Result<Vec<_>, _>>()?;
    Ok(Filter::Rows(std::sync::Arc::new(WireTest::Ancestor(patterns))))
}

fn exec_probe(column: &'static str) -> Filter {
    Filter::Rows(std::sync::Arc::new(WireTest::ExecProbe { column }))
}

/// Exact namespaces; the empty one means a process outside of any pod.
fn namespaces(wanted: &[String]) -> Filter {
    if wanted.is_empty() {
        return Filter::True;
    }
    let named = Filter::one_of("namespace", wanted.iter().filter(|name| !name.is_empty()).cloned());
    let podless = Filter::all([has_process(), has_pod().negate()]);
    if wanted.iter().any(String::is_empty) { Filter::any([named, podless]) } else { named }
}

fn labels(wanted: &[String]) -> Result<Filter, FilterError> {
    if wanted.is_empty() {
        return Ok(Filter::True);
    }
    let any = wanted
        .iter()
        .map(|text| Ok(Filter::Text { column: "pod_labels", test: TextTest::Labels(Selector::parse(text)?) }))
        .collect::<Result<Vec<_>, FilterError>>()?;
    Ok(Filter::all([has_pod(), Filter::any(any)]))
}

fn pids(wanted: &[u32]) -> Filter {
    if wanted.is_empty() { Filter::True } else { Filter::number("pid", wanted.iter().map(|pid| i128::from(*pid))) }
}

fn pid_set(wanted: &[u32]) -> Filter {
    if wanted.is_empty() {
        return Filter::True;
    }
    Filter::any([
        pids(wanted),
        Filter::Rows(std::sync::Arc::new(WireTest::Pid { column: "parent", pids: wanted.to_vec() })),
    ])
}

fn policies(wanted: &[String]) -> Filter {
    if wanted.is_empty() {
        return Filter::True;
    }
    let named = Filter::any(wanted.iter().map(|name| Filter::text_or_absent("policy_name", name)));
    Filter::all([Filter::one_of("kind", KINDS_WITH_POLICY), named])
}

fn recorded_capabilities() -> Filter {
    let recorded = |column| Filter::Number { column, test: NumberTest::Absent }.negate();
    Filter::any([recorded("cap_permitted"), recorded("cap_effective"), recorded("cap_inheritable")])
}

fn capabilities(column: &'static str, wanted: Option<&CapFilterSet>) -> Result<Filter, FilterError> {
    let Some(set) = wanted else { return Ok(Filter::True) };
    let given = [
        (BitsTest::Any, &set.any),
        (BitsTest::All, &set.all),
        (BitsTest::Exactly, &set.exactly),
        (BitsTest::None, &set.none),
    ]
    .into_iter()
    .filter(|(_, list)| !list.is_empty())
    .collect::<Vec<_>>();
    let [(test, list)] = given.as_slice() else {
        let message = match given.len() {
            0 => "capability filter must define exactly one match set",
            _ => "capability filter may only define one match set",
        };
        return Err(FilterError::new(message));
    };
    let bits = list.iter().filter_map(|number| {
        u32::try_from(*number).ok()?.checked_rem(64).filter(|bit| i64::from(*bit) == i64::from(*number))
    });
    let mask = bits.fold(0_u64, |mask, bit| mask | (1_u64 << bit));
    let present = Filter::Number { column, test: NumberTest::Bits(*test, mask) };
    // A set that is not recorded beside others that are is an empty one.
    let empty_passes = match test {
        BitsTest::None => true,
        BitsTest::Exactly | BitsTest::All => mask == 0,
        BitsTest::Any => false,
    };
    let absent = Filter::Number { column, test: NumberTest::Absent };
    Ok(if empty_passes { Filter::any([present, absent]) } else { present })
}

#[cfg(test)]
mod tests;
