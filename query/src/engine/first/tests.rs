//! Against sorting everything.

use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::First;

proptest! {
    #[test]
    fn the_first_are_those_of_a_sort(
        ranks in prop::collection::vec(-20_i64..20, 0..200),
        target in prop_oneof![1_usize..30, Just(usize::MAX)],
        cursor in prop::option::of(-20_i64..20),
        last in prop::option::of(-20_i64..20),
    ) {
        let mut first = First { target, cursor, last, ranks: BinaryHeap::new(), found: Vec::new() };
        ranks.iter().enumerate().for_each(|(row, rank)| first.offer(*rank, row));
        let mut counted: Vec<i64> =
            ranks.iter().copied().filter(|rank| cursor.is_none_or(|cursor| *rank > cursor)).collect();
        counted.sort_unstable();
        let bound = target.checked_sub(1).and_then(|at| counted.get(at)).copied();
        let is_wanted = |rank: i64| {
            let is_free = cursor.is_some_and(|cursor| rank <= cursor);
            last.is_none_or(|last| rank <= last) && (is_free || bound.is_none_or(|bound| rank <= bound))
        };
        let expected: Vec<(i64, usize)> =
            ranks.iter().enumerate().filter(|(_, rank)| is_wanted(**rank)).map(|(row, rank)| (*rank, row)).collect();
        prop_assert_eq!(first.finish(), expected);
    }
}
