//! Segments early, twice, and not at all.

use super::{Order, Piece};

#[derive(Debug, Default)]
struct Given(Vec<String>);

impl Given {
    fn put(&mut self, piece: Piece<'_>, stamp: u64) {
        self.0.push(match piece {
            Piece::Bytes(bytes) => format!("{}@{stamp}", String::from_utf8_lossy(bytes)),
            Piece::Gap(length) => format!("-{length}@{stamp}"),
        });
    }
}

#[test]
fn bytes_keep_the_stamp_they_came_with() {
    let (mut order, mut given) = (Order::default(), Given::default());
    order.take(10, b"ab", 2, 1_u64, |piece, stamp| given.put(piece, stamp));
    order.take(14, b"ef", 2, 2, |piece, stamp| given.put(piece, stamp));
    assert_eq!((order.n_missing(), order.waiting()), (Some(2), Some(2)));
    order.take(12, b"cd", 2, 3, |piece, stamp| given.put(piece, stamp));
    assert_eq!((order.n_missing(), order.waiting()), (None, None));
    assert_eq!(given.0, ["ab@1", "cd@3", "ef@2"]);
}

#[test]
fn what_is_missing_is_passed_or_given_up() {
    let (mut order, mut given) = (Order::default(), Given::default());
    // Sequence numbers begin again after the last.
    order.take(u32::MAX, b"a", 1, 1_u64, |piece, stamp| given.put(piece, stamp));
    order.take(5, b"f", 1, 2, |piece, stamp| given.put(piece, stamp));
    order.take(9, b"j", 1, 3, |piece, stamp| given.put(piece, stamp));
    assert_eq!(order.n_missing(), Some(5));
    order.pass(5, |piece, stamp| given.put(piece, stamp));
    assert_eq!(order.n_missing(), Some(3));
    order.give_up(|piece, stamp| given.put(piece, stamp));
    order.give_up(|piece, stamp| given.put(piece, stamp));
    assert_eq!(given.0, ["a@1", "f@2", "-3@3", "j@3"]);
    assert_eq!(order.n_held(), 0);
}
