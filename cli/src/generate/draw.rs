//! Drawing flows, one after the other, in order of time.

use std::time::Duration;

use hindcast_model::Timestamp;

use super::chance::{Chance, Weights, float, whole};
use super::{Edge, Fleet, Outside, Party, Pod, Recipe, Speech, Workload};

/// The rate of an edge is constant this long.
const STEP: Duration = Duration::from_secs(60);

const METHODS: [(&str, f64); 4] = [("GET", 0.70), ("POST", 0.20), ("PUT", 0.07), ("DELETE", 0.03)];
const ERROR_CODES: [u16; 4] = [500, 502, 503, 404];
/// SYN; ACK; PSH and ACK; FIN and ACK.
const TCP_FLAGS: [u16; 4] = [2, 16, 24, 17];
const SYN: u16 = 2;

/// One end of a flow.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// A pod of a workload.
    Pod(&'a Workload, &'a Pod),
    /// An address outside of the cluster.
    Outside(&'a Outside, &'a str),
}

/// What a proxy saw of the application layer.
#[derive(Clone, Copy, Debug)]
pub enum Application<'a> {
    /// Nothing.
    None,
    /// An HTTP request or response.
    Http {
        /// Request method.
        method: &'static str,
        /// URL.
        url: &'a str,
        /// Response status; 0 on requests.
        status: u16,
    },
    /// A DNS question or answer.
    Dns {
        /// Name asked for.
        query: &'a str,
        /// Address answered; none on questions and refusals.
        ip: Option<&'a str>,
        /// Response code.
        rcode: u16,
    },
}

/// One flow, before it is written in any form.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// When it was observed.
    pub time: Timestamp,
    /// Random id, where the recipe asks for one.
    pub uuid: Option<u128>,
    /// Cluster of the observing node.
    pub cluster: &'a str,
    /// Name of the observing node.
    pub node: &'a str,
    /// Who sent it.
    pub source: End<'a>,
    /// Who received it.
    pub destination: End<'a>,
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Whether UDP rather than TCP.
    pub is_udp: bool,
    /// TCP flags; 0 with UDP and for application flows.
    pub tcp_flags: u16,
    /// Whether it answers.
    pub is_reply: bool,
    /// Whether it left the endpoint at which it was observed.
    pub is_egress: bool,
    /// Whether policy denied it.
    pub is_denied: bool,
    /// What a proxy saw of it.
    pub application: Application<'a>,
    /// From request to response; on responses only.
    pub latency_ns: Option<u64>,
    /// Bytes from source to destination.
    pub bytes: u64,
    /// Packets from source to destination.
    pub packets: u64,
}

/// The flows of a recipe, in order of time.
#[derive(Debug)]
pub struct Traffic<'a> {
    fleet: &'a Fleet,
    start: Timestamp,
    n_steps: u64,
    n_flows: u64,
    has_uuids: bool,
    chance: Chance,
    weights: Weights,
    total_weight: f64,
    weight_before: f64,
    /// The step being drawn, how many flows are due by its end, how many were drawn before it and in all.
    step: u64,
    n_due: u64,
    n_before_step: u64,
    n_drawn: u64,
}

impl<'a> Traffic<'a> {
    /// Starts at the beginning of the recipe. `fleet` is what [`Recipe::fleet`] gave.
    #[must_use]
    pub fn new(recipe: &Recipe, fleet: &'a Fleet) -> Self {
        let n_steps = recipe.duration.as_secs().div_ceil(STEP.as_secs()).max(1);
        let mut traffic = Self {
            fleet,
            start: recipe.start,
            n_steps,
            n_flows: recipe.n_flows,
            has_uuids: recipe.has_uuids,
            chance: Chance::new(recipe.seed ^ 0x7261_6666_6963),
            weights: Weights::default(),
            total_weight: 0.0,
            weight_before: 0.0,
            step: 0,
            n_due: 0,
            n_before_step: 0,
            n_drawn: 0,
        };
        for step in 0..n_steps {
            traffic.weigh(step);
            traffic.total_weight += traffic.weights.total();
        }
        traffic.enter(0);
        traffic
    }

    fn step_start(&self, step: u64) -> Timestamp {
        self.start.saturating_add(Duration::from_secs(step.saturating_mul(STEP.as_secs())))
    }

    /// Takes the weights of the edges as they are in that step.
    fn weigh(&mut self, step: u64) {
        let time = self.step_start(step);
        let daily = daily_share(time);
        self.weights.set(self.fleet.edges.iter().map(|edge| {
            let extra: f64 = edge.episodes_at(time).map(|episode| episode.weight).sum();
            edge.weight * if edge.is_daily { daily } else { 1.0 } + extra
        }));
    }

    /// Moves to that step. What is due is a share of the whole, so that the sum over all steps is exact.
    fn enter(&mut self, step: u64) {
        self.weigh(step);
        self.step = step;
        self.weight_before += self.weights.total();
        self.n_before_step = self.n_drawn;
        self.n_due = if step + 1 == self.n_steps {
            self.n_flows
        } else {
            whole(float(self.n_flows) * (self.weight_before / self.total_weight))
        };
    }

    fn next_time(&mut self) -> Timestamp {
        let n_in_step = self.n_due - self.n_before_step;
        let position = (float(self.n_drawn - self.n_before_step) + self.chance.unit()) / float(n_in_step);
        let offset = Duration::from_nanos(whole(position * float(60_000_000_000)));
        self.step_start(self.step).saturating_add(offset)
    }

    fn end(&mut self, party: Party, slot: Option<usize>, time: Timestamp) -> Option<End<'a>> {
        match party {
            Party::Workload(index) => {
                let workload = self.fleet.workloads.get(index)?;
                let slot = match slot {
                    Some(index) => workload.slots.get(index)?,
                    None => self.chance.pick(&workload.slots)?,
                };
                Some(End::Pod(workload, slot.pod_at(time)?))
            }
            Party::Outside(index) => {
                let outside = self.fleet.outside.get(index)?;
                Some(End::Outside(outside, self.chance.pick(&outside.ips)?))
            }
        }
    }

    fn application(&mut self, edge: &'a Edge, time: Timestamp, is_reply: bool) -> Application<'a> {
        let errors = edge.error_rate + edge.episodes_at(time).map(|episode| episode.error_rate).sum::<f64>();
        let fails = self.chance.coin(errors);
        match edge.speech {
            Speech::Tcp => Application::None,
            Speech::Http => Application::Http {
                method: self.method(),
                url: self.chance.pick(&edge.urls).map_or("", String::as_str),
                status: match (is_reply, fails) {
                    (false, _) => 0,
                    (true, false) => 200,
                    (true, true) => self.chance.pick(&ERROR_CODES).copied().unwrap_or(500),
                },
            },
            Speech::Dns => Application::Dns {
                query: self.chance.pick(&self.fleet.dns_names).map_or("", String::as_str),
                ip: if is_reply && !fails { self.answer() } else { None },
                rcode: if is_reply && fails { 3 } else { 0 },
            },
        }
    }

    fn answer(&mut self) -> Option<&'a str> {
        let outside = self.chance.pick(&self.fleet.outside)?;
        self.chance.pick(&outside.ips).map(String::as_str)
    }

    fn method(&mut self) -> &'static str {
        let mut left = self.chance.unit();
        for (method, share) in METHODS {
            left -= share;
            if left < 0.0 {
                return method;
            }
        }
        "GET"
    }

    fn draw(&mut self) -> Option<Draw<'a>> {
        let time = self.next_time();
        let edge = self.fleet.edges.get(self.weights.pick(&mut self.chance))?;
        let client = self.end(edge.client, edge.client_slot, time)?;
        let server = self.end(edge.server, None, time)?;
        let is_denied = self.chance.coin(edge.denied_rate);
        let is_reply = !is_denied && self.chance.coin(0.5);
        let application = if is_denied { Application::None } else { self.application(edge, time, is_reply) };
        let is_udp = edge.speech == Speech::Dns;
        let latency_ns = (is_reply && !matches!(application, Application::None)).then(|| {
            let slowdown: f64 = edge.episodes_at(time).map(|episode| episode.slowdown).product();
            whole(self.chance.log_normal(0.0, 0.5) * edge.latency_ms * slowdown * 1e6)
        });
        let tcp_flags = match application {
            Application::None if is_denied => SYN,
            Application::None => self.chance.pick(&TCP_FLAGS).copied().unwrap_or(SYN),
            Application::Http { .. } | Application::Dns { .. } => 0,
        };
        // Seen where the client runs, or the server where the client is outside.
        let (observer, is_client_side) = match (client, server) {
            (End::Pod(_, pod), _) => (pod.node, true),
            (End::Outside(..), End::Pod(_, pod)) => (pod.node, false),
            (End::Outside(..), End::Outside(..)) => (0, false),
        };
        let client_port = 32_768 + u16::try_from(self.chance.below(28_231)).unwrap_or(0);
        let ((source, source_port), (destination, destination_port)) = if is_reply {
            ((server, edge.port), (client, client_port))
        } else {
            ((client, client_port), (server, edge.port))
        };
        Some(Draw {
            time,
            uuid: self.has_uuids.then(|| self.chance.wide_bits()),
            cluster: self.fleet.cluster,
            node: self.fleet.node_name(observer),
            source,
            destination,
            source_port,
            destination_port,
            is_udp,
            tcp_flags: if is_udp { 0 } else { tcp_flags },
            is_reply,
            is_egress: is_client_side != is_reply,
            is_denied,
            application,
            latency_ns,
            bytes: whole(self.chance.log_normal(6.0, 1.5)),
            packets: 1 + self.chance.below(29),
        })
    }
}

impl<'a> Iterator for Traffic<'a> {
    type Item = Draw<'a>;

    fn next(&mut self) -> Option<Draw<'a>> {
        while self.n_drawn >= self.n_due {
            if self.step + 1 >= self.n_steps {
                return None;
            }
            self.enter(self.step + 1);
        }
        let draw = self.draw();
        self.n_drawn += 1;
        draw
    }
}

/// How busy people are at that time of the day, from 0.1 at four in the morning to 1 at four in the afternoon, UTC.
fn daily_share(time: Timestamp) -> f64 {
    const DAY_NANOS: i64 = 86_400_000_000_000;
    let into_day = u64::try_from(time.as_nanos().rem_euclid(DAY_NANOS)).unwrap_or(0);
    let hours = float(into_day) / 3.6e12;
    0.55 - 0.45 * (std::f64::consts::TAU * (hours - 4.0) / 24.0).cos()
}
