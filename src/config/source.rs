//! A text that findings point into, and where its lines are.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text that was read: a file, or the value of an environment variable.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) name: Arc<str>,
    pub(super) text: String,
    /// Where each line begins: places are asked for by the thousand.
    starts: Vec<usize>,
    /// Stretches that hold secrets: they print as asterisks.
    secrets: Vec<Range<usize>>,
    /// Whether it is the value of an environment variable.
    pub(super) environment: bool,
    /// The lines with syntax errors: what else was read there is not to be trusted.
    pub(super) broken: BTreeSet<u32>,
}

/// Only the name: the text may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Source {
    pub(super) fn new(name: &str, text: String, environment: bool) -> Self {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Self { name: name.into(), text, starts, secrets: Vec::new(), environment, broken: BTreeSet::new() }
    }

    /// The line and column of a place, from 1.
    pub(super) fn place(&self, at: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let Some(before) = self.text.get(start..at) else { return (1, 1) };
        (number(line), number(before.chars().count() + 1))
    }

    /// The place of a line and column, and the end of its line.
    pub(super) fn stretch(&self, line: u32, column: u32) -> Range<usize> {
        let Range { start, end } = self.line(line);
        let text = self.text.get(start..end).unwrap_or_default();
        let indent: usize = text.chars().take(column.saturating_sub(1) as usize).map(char::len_utf8).sum();
        start + indent..end
    }

    /// Where a line stands, without what ends it.
    pub(super) fn line(&self, line: u32) -> Range<usize> {
        let start = self.starts.get((line as usize).saturating_sub(1)).copied().unwrap_or(self.text.len());
        let rest = self.starts.get(line as usize).map_or(self.text.get(start..), |next| self.text.get(start..*next));
        let text = rest.unwrap_or_default();
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        start..start + text.len()
    }

    /// The lines with syntax errors.
    pub(super) fn broken_lines(&self) -> impl Iterator<Item = &str> {
        self.broken.iter().map(|line| self.text.get(self.line(*line)).unwrap_or_default())
    }

    /// From now on `stretch` prints as asterisks.
    pub(super) fn hide(&mut self, stretch: Range<usize>) {
        self.secrets.push(stretch);
    }

    /// The lines around `wanted`, some more on either side, with their secrets as asterisks, byte for byte; and where they begin.
    pub(super) fn masked(&self, wanted: Range<usize>) -> Shown {
        /// As many as a picture could show, and more.
        const AROUND: usize = 5;
        let first = self.starts.partition_point(|start| *start <= wanted.start).saturating_sub(1 + AROUND);
        let behind = self.starts.partition_point(|start| *start <= wanted.end) + AROUND;
        let start = self.starts.get(first).copied().unwrap_or_default();
        let end = self.starts.get(behind).copied().unwrap_or(self.text.len());
        let near: Vec<_> = self.secrets.iter().filter(|secret| secret.start < end && secret.end > start).collect();
        let mut text = String::with_capacity(end - start);
        for (at, c) in self.text.get(start..end).unwrap_or_default().char_indices() {
            if c != '\n' && near.iter().any(|secret| secret.contains(&(start + at))) {
                text.extend(std::iter::repeat_n('*', c.len_utf8()));
            } else {
                text.push(c);
            }
        }
        Shown { text, start, line: first + 1 }
    }
}

/// A part of a text as it may be seen.
pub(super) struct Shown {
    /// It.
    pub(super) text: String,
    /// Where it begins, in bytes.
    pub(super) start: usize,
    /// The number of its first line.
    pub(super) line: usize,
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_its_line_and_its_column_in_characters() {
        let source = Source::new("a", "ä = 1\r\n\nb = \"ü\" # x\n".to_owned(), false);
        assert_eq!(source.place(0), (1, 1));
        assert_eq!(source.place(2), (1, 2));
        assert_eq!(source.place(8), (2, 1));
        assert_eq!(source.place(9), (3, 1));
        assert_eq!(source.place(17), (3, 8), "behind a character of two bytes");
        assert_eq!(source.place(source.text.len()), (4, 1));
        assert_eq!((source.place(1), source.place(1000)), ((1, 1), (1, 1)), "no place at all");
    }

    #[test]
    fn a_line_and_a_column_are_a_place_again() {
        let source = Source::new("a", "ä = 1\r\n\nb = \"ü\" # x".to_owned(), false);
        assert_eq!(source.stretch(1, 2), 2..6);
        assert_eq!(source.stretch(2, 1), 8..8);
        assert_eq!(source.stretch(3, 8), 17..21);
        assert_eq!(source.stretch(3, 99), 21..21);
        assert_eq!(source.stretch(9, 1), 21..21);
    }

    #[test]
    fn a_secret_is_hidden_wherever_the_part_that_is_shown_begins() {
        let mut source = Source::new("a", "x = 1\n".repeat(100), false);
        source.hide(604..605);
        let shown = source.masked(300..301);
        assert!(!shown.text.contains('*') && shown.text.lines().count() < 20, "{}", shown.text);
        source.hide(304..305);
        let shown = source.masked(300..301);
        assert_eq!((shown.line, shown.start), (46, 270));
        assert_eq!(shown.text.lines().nth(5), Some("x = *"));
    }
}
