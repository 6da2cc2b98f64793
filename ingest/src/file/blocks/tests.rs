//! However the bytes arrive, the same records come out under the same numbers, and a long line is not held.
use std::io::{self, Read};

use proptest::prelude::*;

use super::super::frame::{Item, frame};
use super::{BlockLimits, BlockReader, Piece};

/// Gives a few bytes at a time.
struct Dribble<'a> {
    text: &'a [u8],
    steps: Vec<usize>,
    turn: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        let n = self.steps[self.turn % self.steps.len()].min(into.len()).min(self.text.len());
        let (now, later) = self.text.split_at(n);
        into[..n].copy_from_slice(now);
        self.text = later;
        Ok(n)
    }
}

fn read(content: impl Read, limits: BlockLimits) -> (Vec<(u64, String)>, u64, usize) {
    let mut reader = BlockReader::new(content, limits, 0, 1, Vec::new());
    let (mut found, mut largest) = (Vec::new(), 0);
    let mut end = 0;
    while let Some(piece) = reader.next_piece() {
        match piece {
            Piece::Block(mut block) => {
                assert_eq!(block.end, end + block.bytes.len() as u64);
                end = block.end;
                largest = largest.max(block.bytes.len());
                frame(&mut block.bytes, block.first_line, &mut |line, item| match item {
                    Item::Record(record) => found.push((line, String::from_utf8_lossy(record).into_owned())),
                    Item::Torn(kind) => found.push((line, format!("!{kind:?}"))),
                });
            }
            Piece::TooLarge { line, n_bytes, end: after, .. } => {
                assert_eq!(after, end + n_bytes);
                end = after;
                found.push((line, "!TooLarge".to_owned()));
            }
        }
    }
    (found, end, largest)
}

#[test]
fn a_line_over_the_limit_is_passed_over_and_its_neighbours_stay() {
    let long = "x".repeat(10_000);
    for text in [format!("a\n{long}\nb\n"), format!("a\n{long}\nb"), format!("a\n{long}")] {
        let limits = BlockLimits { block: 64, line: 1000 };
        let (found, end, largest) = read(text.as_bytes(), limits);
        assert_eq!(found[..2], [(1, "a".to_owned()), (2, "!TooLarge".to_owned())]);
        assert_eq!(found.get(2).is_some(), text.ends_with("b\n") || text.ends_with('b'));
        assert!(found.get(2).is_none_or(|third| *third == (3, "b".to_owned())));
        assert_eq!(end, text.len() as u64);
        assert!(largest <= 2048, "{largest} bytes were held");
    }
}

proptest! {
    #[test]
    fn chunking_does_not_change_the_lines(
        lengths in proptest::collection::vec(0_usize..40, 0..60),
        steps in proptest::collection::vec(1_usize..50, 1..5),
        block in 1_usize..200,
        ends_with_newline in any::<bool>(),
    ) {
        let mut text = lengths.iter().map(|n| format!("l{}", "x".repeat(*n))).collect::<Vec<_>>().join("\n");
        if ends_with_newline {
            text.push('\n');
        }
        let expected: Vec<(u64, String)> =
            (1..).zip(text.lines().map(str::to_owned)).filter(|(_, line)| !line.is_empty()).collect();
        let content = Dribble { text: text.as_bytes(), steps, turn: 0 };
        let (found, end, _) = read(content, BlockLimits { block, line: 1000 });
        prop_assert_eq!(found, expected);
        prop_assert_eq!(end, text.len() as u64);
    }
}
