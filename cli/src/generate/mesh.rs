//! A large fleet of interchangeable workloads: what the benchmark measures on.

use std::time::Duration;

use super::chance::{Chance, float};
use super::fleet::{labels, pod_ip, pod_name};
use super::{Edge, Fleet, Node, Outside, Party, Pod, Recipe, Slot, Speech, Workload};

const CLUSTER: &str = "eu-west-1";
const N_NAMESPACES: u64 = 40;
const MOST_REPLICAS: u64 = 40;
/// The Zipf exponent of the edges' weights.
const ZIPF: f64 = 1.05;
const DENIED_RATE: f64 = 0.02;
const TCP_PORTS: [u16; 5] = [5432, 6379, 9092, 3306, 27_017];
const HTTP_PORTS: [u16; 4] = [80, 8080, 8443, 9090];
const RESOURCES: [&str; 8] = ["orders", "users", "cart", "items", "pay", "search", "login", "health"];
const DOMAINS: [&str; 3] = ["example.com", "stripe.test", "s3.eu-west-1.amazonaws.test"];
/// A pod lives this long on average.
const POD_LIFE: Duration = Duration::from_secs(12 * 3600);

pub(super) fn fleet(recipe: &Recipe, n_workloads: usize, n_edges: usize, n_nodes: usize) -> Fleet {
    let mut chance = Chance::new(recipe.seed ^ 0x6d65_7368);
    let nodes = (0..n_nodes.max(1)).map(|index| Node { name: format!("node-{index:03}") }).collect();
    let mut n_pods = 0;
    let workloads: Vec<Workload> =
        (0..n_workloads.max(2)).map(|index| workload(recipe, &mut chance, index, n_nodes, &mut n_pods)).collect();
    let outside: Vec<Outside> = (0..90_usize).map(|index| outsider(&mut chance, index)).collect();
    let edges = (0..n_edges.max(1)).map(|index| edge(&mut chance, index, &workloads, outside.len())).collect();
    let dns_names = outside
        .iter()
        .filter_map(|outside| outside.name.as_ref().map(|name| format!("{name}.")))
        .chain(workloads.iter().map(|workload| format!("{}.{}.svc.cluster.local.", workload.name, workload.namespace)))
        .collect();
    Fleet { cluster: CLUSTER, nodes, workloads, outside, edges, dns_names }
}

fn outsider(chance: &mut Chance, index: usize) -> Outside {
    let domain = DOMAINS.get(index % DOMAINS.len()).copied().unwrap_or_default();
    let ips = (0..8)
        .map(|_| {
            let [.., high, middle, low] = chance.bits().to_be_bytes();
            format!("34.{high}.{middle}.{low}")
        })
        .collect();
    Outside { name: Some(format!("api{}.{domain}", index / DOMAINS.len())), ips }
}

fn workload(recipe: &Recipe, chance: &mut Chance, index: usize, n_nodes: usize, n_pods: &mut u64) -> Workload {
    let name = format!("svc-{index:03}");
    let namespace = format!("team-{:02}", chance.below(N_NAMESPACES));
    let replica_set = chance.bits();
    let n_slots = chance.heavy_tail(1.6, MOST_REPLICAS);
    let slots = (0..n_slots)
        .map(|_| {
            // Deaths fall at any time; a slot's first pod is as old as the recording.
            let n_deaths = chance.heavy_tail(2.0, 4) - 1 + recipe.duration.as_secs() / POD_LIFE.as_secs() / 2;
            let mut births: Vec<_> =
                (0..n_deaths).map(|_| recipe.start.saturating_add(recipe.duration.mul_f64(chance.unit()))).collect();
            births.push(recipe.start);
            births.sort_unstable();
            let pods = births.into_iter().map(|since| {
                *n_pods += 1;
                Pod {
                    name: pod_name(&name, replica_set, chance.bits()),
                    ip: pod_ip(*n_pods),
                    node: usize::try_from(chance.below(n_nodes as u64)).unwrap_or(0),
                    endpoint_id: 1 + u32::try_from(chance.below(65_535)).unwrap_or(0),
                    since,
                }
            });
            Slot { pods: pods.collect() }
        })
        .collect();
    Workload {
        labels: labels(CLUSTER, &namespace, &name, if chance.coin(0.3) { "data" } else { "app" }),
        kind: "Deployment",
        identity: 10_000 + u32::try_from(index).unwrap_or(0),
        binary: "/app/server",
        name,
        namespace,
        slots,
    }
}

fn edge(chance: &mut Chance, index: usize, workloads: &[Workload], n_outside: usize) -> Edge {
    let any = |chance: &mut Chance, n: usize| usize::try_from(chance.below(n as u64)).unwrap_or(0);
    let client = Party::Workload(any(chance, workloads.len()));
    let inside = any(chance, workloads.len());
    let kind = chance.unit();
    let latency_ms = chance.log_normal(1.5, 1.0);
    let (server, port, speech) = if kind < 0.35 {
        (Party::Workload(inside), chance.pick(&TCP_PORTS).copied().unwrap_or(5432), Speech::Tcp)
    } else if kind < 0.75 {
        (Party::Workload(inside), chance.pick(&HTTP_PORTS).copied().unwrap_or(80), Speech::Http)
    } else if kind < 0.90 {
        (Party::Workload(inside), 53, Speech::Dns)
    } else {
        (Party::Outside(any(chance, n_outside)), 443, Speech::Tcp)
    };
    let urls = match (speech, workloads.get(inside)) {
        (Speech::Http, Some(workload)) => {
            let host = format!("{}.{}:{port}", workload.name, workload.namespace);
            let paths = (1..=2).flat_map(|version| RESOURCES.map(|resource| format!("/api/v{version}/{resource}")));
            paths.map(|path| format!("http://{host}{path}")).collect()
        }
        _ => Vec::new(),
    };
    Edge {
        client,
        client_slot: None,
        server,
        port,
        speech,
        urls,
        weight: 1.0 / float(index as u64 + 1).powf(ZIPF),
        is_daily: false,
        latency_ms,
        error_rate: chance.small_share(60.0),
        denied_rate: DENIED_RATE,
        episodes: Vec::new(),
    }
}
