//! A column built in any order of sets and truncations equals a plain list of optional values.
use arrow::array::{Array as _, ArrayRef};
use proptest::prelude::*;

use super::{BytesView, Column as _, DictBytesColumn, DictColumn, TextColumn, TextView, U16Column, U16View};

#[derive(Clone, Debug)]
enum Step {
    Set(u8),
    Skip,
    Truncate(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<u8>().prop_map(|value| Step::Set(value % 5)),
        2 => Just(Step::Skip),
        1 => (0_usize..4).prop_map(Step::Truncate),
    ];
    proptest::collection::vec(step, 0..40)
}

fn check(steps: &[Step]) {
    let (mut number, mut text, mut dict, mut bytes) =
        (U16Column::default(), TextColumn::default(), DictColumn::default(), DictBytesColumn::default());
    let mut model: Vec<Option<u8>> = Vec::new();
    for step in steps {
        let row = model.len();
        match step {
            Step::Set(value) => {
                number.set(row, u16::from(*value));
                text.set(row, &"x".repeat(usize::from(*value)));
                dict.set(row, &"x".repeat(usize::from(*value)));
                bytes.set(row, &vec![7; usize::from(*value)]);
                model.push(Some(*value));
            }
            Step::Skip => model.push(None),
            Step::Truncate(back) => {
                let keep = row.saturating_sub(*back);
                model.truncate(keep);
                number.truncate(keep);
                text.truncate(keep);
                dict.truncate(keep);
                bytes.truncate(keep);
            }
        }
    }
    let finished: [ArrayRef; 4] =
        [number.finish(model.len()), text.finish(model.len()), dict.finish(model.len()), bytes.finish(model.len())];
    let numbers = U16View::of(Some(&finished[0])).expect("numbers");
    let texts = TextView::of(Some(&finished[1])).expect("texts");
    let dicts = TextView::of(Some(&finished[2])).expect("texts in a dictionary");
    let byte_strings = BytesView::of(Some(&finished[3])).expect("bytes in a dictionary");
    for (row, expected) in model.iter().enumerate() {
        let expected_text = expected.map(|value| "x".repeat(usize::from(value)));
        assert_eq!(numbers.get(row), expected.map(u16::from));
        assert_eq!(texts.get(row), expected_text.as_deref());
        assert_eq!(dicts.get(row), expected_text.as_deref());
        assert_eq!(byte_strings.get(row).map(<[u8]>::len), expected.map(usize::from));
    }
    assert!(finished.iter().all(|array| array.len() == model.len()));
}

proptest! {
    #[test]
    fn a_column_equals_a_list_of_optional_values(steps in steps()) {
        check(&steps);
    }
}
