//! The hybrid of runs and bit-packed groups that Parquet keeps levels and dictionary codes in.

/// Values of a bit-packed group; runs shorter than this are packed.
const GROUP: usize = 8;

/// Appends values of `width` bits. Requires: `width` from 1 to 32, values that have no more bits.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let (mut packed_from, mut at) = (0, 0);
    while let Some(value) = values.get(at) {
        let run = values.get(at..).unwrap_or_default().iter().take_while(|next| *next == value).count();
        // A run may only begin where a group of packed values ends: it lends that group its first values.
        let lent = (GROUP - (at - packed_from) % GROUP) % GROUP;
        if run >= lent + GROUP {
            pack(values.get(packed_from..at + lent).unwrap_or_default(), width, out);
            varint((run - lent) << 1, out);
            let n_bytes = usize::try_from(width.div_ceil(8)).unwrap_or(4);
            out.extend(value.to_le_bytes().iter().take(n_bytes));
            packed_from = at + run;
        }
        at += run;
    }
    pack(values.get(packed_from..).unwrap_or_default(), width, out);
}

/// Appends a packed run; the last group is filled up with zeros.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    varint(values.len().div_ceil(GROUP) << 1 | 1, out);
    let (mut bits, mut n_bits) = (0_u64, 0_u32);
    let padding = values.len().next_multiple_of(GROUP) - values.len();
    for value in values.iter().copied().chain(std::iter::repeat_n(0, padding)) {
        bits |= u64::from(value) << n_bits;
        n_bits += width;
        while n_bits >= 8 {
            out.extend(bits.to_le_bytes().first());
            bits >>= 8;
            n_bits -= 8;
        }
    }
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0x7f);
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}
