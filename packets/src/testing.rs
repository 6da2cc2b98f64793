//! Input for the parsers' tests: bytes that are nearly right, and bytes cut into pieces.

use proptest::collection::vec;
use proptest::prelude::*;

/// `seed` with a few bytes changed, removed or repeated: what random bytes never reach.
pub(crate) fn mutated(seed: &[u8]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seed = seed.to_vec();
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0_u8..5);
    vec(change, 0..8).prop_map(move |changes| {
        let mut bytes = seed.clone();
        for (position, value, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let position = position.index(bytes.len());
            match how {
                0 => bytes[position] = value,
                1 => bytes[position] ^= 1 << (value % 8),
                2 => bytes.truncate(position),
                3 => drop(bytes.remove(position)),
                _ => bytes.insert(position, value),
            }
        }
        bytes
    })
}

/// The bytes in pieces, as segments bring them.
pub(crate) fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut positions: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    positions.extend([0, bytes.len()]);
    positions.sort_unstable();
    positions.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Bytes from hexadecimal digits; spaces are for people.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
