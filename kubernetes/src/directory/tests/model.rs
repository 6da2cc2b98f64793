//! The directory beside one that paints a grid: for each second and address, who had it.
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{at, directory, ip, name, pod, text};
use crate::Kind;

const N_PODS: usize = 5;
const N_ADDRESSES: usize = 3;
const N_SECONDS: usize = 120;

#[derive(Clone, Debug)]
enum Step {
    /// A pod exists and has this address.
    Apply {
        pod: usize,
        address: Option<usize>,
        label: bool,
    },
    /// A pod is over since some seconds, and still listed.
    Finish {
        pod: usize,
        ago: i64,
    },
    Delete {
        pod: usize,
    },
    /// A list of those pods that the model knows to exist, without some: their deletion was missed.
    Relist {
        without: [bool; N_PODS],
    },
    /// An older state of a pod, of a server that lags behind.
    Stale {
        pod: usize,
        address: Option<usize>,
    },
    /// Time passes; seldom it goes back.
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let address = || proptest::option::weighted(0.8, 0..N_ADDRESSES);
    let step = prop_oneof![
        6 => (0..N_PODS, address(), any::<bool>()).prop_map(|(pod, address, label)| Step::Apply { pod, address, label }),
        2 => (0..N_PODS, 0..4i64).prop_map(|(pod, ago)| Step::Finish { pod, ago }),
        2 => (0..N_PODS).prop_map(|pod| Step::Delete { pod }),
        2 => any::<[bool; N_PODS]>().prop_map(|without| Step::Relist { without }),
        1 => (0..N_PODS, address()).prop_map(|(pod, address)| Step::Stale { pod, address }),
        6 => (1..4i64).prop_map(Step::Wait),
        1 => (-3..0i64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..40)
}

/// One second of one address.
type Cell = Option<String>;

#[derive(Clone, Debug, Default)]
struct Address {
    grid: Vec<Cell>,
    /// Beginnings that were told, in order of time and then of telling: when, and by whom.
    begins: Vec<(usize, String)>,
    /// When a holding ended, as far as that is known for sure; by its beginning's place in `begins`.
    ends: Vec<Option<(usize, bool)>>,
}

impl Address {
    fn take(&mut self, holder: &str, from: usize) -> bool {
        let place = self.begins.iter().filter(|(begin, _)| *begin <= from).count();
        let next = self.begins.get(place).map(|(begin, _)| *begin);
        let mut from = from;
        if place > 0
            && let Some((end, true)) = self.ends[place - 1]
        {
            from = from.max(end);
        }
        from = next.map_or(from, |next| from.min(next));
        for end in &mut self.ends[..place] {
            if end.is_none_or(|(at, _)| from < at) {
                *end = Some((from, true));
            }
        }
        self.begins.insert(place, (from, holder.to_owned()));
        self.ends.insert(place, next.map(|next| (next, true)));
        for second in from..next.unwrap_or(N_SECONDS) {
            self.grid[second] = Some(holder.to_owned());
        }
        next.is_none()
    }

    fn release(&mut self, holder: &str, at: usize, is_known: bool) {
        let Some(place) =
            (0..self.begins.len()).rev().find(|it| self.begins[*it].1 == holder && self.ends[*it].is_none())
        else {
            return;
        };
        let at = at.max(self.begins[place].0);
        self.ends[place] = Some((at, is_known));
        for second in at..N_SECONDS {
            self.grid[second] = None;
        }
    }

    fn resume(&mut self, holder: &str) -> bool {
        let Some(place) = self.begins.len().checked_sub(1).filter(|it| self.begins[*it].1 == holder) else {
            return false;
        };
        let Some((end, false)) = self.ends[place] else { return false };
        self.ends[place] = None;
        for second in end..N_SECONDS {
            self.grid[second] = Some(holder.to_owned());
        }
        true
    }

    fn is_held_by(&self, holder: &str) -> bool {
        (0..self.begins.len()).any(|it| self.begins[it].1 == holder && self.ends[it].is_none())
    }
}

#[derive(Clone, Debug)]
struct Pod {
    created: usize,
    uid: String,
    address: Option<usize>,
    label: bool,
    had_address: bool,
    is_missing: bool,
    version: u64,
    /// Label by second.
    labels: Vec<bool>,
    last_change: usize,
    n_changes: usize,
}

#[derive(Debug)]
struct Model {
    pods: [Option<Pod>; N_PODS],
    addresses: [Address; N_ADDRESSES],
    /// All pods there ever were, with their labels by second.
    all: BTreeMap<String, (usize, Vec<bool>)>,
    n_made: usize,
    now: usize,
    version: u64,
}

impl Model {
    fn new() -> Self {
        let address = Address { grid: vec![None; N_SECONDS], ..Address::default() };
        Self {
            pods: std::array::from_fn(|_| None),
            addresses: std::array::from_fn(|_| address.clone()),
            all: BTreeMap::new(),
            n_made: 0,
            now: 5,
            version: 1,
        }
    }

    /// Makes or changes the pod in a slot; its object.
    fn apply(&mut self, slot: usize, address: Option<usize>, label: bool) -> Value {
        self.version += 1;
        let now = self.now;
        let mut pod = self.pods[slot].take().unwrap_or_else(|| {
            self.n_made += 1;
            Pod {
                created: now.saturating_sub(2),
                uid: format!("u{}", self.n_made),
                address: None,
                label,
                had_address: false,
                is_missing: false,
                version: 0,
                labels: vec![label; N_SECONDS],
                last_change: now.saturating_sub(2),
                n_changes: 0,
            }
        });
        pod.version = self.version;
        if std::mem::take(&mut pod.is_missing)
            && let Some(wanted) = address
            && self.addresses[wanted].resume(&pod.uid)
        {
            pod.address = Some(wanted);
        }
        // Of more the directory forgets the oldest.
        if pod.label != label && pod.n_changes < 7 {
            pod.last_change = pod.last_change.max(now);
            for second in pod.last_change..N_SECONDS {
                pod.labels[second] = label;
            }
            pod.label = label;
            pod.n_changes += 1;
        }
        self.readdress(&mut pod, address, now);
        self.all.insert(pod.uid.clone(), (pod.created, pod.labels.clone()));
        let tree = tree_of(&pod);
        self.pods[slot] = Some(pod);
        tree
    }

    fn readdress(&mut self, pod: &mut Pod, address: Option<usize>, released_at: usize) {
        // Another may have taken it.
        let held = pod.address.filter(|it| self.addresses[*it].is_held_by(&pod.uid));
        if held != address
            && let Some(held) = held
        {
            self.addresses[held].release(&pod.uid, released_at, true);
        }
        if held != address
            && let Some(wanted) = address
        {
            let from = if pod.had_address { self.now } else { pod.created.min(self.now) };
            self.addresses[wanted].take(&pod.uid, from);
        }
        pod.had_address |= address.is_some();
        pod.address = address;
    }
}

fn tree_of(it: &Pod) -> Value {
    let address = it.address.map(|address| format!("10.0.0.{address}"));
    let mut tree = pod(&it.uid, i64::try_from(it.created).unwrap(), address.as_deref());
    tree["metadata"]["resourceVersion"] = json!(it.version.to_string());
    tree["metadata"]["labels"] = json!({"blue": it.label.to_string()});
    tree
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let (directory, mut model) = (directory(), Model::new());
    for step in steps {
        let now = at(i64::try_from(model.now).unwrap());
        match step {
            Step::Wait(seconds) => {
                model.now = usize::try_from(i64::try_from(model.now).unwrap() + seconds).unwrap_or(0).max(5);
            }
            Step::Apply { pod, address, label } => {
                let tree = model.apply(*pod, *address, *label);
                directory.apply(Kind::Pod, &tree, now);
            }
            Step::Finish { pod: slot, ago } => {
                let Some(mut it) = model.pods[*slot].take() else { continue };
                let finished = i64::try_from(model.now).unwrap() - ago;
                let released = usize::try_from(finished + 1).unwrap().min(model.now);
                // One that was missing comes back with no address: that it had one is over.
                it.is_missing = false;
                model.readdress(&mut it, None, released);
                model.version += 1;
                it.version = model.version;
                let mut tree = tree_of(&it);
                tree["status"]["phase"] = json!("Succeeded");
                tree["status"]["containerStatuses"] =
                    json!([{"state": {"terminated": {"finishedAt": text(finished)}}}]);
                directory.apply(Kind::Pod, &tree, now);
                model.pods[*slot] = Some(it);
            }
            Step::Delete { pod: slot } => {
                let Some(it) = model.pods[*slot].take() else { continue };
                if !it.is_missing
                    && let Some(held) = it.address
                {
                    model.addresses[held].release(&it.uid, model.now, true);
                }
                directory.delete(Kind::Pod, &tree_of(&it), now);
            }
            Step::Relist { without } => {
                directory.listing(Kind::Pod);
                for (slot, is_missing) in without.iter().enumerate() {
                    let Some(it) = model.pods[slot].clone().filter(|_| !is_missing) else { continue };
                    let tree = model.apply(slot, it.address, it.label);
                    directory.apply(Kind::Pod, &tree, now);
                }
                directory.listed(Kind::Pod, now);
                for (slot, is_missing) in without.iter().enumerate() {
                    let Some(it) = model.pods[slot].as_mut().filter(|it| *is_missing && !it.is_missing) else {
                        continue;
                    };
                    it.is_missing = true;
                    if let Some(held) = it.address {
                        model.addresses[held].release(&it.uid, model.now, false);
                    }
                }
            }
            Step::Stale { pod: slot, address } => {
                let Some(it) = &model.pods[*slot] else { continue };
                let tree = tree_of(&Pod { address: *address, version: it.version - 1, ..it.clone() });
                directory.apply(Kind::Pod, &tree, now);
            }
        }
        compare(&directory, &model)?;
    }
    Ok(())
}

fn compare(directory: &crate::Directory, model: &Model) -> Result<(), TestCaseError> {
    for second in 0..N_SECONDS {
        let time = at(i64::try_from(second).unwrap());
        for (number, address) in model.addresses.iter().enumerate() {
            let found = name(directory.workload_of(ip(&format!("10.0.0.{number}")), time));
            let wanted = address.grid[second].as_ref().map(|uid| format!("pod-{uid}"));
            prop_assert_eq!(found, wanted, "address {} at {}", number, second);
        }
        for (uid, (created, labels)) in &model.all {
            let found = directory.pod_of(uid, time).and_then(|fact| fact.labels.clone());
            let wanted = format!("k8s:blue={}", labels[second.max(*created)]);
            prop_assert_eq!(found.as_deref(), Some(&*wanted), "labels of {} at {}", uid, second);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_directory_answers_as_the_grid_does(steps in steps()) {
        run(&steps)?;
    }
}
