//! Why the kernel drops packets, by its own names. The numbers differ from kernel to kernel, so they are read from it.

use std::collections::HashMap;
use std::fs;

use super::load::tracefs;

/// The reason that is none: the kernel did not say.
const NOT_SPECIFIED: &str = "NOT_SPECIFIED";
/// Where the reasons begin on kernels that tell nothing of their numbers: the newer ones.
const FIRST: u32 = 3;

/// Names of the kernel's reasons to drop a packet, by number; they differ from kernel to kernel.
pub(crate) fn drop_reasons() -> HashMap<u32, String> {
    let format = tracefs().and_then(|path| fs::read_to_string(path.join("events/skb/kfree_skb/format")).ok());
    parse_reasons(&format.unwrap_or_default())
}

/// From the tracepoint's `print fmt`: `{ 2, "NOT_SPECIFIED" }, { 3, "NO_SOCKET" }, …`.
fn parse_reasons(format: &str) -> HashMap<u32, String> {
    let entries = format.split('{').skip(1).filter_map(|entry| {
        let (number, rest) = entry.split_once(',')?;
        let name = rest.split('"').nth(1)?;
        Some((number.trim().parse().ok()?, name.to_owned()))
    });
    entries.collect()
}

/// The first number that is a reason: what is below was not dropped, was used up, or has no reason.
pub(crate) fn first_reason(reasons: &HashMap<u32, String>) -> u32 {
    let none = reasons.iter().find(|(_number, name)| name.as_str() == NOT_SPECIFIED);
    none.map_or(FIRST, |(number, _name)| number + 1)
}

/// A bit for each reason with one of these names. The kernel has some hundred.
pub(crate) fn bits_of(reasons: &HashMap<u32, String>, names: &[String]) -> [u64; 4] {
    let mut bits = [0; 4];
    for number in reasons.iter().filter(|(_number, name)| names.contains(name)).map(|(number, _name)| *number) {
        if let Some(word) = usize::try_from(number / 64).ok().and_then(|place| bits.get_mut(place)) {
            *word |= 1 << (number % 64);
        }
    }
    bits
}

#[cfg(test)]
mod tests;
