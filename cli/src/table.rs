//! Text tables that are printed as their rows arrive: widths are those of the rows seen so far.

use std::io::{self, Write};

use crate::terminal::{Palette, Tone};

/// How the columns of a table stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// A table under way.
#[derive(Debug)]
pub(crate) struct Table {
    titles: Vec<String>,
    aligns: Vec<Align>,
    widths: Vec<usize>,
    gap: &'static str,
    palette: Palette,
    is_begun: bool,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub(crate) fn new(columns: Vec<(String, Align)>, gap: &'static str, palette: Palette) -> Self {
        let (titles, aligns): (Vec<String>, Vec<Align>) = columns.into_iter().unzip();
        let widths = titles.iter().map(|title| visible_width(title)).collect();
        Self { titles, aligns, widths, gap, palette, is_begun: false }
    }

    /// Prints rows, after the titles the first time. Each batch of rows may widen the columns.
    ///
    /// # Errors
    /// The output is closed or full.
    pub(crate) fn write(&mut self, rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(visible_width(cell));
            }
        }
        if !self.is_begun {
            self.is_begun = true;
            self.write_titles(out)?;
        }
        rows.iter().try_for_each(|row| self.line(row, out))
    }

    /// Prints the titles if no row came.
    ///
    /// # Errors
    /// The output is closed or full.
    pub(crate) fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.is_begun { Ok(()) } else { self.write(&[], out) }
    }

    fn write_titles(&self, out: &mut dyn Write) -> io::Result<()> {
        let titles: Vec<String> =
            self.titles.iter().map(|title| self.palette.paint(Tone::Faint, title).into()).collect();
        self.line(&titles, out)
    }

    fn line(&self, cells: &[String], out: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        for (position, ((cell, width), align)) in cells.iter().zip(&self.widths).zip(&self.aligns).enumerate() {
            if position > 0 {
                line.push_str(self.gap);
            }
            let padding = width.saturating_sub(visible_width(cell));
            match align {
                Align::Right => {
                    line.extend(std::iter::repeat_n(' ', padding));
                    line.push_str(cell);
                }
                Align::Left => {
                    line.push_str(cell);
                    line.extend(std::iter::repeat_n(' ', padding));
                }
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// Characters that take a place: colour codes take none.
fn visible_width(text: &str) -> usize {
    let mut width = 0;
    let mut is_code = false;
    for character in text.chars() {
        match character {
            '\u{1b}' => is_code = true,
            'm' if is_code => is_code = false,
            _ if is_code => {}
            _ => width += 1,
        }
    }
    width
}

#[cfg(test)]
mod tests;
