//! An input is known again after it was renamed or has grown, and not mistaken for another.
use proptest::prelude::*;

use super::{Fingerprint, FingerprintText, Known, MARK_LEN, Reached, Tail, Tally};

fn reached(source: &str, content: &[u8], position: usize) -> Reached {
    let mut tail = Tail::default();
    tail.push(&content[..position]);
    Reached {
        source: source.to_owned(),
        fingerprint: Fingerprint::of(content),
        position: position as u64,
        mark: tail.mark(),
        pending: 3,
        is_complete: true,
        tally: Tally::default(),
        last_event_time: None,
    }
}

#[test]
fn content_that_grew_is_known_and_other_content_is_not() {
    let mut known = Known::default();
    known.learn(reached("a", b"one\ntwo\n", 4));
    known.learn(reached("b", b"other\n", 6));
    let sources = |head: &[u8]| known.candidates(head).into_iter().map(|it| it.source).collect::<Vec<_>>();
    assert_eq!(sources(b"one\ntwo\nthree\n"), ["a"]);
    assert_eq!(sources(b"one\ntwo\n"), ["a"]);
    assert_eq!(sources(b"one\n"), Vec::<String>::new());
    assert_eq!(sources(b"other\n"), ["b"]);
    assert_eq!(sources(b""), Vec::<String>::new());
}

#[test]
fn the_text_of_a_fingerprint_comes_back() {
    let reached = reached("a", b"one\ntwo\n", 4);
    let text = FingerprintText::parse(&reached.fingerprint_text().expect("not empty")).expect("own text");
    assert_eq!((Some(text.fingerprint), text.mark, text.pending), (reached.fingerprint, reached.mark, 3));
    for foreign in ["", "hubble", "2:1:2:3:4", "1:1:2:3", "1:1:2:3:4:5"] {
        assert_eq!(FingerprintText::parse(foreign), None, "{foreign}");
    }
}

proptest! {
    #[test]
    fn a_tail_does_not_depend_on_the_steps(content in proptest::collection::vec(any::<u8>(), 0..3 * MARK_LEN), step in 1_usize..5000) {
        let (mut whole, mut stepped) = (Tail::default(), Tail::default());
        whole.push(&content);
        for part in content.chunks(step) {
            stepped.push(part);
        }
        prop_assert_eq!(whole.mark(), stepped.mark());
    }
}
