//! Batches as bytes and back: Arrow's own buffers, without the columns that are all null.
//!
//! ```text
//! payload = n_parts u16 | part*
//! part    = table code u8 | n_rows u32 | n_columns u16 | column*
//! column  = name length u8 | name | kind u8 | has nulls u8 | [validity bitmap] | values
//! values  = Time, I64, U64: 8 bytes a row; U32, I32: 4; U16: 2; U8: 1; Bool: a bitmap
//!         | Text, Bytes: lengths u32 a row | all bytes
//!         | Dict, DictBytes: n_values u32 | lengths u32 a value | all bytes | key width u8 | keys
//! ```
//! A key takes 0, 1, 2 or 4 bytes, as few as the number of values asks for. Columns are found by name, so that a build
//! with more columns reads what one with fewer wrote; a column this build does not know is an error, since dropping it
//! would lose it.

mod decode;
mod encode;

pub use decode::decode;
pub use encode::encode;

use hindcast_model::ColumnKind;

const fn kind_code(kind: ColumnKind) -> u8 {
    match kind {
        ColumnKind::Time => 1,
        ColumnKind::Bool => 2,
        ColumnKind::U8 => 3,
        ColumnKind::U16 => 4,
        ColumnKind::U32 => 5,
        ColumnKind::U64 => 6,
        ColumnKind::I32 => 7,
        ColumnKind::I64 => 8,
        ColumnKind::Dict => 9,
        ColumnKind::Text => 10,
        ColumnKind::Bytes => 11,
        ColumnKind::DictBytes => 12,
    }
}

/// Bytes a key takes where there are `n_values` values.
const fn key_width(n_values: usize) -> usize {
    match n_values {
        0 | 1 => 0,
        2..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

#[cfg(test)]
mod tests;
