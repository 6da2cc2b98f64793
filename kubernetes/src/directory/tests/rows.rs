//! The rows that a life of a few objects leaves, whole.
use arrow::util::pretty::pretty_format_batches;
use serde_json::json;

use super::{at, directory, object, owned, pod, text};
use crate::Kind;

/// The columns that have a value in some row, as a table.
fn table(batches: &[hindcast_model::Batch], name: &str) -> String {
    let batch = batches.iter().find(|batch| batch.table.name() == name).unwrap();
    let filled: Vec<usize> = (0..batch.records.num_columns())
        .filter(|column| batch.records.column(*column).null_count() < batch.n_rows())
        .collect();
    let records = batch.records.project(&filled).unwrap();
    let text = pretty_format_batches(&[records]).unwrap().to_string();
    text.replace("1970-01-01T", "").replace("      ", " ")
}

fn check(found: &str, expected: &str) {
    let squeeze = |text: &str| {
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(line).filter(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(squeeze(found), squeeze(expected), "found:\n{found}");
}

#[test]
fn workloads_are_written_as_facts_change() {
    let directory = directory();
    directory.apply(Kind::ReplicaSet, &owned(object("r", "web-1"), "d", "Deployment", "web"), at(4));
    directory.apply(Kind::Deployment, &object("d", "web"), at(4));
    let mut tree = owned(pod("a", 10, None), "r", "ReplicaSet", "web-1");
    tree["spec"] = json!({"containers": [{"image": "web:1"}]});
    directory.apply(Kind::Pod, &tree, at(11));
    tree["status"]["podIP"] = json!("10.0.0.1");
    directory.apply(Kind::Pod, &tree, at(12));
    directory.apply(Kind::Pod, &tree, at(13));
    tree["metadata"]["labels"]["app"] = json!("shop");
    directory.apply(Kind::Pod, &tree, at(20));
    directory.delete(Kind::Pod, &tree, at(30));
    let mut service = object("s", "web");
    service["spec"] = json!({"clusterIP": "10.96.0.1"});
    directory.apply(Kind::Service, &service, at(31));
    check(
        &table(&directory.take(100, at(40)).unwrap(), "workloads"),
        "
| valid_from | valid_to  | learned_at | cluster | ip | namespace | pod | workload | workload_kind | labels | images |
| 00:00:01Z |           | 00:00:04Z | east |           | shop |       | web | Deployment |              |       |
| 00:00:10Z |           | 00:00:11Z | east |           | shop | pod-a | web | Deployment | k8s:app=web  | web:1 |
| 00:00:10Z |           | 00:00:12Z | east | 10.0.0.1  | shop | pod-a | web | Deployment | k8s:app=web  | web:1 |
| 00:00:10Z | 00:00:20Z | 00:00:20Z | east |           | shop | pod-a | web | Deployment | k8s:app=web  | web:1 |
| 00:00:20Z |           | 00:00:20Z | east |           | shop | pod-a | web | Deployment | k8s:app=shop | web:1 |
| 00:00:10Z | 00:00:20Z | 00:00:20Z | east | 10.0.0.1  | shop | pod-a | web | Deployment | k8s:app=web  | web:1 |
| 00:00:20Z |           | 00:00:20Z | east | 10.0.0.1  | shop | pod-a | web | Deployment | k8s:app=shop | web:1 |
| 00:00:20Z | 00:00:30Z | 00:00:30Z | east | 10.0.0.1  | shop | pod-a | web | Deployment | k8s:app=shop | web:1 |
| 00:00:20Z | 00:00:30Z | 00:00:30Z | east |           | shop | pod-a | web | Deployment | k8s:app=shop | web:1 |
| 00:00:01Z |           | 00:00:31Z | east |           | shop |       | web | Service    |              |       |
| 00:00:01Z |           | 00:00:31Z | east | 10.96.0.1 | shop |       | web | Service    |              |       |
",
    );
    assert!(directory.take(100, at(41)).unwrap().is_empty(), "each row once");
}

#[test]
fn policies_are_written_with_the_time_they_were_last_written_at() {
    let directory = directory();
    let policy = |changed: i64, port: u16| {
        let mut tree = object("p", "allow");
        tree["metadata"]["managedFields"] = json!([{"time": text(changed)}]);
        tree["spec"] = json!({"port": port});
        tree
    };
    directory.apply(Kind::NetworkPolicy, &policy(50, 80), at(60));
    directory.apply(Kind::NetworkPolicy, &policy(70, 81), at(72));
    directory.listing(Kind::NetworkPolicy);
    directory.listed(Kind::NetworkPolicy, at(90));
    let batches = directory.take(100, at(91)).unwrap();
    let found = table(&batches, "policies");
    let times: Vec<String> = found
        .lines()
        .skip(3)
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (from, to, learned) = (cells.next()?, cells.next()?, cells.next()?);
            (!from.is_empty()).then(|| format!("{from} {to} {learned}"))
        })
        .collect();
    assert_eq!(
        times,
        [
            "00:00:50Z  00:01:00Z",
            "00:00:50Z 00:01:10Z 00:01:12Z",
            "00:01:10Z  00:01:12Z",
            "00:01:10Z 00:01:30Z 00:01:30Z",
        ]
    );
    assert!(found.contains("apiVersion: networking.k8s.io/v1") && found.contains("port: 81"), "{found}");
    check(
        &table(&batches, "losses"),
        "
| time      | end_time  | recorded_at | cluster | source_kind | source        | stage      | reason          | count | detail |
| 00:01:30Z | 00:01:30Z | 00:01:31Z   | east    | kubernetes  | NetworkPolicy | kubernetes | missed_deletion | 1     | allow  |
",
    );
}
