//! Records are found as a person would mark them, and no boundary cuts one.
use proptest::prelude::*;

use super::{Item, TornKind, boundary, frame};

fn records(text: &str, first_line: u64) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut block = text.as_bytes().to_vec();
    frame(&mut block, first_line, &mut |line, item| {
        found.push((
            line,
            match item {
                Item::Record(record) => String::from_utf8_lossy(record).trim_end().to_owned(),
                Item::Torn(kind) => format!("!{kind:?}"),
            },
        ));
    });
    found
}

fn check(text: &str, expected: &[(u64, &str)]) {
    let expected: Vec<(u64, String)> = expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
    assert_eq!(records(text, 1), expected, "in {text:?}");
}

#[test]
fn records_are_lines_documents_and_joined_parts() {
    check("{\"a\":1}\n{\"b\":2}\r\n\n{\"c\":3}", &[(1, "{\"a\":1}"), (2, "{\"b\":2}"), (4, "{\"c\":3}")]);
    check("{\n  \"a\": \"}\\\"{\"\n}\n{\"b\":2}\n", &[(1, "{\n  \"a\": \"}\\\"{\"\n}"), (4, "{\"b\":2}")]);
    check("{\"torn\": {\"x\n{\"b\":2}\n", &[(1, "{\"torn\": {\"x"), (2, "{\"b\":2}")]);
    check("{\"torn\": {\n{\"b\":2}\n", &[(1, "!OpenDocument"), (2, "{\"b\":2}")]);
    check("  \"x\": 1\n}\n{\"b\":2}\n", &[(1, "!OrphanLines"), (3, "{\"b\":2}")]);
    check("{\"torn\": {\nlevel=info\n{\"b\":2}\n", &[(1, "!OpenDocument"), (2, "level=info"), (3, "{\"b\":2}")]);
    check(
        "2026-01-01T00:00:00.5Z stdout P {\"a\":\n2026-01-01T00:00:00Z stderr F noise\n2026-01-01T00:00:01Z stdout F 1}\n",
        &[(2, "2026-01-01T00:00:00Z stderr F noise"), (1, "{\"a\":1}")],
    );
    check("2026-01-01T00:00:00.5Z stdout P {\"a\":\n", &[(1, "!OpenPart")]);
    check("2026-01-01T00:00:00Z stdout F {}\n", &[(1, "2026-01-01T00:00:00Z stdout F {}")]);
    assert_eq!(TornKind::OpenPart.detail(), "a line in parts whose last part is missing");
}

fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("{\"flow\":{\"time\":\"x\"}}".to_owned()),
        1 => Just("{\n  \"a\": [\n    \"}\"\n  ]\n}".to_owned()),
        1 => Just("{\"torn\":{\"ti".to_owned()),
        1 => Just("{\"torn\":{".to_owned()),
        1 => Just("  \"orphan\": 1".to_owned()),
        1 => Just(String::new()),
        1 => Just("2026-01-01T00:00:00Z stdout P {\"a\":".to_owned()),
        1 => Just("2026-01-01T00:00:00Z stdout F 1}".to_owned()),
        1 => Just("2026-01-01T00:00:00Z stderr P x".to_owned()),
        1 => Just("level=info msg=x\r".to_owned()),
    ]
}

proptest! {
    #[test]
    fn chunks_cut_at_boundaries_hold_the_same_records(
        lines in proptest::collection::vec(any_line(), 0..30),
        step in 1_usize..60,
    ) {
        let text = lines.join("\n") + "\n{\"end\":1}";
        let mut whole = records(&text, 1);
        let (mut pieces, mut start, mut end, mut line) = (Vec::new(), 0, 0, 1);
        while end < text.len() {
            end = (end + step).min(text.len());
            let cut = boundary(&text.as_bytes()[start..end]);
            pieces.extend(records(text.get(start..start + cut.end).expect("ASCII"), line));
            start += cut.end;
            line += cut.n_lines;
        }
        pieces.extend(records(text.get(start..).expect("ASCII"), line));
        // A run of orphans is one record however it is cut; parts of two streams may end in either order.
        whole.retain(|(_, text)| text != "!OrphanLines");
        pieces.retain(|(_, text)| text != "!OrphanLines");
        whole.sort();
        pieces.sort();
        prop_assert_eq!(whole, pieces);
    }
}
