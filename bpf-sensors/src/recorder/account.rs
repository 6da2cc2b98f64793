//! What was not kept: the kernel's counters, the line in front of the sink, the limit. Told as rows of `losses` once a
//! second, and only when there is something to tell.

use aya::maps::{MapData, PerCpuArray};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::State;
use crate::decode::kind;
use crate::delivery::Delivery;
use crate::kernel::Kernel;
use crate::kernel::programs::Object;
use crate::rows::Loss;
use crate::sensor::StartError;
use crate::sink::Counters;

/// The kernel's counters of each object, and what they showed last.
pub(super) struct Account {
    arrays: Vec<PerCpuArray<MapData, u64>>,
    emitted: u64,
    /// Lost events by kind, in the order of [`kind::ALL`].
    lost: [u64; kind::ALL.len()],
    undecodable: u64,
    jumps: u64,
}

impl Account {
    pub(super) fn new(kernel: &mut Kernel) -> Result<Self, StartError> {
        let mut arrays = Vec::new();
        for object in Object::ALL {
            if let Some(map) = kernel.object(object).and_then(|ebpf| ebpf.take_map("counters")) {
                let array = PerCpuArray::try_from(map)
                    .map_err(|source| StartError::Map { map: "counters", source: Box::new(source) })?;
                arrays.push(array);
            }
        }
        Ok(Self { arrays, emitted: 0, lost: [0; kind::ALL.len()], undecodable: 0, jumps: 0 })
    }

    fn sum(&self, slot: u32) -> u64 {
        self.arrays.iter().filter_map(|array| array.get(&slot, 0).ok()).map(|cpus| cpus.iter().sum::<u64>()).sum()
    }

    /// Tells what was lost between two kernel times.
    pub(super) fn tell(&mut self, state: &mut State, delivery: &mut Delivery, from: u64, to: u64) {
        let mut emitted = 0;
        for (index, kind) in kind::ALL.into_iter().enumerate() {
            emitted += self.sum(2 * u32::from(kind));
            let lost = self.sum(2 * u32::from(kind) + 1);
            let Some(before) = self.lost.get_mut(index) else { continue };
            let count = lost.saturating_sub(std::mem::replace(before, lost));
            if count > 0 {
                Counters::add(&state.counters.lost_in_kernel, count);
                let reason = if matches!(kind, kind::UDP | kind::DROP | kind::OWNER | kind::UNTRACKED) {
                    "map_full"
                } else {
                    "ring_full"
                };
                let loss =
                    Loss { stage: "kernel", reason, count: Some(count), detail: format!("kind={}", kind::name(kind)) };
                state.rows.loss(&state.clocks, from, to, &loss);
            }
        }
        Counters::add(&state.counters.emitted, emitted.saturating_sub(std::mem::replace(&mut self.emitted, emitted)));
        let undecodable = Counters::read(&state.counters.undecodable);
        let jumps = Counters::read(&state.counters.clock_jumps);
        let own = [
            ("sink_full", delivery.take_shed()),
            ("rate_limited", state.n_limited),
            ("stream_gap", state.n_gaps),
            ("undecodable", undecodable.saturating_sub(std::mem::replace(&mut self.undecodable, undecodable))),
        ];
        for (reason, count) in own.into_iter().filter(|(_reason, count)| *count > 0) {
            let loss = Loss { stage: "sensor", reason, count: Some(count), detail: String::new() };
            state.rows.loss(&state.clocks, from, to, &loss);
        }
        // Nothing is gone, but times before and after do not compare: whoever reads a chart has to know.
        if jumps > std::mem::replace(&mut self.jumps, jumps) {
            let loss = Loss { stage: "sensor", reason: "clock_jump", count: None, detail: String::new() };
            state.rows.loss(&state.clocks, from, to, &loss);
        }
    }
}

/// Gives up what the thread no longer needs: maps and iterators ask for BPF and PERFMON, `/proc` of others for the rest.
pub(super) fn drop_capabilities() {
    let kept = CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    let outcome = capabilities(None).and_then(|mut sets| {
        sets.effective &= kept;
        sets.permitted &= kept;
        sets.inheritable = CapabilitySet::empty();
        set_capabilities(None, sets)
    });
    if let Err(error) = outcome {
        tracing::warn!(%error, "the sensors keep the capabilities they no longer need");
    }
}
