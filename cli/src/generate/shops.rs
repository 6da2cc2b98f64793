//! Two web shops over some days, with a story to find: people by day, cron jobs by night, a deploy a day, and on the
//! last day a release that breaks checkouts while a stolen recommendation pod looks around.

use std::time::Duration;

use hindcast_model::Timestamp;

use super::chance::Chance;
use super::fleet::{labels, pod_ip, pod_name};
use super::{Edge, Episode, Fleet, Node, Outside, Party, Pod, Recipe, Slot, Speech, Workload};

const CLUSTER: &str = "shops";
const N_NODES: usize = 6;
const SHOPS: [&str; 2] = ["shop-eu", "shop-us"];
const DAY: Duration = Duration::from_secs(86_400);
/// The bad release goes out this long before the end and is taken back half an hour later.
const INCIDENT_BEFORE_END: Duration = Duration::from_secs(5 * 3600);
const INCIDENT: Duration = Duration::from_secs(1800);

/// Name, kind, replicas, tier, program.
type Role = (&'static str, &'static str, u64, &'static str, &'static str);

const SHOP_ROLES: [Role; 10] = [
    ("frontend", "Deployment", 4, "web", "/usr/local/bin/node"),
    ("catalog", "Deployment", 3, "app", "/app/catalog"),
    ("cart", "Deployment", 2, "app", "/app/cart"),
    ("checkout", "Deployment", 2, "app", "/app/checkout"),
    ("payments", "Deployment", 2, "app", "/app/payments"),
    ("recommendations", "Deployment", 2, "app", "/usr/bin/python3"),
    ("redis", "StatefulSet", 1, "data", "/usr/local/bin/redis-server"),
    ("postgres", "StatefulSet", 1, "data", "/usr/lib/postgresql/17/bin/postgres"),
    ("nightly-report", "CronJob", 1, "batch", "/usr/bin/python3"),
    ("image-resizer", "CronJob", 1, "batch", "/usr/bin/convert"),
];

const PLATFORM_ROLES: [(&str, Role); 3] = [
    ("kube-system", ("coredns", "Deployment", 2, "platform", "/coredns")),
    ("ingress-nginx", ("ingress-nginx-controller", "DaemonSet", 3, "platform", "/nginx-ingress-controller")),
    ("monitoring", ("prometheus", "StatefulSet", 1, "platform", "/bin/prometheus")),
];

/// Roles inside of a shop, as indices into [`SHOP_ROLES`].
mod role {
    pub(super) const FRONTEND: usize = 0;
    pub(super) const CATALOG: usize = 1;
    pub(super) const CART: usize = 2;
    pub(super) const CHECKOUT: usize = 3;
    pub(super) const PAYMENTS: usize = 4;
    pub(super) const RECOMMENDATIONS: usize = 5;
    pub(super) const REDIS: usize = 6;
    pub(super) const POSTGRES: usize = 7;
    pub(super) const NIGHTLY_REPORT: usize = 8;
    pub(super) const IMAGE_RESIZER: usize = 9;
}

const CUSTOMERS: usize = 0;
const STRIPE: usize = 1;
const OBJECT_STORE: usize = 2;
const UNKNOWN_HOST: usize = 3;

/// The shop in which the incident happens.
const STRUCK_SHOP: usize = 0;

pub(super) fn fleet(recipe: &Recipe) -> Fleet {
    let mut chance = Chance::new(recipe.seed ^ 0x7368_6f70);
    let mut n_pods = 0;
    let roles = SHOPS.iter().flat_map(|shop| SHOP_ROLES.map(|role| (*shop, role))).chain(PLATFORM_ROLES);
    let workloads: Vec<Workload> = roles
        .enumerate()
        .map(|(index, (namespace, role))| workload(recipe, &mut chance, index, namespace, role, &mut n_pods))
        .collect();
    let outside = outsiders(&mut chance);
    let mut edges = Vec::new();
    for shop in 0..SHOPS.len() {
        edges.extend(shop_edges(recipe, shop));
    }
    edges.extend(platform_edges(workloads.len()));
    edges.extend(incident_edges(recipe));
    let dns_names = ["api.stripe.test.", "s3.eu-west-1.amazonaws.test."]
        .into_iter()
        .map(ToOwned::to_owned)
        .chain(workloads.iter().map(|workload| format!("{}.{}.svc.cluster.local.", workload.name, workload.namespace)))
        .collect();
    let nodes = (1..=N_NODES).map(|index| Node { name: format!("worker-{index}") }).collect();
    Fleet { cluster: CLUSTER, nodes, workloads, outside, edges, dns_names }
}

/// The span of the incident.
pub(super) fn incident(recipe: &Recipe) -> (Timestamp, Timestamp) {
    let from = recipe.end().saturating_sub(INCIDENT_BEFORE_END.min(recipe.duration / 2));
    (from, from.saturating_add(INCIDENT.min(recipe.duration / 10)))
}

/// The replica of the stolen workload that was taken over.
pub(super) const STOLEN_SLOT: usize = 0;

/// The workload of the pod that was taken over.
pub(super) const fn stolen() -> usize {
    member(STRUCK_SHOP, role::RECOMMENDATIONS)
}

const fn member(shop: usize, role: usize) -> usize {
    shop * SHOP_ROLES.len() + role
}

fn workload(
    recipe: &Recipe,
    chance: &mut Chance,
    index: usize,
    namespace: &str,
    (name, kind, n_replicas, tier, binary): Role,
    n_pods: &mut u64,
) -> Workload {
    let deploys = deploys(recipe, index);
    let replica_sets: Vec<u64> = deploys.iter().map(|_| chance.bits()).collect();
    let slots = (0..n_replicas)
        .map(|replica| {
            let pods = deploys.iter().zip(&replica_sets).zip(0_u64..).map(|((since, replica_set), rollout)| {
                *n_pods += 1;
                Pod {
                    name: match kind {
                        "StatefulSet" => format!("{name}-{replica}"),
                        "CronJob" => format!("{name}-{:08}-{:05x}", since.to_parts().0 / 60, chance.bits() & 0xf_ffff),
                        _ => pod_name(name, *replica_set, chance.bits()),
                    },
                    ip: pod_ip(*n_pods),
                    node: usize::try_from(chance.below(N_NODES as u64)).unwrap_or(0),
                    endpoint_id: 1 + u32::try_from(chance.below(65_535)).unwrap_or(0),
                    // A rollout replaces one replica after the other.
                    since: since.saturating_add(Duration::from_secs(if rollout == 0 { 0 } else { 40 * replica })),
                }
            });
            Slot { pods: pods.collect() }
        })
        .collect();
    Workload {
        name: name.to_owned(),
        kind,
        namespace: namespace.to_owned(),
        identity: 20_000 + u32::try_from(index).unwrap_or(0),
        labels: labels(CLUSTER, namespace, name, tier),
        binary,
        slots,
    }
}

/// When new pods of a workload come up: the start, then for most roles one deploy on some days; for the struck
/// checkout also the bad release and its undoing; for a cron job every run.
fn deploys(recipe: &Recipe, index: usize) -> Vec<Timestamp> {
    let role = if index < SHOPS.len() * SHOP_ROLES.len() { index % SHOP_ROLES.len() } else { usize::MAX };
    let mut times = vec![recipe.start];
    match role {
        role::NIGHTLY_REPORT => times.extend(runs(recipe, DAY, Duration::from_secs(2 * 3600)).map(|(from, _)| from)),
        role::IMAGE_RESIZER => times.extend(runs(recipe, DAY / 4, Duration::ZERO).map(|(from, _)| from)),
        role::REDIS | role::POSTGRES | usize::MAX => {}
        _ => {
            let every = DAY * u32::try_from(1 + role % 3).unwrap_or(1);
            times.extend(runs(recipe, every, Duration::from_secs(3600 * (9 + role as u64))).map(|(from, _)| from));
        }
    }
    if index == member(STRUCK_SHOP, role::CHECKOUT) {
        let (from, until) = incident(recipe);
        times.extend([from, until]);
    }
    times.sort_unstable();
    times
}

/// Every `every`, at `offset` past its multiples; each run with its end after ten minutes.
fn runs(recipe: &Recipe, every: Duration, offset: Duration) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let width = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX);
    let first = recipe.start.bucket(width).saturating_add(offset);
    let (start, end) = (recipe.start, recipe.end());
    std::iter::successors(Some(first), move |time| Some(time.saturating_add(every)))
        .skip_while(move |time| *time <= start)
        .take_while(move |time| *time < end)
        .map(|time| (time, time.saturating_add(Duration::from_secs(600))))
}

fn outsiders(chance: &mut Chance) -> Vec<Outside> {
    let mut addresses = |prefix: &str, n: u64| {
        (0..n)
            .map(|_| {
                let [.., middle, low] = chance.bits().to_be_bytes();
                format!("{prefix}.{middle}.{low}")
            })
            .collect()
    };
    vec![
        Outside { name: None, ips: addresses("198.51", 400) },
        Outside { name: Some("api.stripe.test".to_owned()), ips: addresses("203.0", 4) },
        Outside { name: Some("s3.eu-west-1.amazonaws.test".to_owned()), ips: addresses("52.218", 12) },
        Outside { name: None, ips: vec!["192.0.2.66".to_owned()] },
    ]
}

fn edge(client: Party, server: Party, port: u16, speech: Speech, weight: f64, latency_ms: f64) -> Edge {
    Edge {
        client,
        client_slot: None,
        server,
        port,
        speech,
        urls: Vec::new(),
        weight,
        is_daily: true,
        latency_ms,
        error_rate: 0.002,
        denied_rate: 0.0,
        episodes: Vec::new(),
    }
}

fn http(client: Party, server: Party, host: &str, paths: &[&str], weight: f64, latency_ms: f64) -> Edge {
    let urls = paths.iter().map(|path| format!("http://{host}:8080{path}")).collect();
    Edge { urls, ..edge(client, server, 8080, Speech::Http, weight, latency_ms) }
}

fn shop_edges(recipe: &Recipe, shop: usize) -> Vec<Edge> {
    use Party::{Outside as Out, Workload as In};
    let of = |role| In(member(shop, role));
    let ingress = In(SHOPS.len() * SHOP_ROLES.len() + 1);
    let dns = In(SHOPS.len() * SHOP_ROLES.len());
    let mut edges = vec![
        http(ingress, of(role::FRONTEND), "frontend", &["/", "/product", "/cart", "/checkout"], 10.0, 30.0),
        http(of(role::FRONTEND), of(role::CATALOG), "catalog", &["/v1/products", "/v1/search"], 9.0, 6.0),
        http(of(role::FRONTEND), of(role::CART), "cart", &["/v1/cart"], 4.0, 3.0),
        http(of(role::FRONTEND), of(role::RECOMMENDATIONS), "recommendations", &["/v1/for-you"], 5.0, 18.0),
        http(of(role::FRONTEND), of(role::CHECKOUT), "checkout", &["/v1/orders"], 1.5, 45.0),
        http(of(role::CHECKOUT), of(role::PAYMENTS), "payments", &["/v1/charge"], 1.5, 80.0),
        edge(of(role::CATALOG), of(role::POSTGRES), 5432, Speech::Tcp, 8.0, 1.0),
        edge(of(role::CHECKOUT), of(role::POSTGRES), 5432, Speech::Tcp, 2.0, 1.0),
        edge(of(role::CART), of(role::REDIS), 6379, Speech::Tcp, 6.0, 1.0),
        edge(of(role::PAYMENTS), Out(STRIPE), 443, Speech::Tcp, 1.5, 1.0),
        edge(of(role::CHECKOUT), dns, 53, Speech::Dns, 0.6, 0.8),
        edge(of(role::PAYMENTS), dns, 53, Speech::Dns, 0.6, 0.8),
        edge(of(role::FRONTEND), dns, 53, Speech::Dns, 1.5, 0.8),
        // Somebody left a debug setting on: it has been denied ever since.
        Edge { denied_rate: 1.0, ..edge(of(role::CATALOG), of(role::REDIS), 6379, Speech::Tcp, 0.15, 1.0) },
    ];
    let night = |every, offset, weight| {
        let runs = runs(recipe, every, offset);
        runs.map(|(from, until)| Episode { from, until, weight, slowdown: 1.0, error_rate: 0.0 }).collect::<Vec<_>>()
    };
    let report = night(DAY, Duration::from_secs(2 * 3600), 6.0);
    let resize = night(DAY / 4, Duration::ZERO, 2.0);
    for (client, server, port, episodes) in [
        (of(role::NIGHTLY_REPORT), of(role::POSTGRES), 5432, report.clone()),
        (of(role::NIGHTLY_REPORT), Out(OBJECT_STORE), 443, report),
        (of(role::IMAGE_RESIZER), Out(OBJECT_STORE), 443, resize),
    ] {
        edges.push(Edge { episodes, is_daily: false, ..edge(client, server, port, Speech::Tcp, 0.0, 1.0) });
    }
    if shop == STRUCK_SHOP {
        let (from, until) = incident(recipe);
        for edge in
            edges.iter_mut().filter(|edge| edge.server == of(role::PAYMENTS) || edge.server == of(role::CHECKOUT))
        {
            edge.episodes.push(Episode { from, until, weight: 0.0, slowdown: 12.0, error_rate: 0.45 });
        }
    }
    edges
}

fn platform_edges(n_workloads: usize) -> Vec<Edge> {
    let platform = SHOPS.len() * SHOP_ROLES.len();
    let (ingress, prometheus) = (Party::Workload(platform + 1), Party::Workload(platform + 2));
    let mut edges = vec![edge(Party::Outside(CUSTOMERS), ingress, 443, Speech::Tcp, 12.0, 1.0)];
    for scraped in (0..n_workloads).filter(|index| *index != platform + 2) {
        edges
            .push(Edge { is_daily: false, ..edge(prometheus, Party::Workload(scraped), 9090, Speech::Tcp, 0.08, 1.0) });
    }
    edges
}

/// What the stolen pod tries: the database, the payments, and a machine nobody knows.
fn incident_edges(recipe: &Recipe) -> Vec<Edge> {
    let (from, until) = incident(recipe);
    let client = Party::Workload(stolen());
    let targets = [
        (Party::Workload(member(STRUCK_SHOP, role::POSTGRES)), 5432),
        (Party::Workload(member(STRUCK_SHOP, role::PAYMENTS)), 22),
        (Party::Outside(UNKNOWN_HOST), 4444),
    ];
    let attempts = targets.map(|(server, port)| Edge {
        client_slot: Some(STOLEN_SLOT),
        denied_rate: 1.0,
        is_daily: false,
        episodes: vec![Episode { from, until, weight: 0.7, slowdown: 1.0, error_rate: 0.0 }],
        ..edge(client, server, port, Speech::Tcp, 0.0, 1.0)
    });
    attempts.into()
}
