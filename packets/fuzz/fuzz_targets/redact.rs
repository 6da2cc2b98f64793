//! Redaction of any text, with the well-known rules.
#![no_main]

use std::sync::LazyLock;

use hindcast_packets::redact::{Place, Redactor};
use libfuzzer_sys::fuzz_target;

static RULES: LazyLock<Redactor> = LazyLock::new(Redactor::default);

fuzz_target!(|text: &str| {
    for place in Place::ALL {
        let _left = RULES.text(place, text);
    }
    if let Some((name, value)) = text.split_once('\n') {
        let _left = RULES.header(name, value);
    }
});
