//! Tests of colours and of texts made safe to print.

use super::*;

#[test]
fn plain_output_has_no_escape_codes() {
    assert_eq!(Palette::PLAIN.paint(Tone::Bad, "DROPPED"), "DROPPED");
}

#[test]
fn coloured_output_ends_its_colour() {
    let palette = Palette::for_stdout(ColorChoice::Always);
    assert_eq!(palette.paint(Tone::Bad, "DROPPED"), "\u{1b}[31mDROPPED\u{1b}[0m");
    assert_eq!(palette.paint(Tone::Bad, ""), "", "nothing stays nothing");
}

#[test]
fn recorded_texts_cannot_steer_the_terminal() {
    assert_eq!(printable("GET /\u{1b}[2J\nx"), "GET /\\u{1b}[2J\\nx");
    assert_eq!(printable("größe ok"), "größe ok");
}
