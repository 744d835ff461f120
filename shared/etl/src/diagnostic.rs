//! What is wrong with a script, and where.

use serde::Serialize;

/// Mistakes that are told at once: the rest mostly follows from the first ones.
pub(crate) const DIAGNOSTICS_MAX: usize = 50;

/// One thing that is wrong with a script. Its message says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Diagnostic {
    /// Where it begins, in bytes from the start of the text.
    pub from: usize,
    /// Where it ends, in bytes from the start of the text.
    pub to: usize,
    /// The line where it begins, from 1.
    pub line: usize,
    /// The character of the line where it begins, from 1.
    pub column: usize,
    /// What kind of mistake it is, for programs.
    pub code: &'static str,
    /// One sentence for people.
    pub message: String,
}

impl Diagnostic {
    pub(crate) fn new(text: &str, span: Span, code: &'static str, message: String) -> Self {
        let (line, column) = line_and_column(text, span.from);
        Self {
            from: span.from,
            to: span.to,
            line,
            column,
            code,
            message,
        }
    }
}

/// The bytes of a text that something was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Span {
    /// From the start of this to the end of the other.
    pub(crate) fn to(self, end: Span) -> Span {
        Span {
            from: self.from,
            to: end.to,
        }
    }
}

/// Line, and character of the line, of a byte of the text, both from 1.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before
        .get(line_start..)
        .map_or(0, |part| part.chars().count());
    (line, column + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_in_characters_and_in_bytes() {
        let text = "# é\n  été x";
        let at = text.find('x').unwrap();
        let span = Span {
            from: at,
            to: at + 1,
        };
        let told = Diagnostic::new(text, span, "syntax", "Write y.".to_owned());
        assert_eq!((told.line, told.column, told.from), (2, 7, at));
        assert_eq!(told.to_string(), "line 2, column 7: Write y.");
    }

    #[test]
    fn a_place_behind_the_text_is_its_end() {
        assert_eq!(line_and_column("ab", 9), (1, 3));
    }
}
