//! What the terminal shows: answers on standard output, troubles on standard error.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;

use comfy_table::Table;
use serde::Serialize;

use crate::failure::Failure;

/// Prints one line; colours are left out where nobody would see them.
///
/// # Errors
/// Where standard output is closed or full.
pub(crate) fn line(text: impl Display) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints a table, without the blanks around it.
pub(crate) fn table(table: &Table) -> anyhow::Result<()> {
    Ok(line(in_lines(table))?)
}

/// A table without the blanks around it.
pub(crate) fn in_lines(table: &Table) -> String {
    let whole = table.to_string();
    let lines = whole.lines().map(|line| {
        let line = line.strip_prefix(' ').unwrap_or(line);
        line.trim_end()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Prints one JSON document.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string_pretty(value)?)?)
}

/// Prints text as it is, without an end of line.
pub(crate) fn text(text: impl Display) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

/// Tells how far a command has come, beside what it prints.
pub(crate) fn progress(text: impl Display) {
    // Where standard error is closed there is nobody to tell.
    writeln!(anstream::stderr().lock(), "{text}").unwrap_or_default();
}

/// Whether somebody sees progress: standard error is a terminal.
pub(crate) fn is_seen() -> bool {
    std::io::stderr().is_terminal()
}

/// Tells of a trouble that does not end the command.
pub(crate) fn trouble(text: impl Display) {
    // Where standard error is closed there is nobody to tell.
    writeln!(anstream::stderr().lock(), "rowcast: {text}").unwrap_or_default();
}

/// Tells why the command ends.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // The reader has seen enough, as `head` does.
        return ExitCode::SUCCESS;
    }
    trouble(format_args!("{error:#}"));
    Failure::exit_of(error).into()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_broken_pipe_is_no_failure() {
        let broken = || std::io::Error::from(ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&broken().into()));
        assert!(!is_broken_pipe(&std::io::Error::other("disk").into()));
        let psql = rowcast_local::Error::Io {
            action: "write to",
            path: "psql".into(),
            source: broken(),
        };
        assert!(!is_broken_pipe(&psql.into()));
    }
}
