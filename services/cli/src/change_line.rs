//! A change on one line, for people.

mod row_text;

use owo_colors::{AnsiColors, OwoColorize as _};
use rowcast_client::{Change, Operation};

/// Heartbeats and the bounds of transactions say nothing of the rows.
pub(crate) const fn is_shown(op: Operation) -> bool {
    match op {
        Operation::Insert
        | Operation::Update
        | Operation::Delete
        | Operation::Truncate
        | Operation::Schema
        | Operation::Ddl
        | Operation::Message
        | Operation::Gap
        | Operation::Part
        | Operation::Pack
        | Operation::Unknown => true,
        Operation::Begin | Operation::Commit | Operation::Heartbeat => false,
    }
}

/// Time, operation, table, key and values, as far as they fit.
pub(crate) fn line(change: &Change) -> String {
    let (word, color) = operation(change.op);
    let table = match (&change.schema, &change.table) {
        (Some(schema), Some(table)) => format!("{schema}.{table}"),
        (None, Some(name)) | (Some(name), None) => name.clone(),
        (None, None) => String::new(),
    };
    format!(
        "{}  {}  {table:<16}  {:<22}  {}",
        time_of_day(&change.committed_at).dimmed(),
        format_args!("{word:<8}").color(color),
        row_text::key(change),
        row_text::values(change),
    )
    .trim_end()
    .to_owned()
}

const fn operation(op: Operation) -> (&'static str, AnsiColors) {
    match op {
        Operation::Insert => ("INSERT", AnsiColors::Green),
        Operation::Update => ("UPDATE", AnsiColors::Yellow),
        Operation::Delete => ("DELETE", AnsiColors::Red),
        Operation::Truncate => ("TRUNCATE", AnsiColors::Magenta),
        Operation::Schema => ("SCHEMA", AnsiColors::Cyan),
        Operation::Begin => ("BEGIN", AnsiColors::Blue),
        Operation::Commit => ("COMMIT", AnsiColors::Blue),
        Operation::Heartbeat => ("ALIVE", AnsiColors::BrightBlack),
        Operation::Ddl => ("DDL", AnsiColors::Cyan),
        Operation::Message => ("MESSAGE", AnsiColors::BrightBlack),
        Operation::Gap => ("GAP", AnsiColors::Red),
        Operation::Part => ("PART", AnsiColors::BrightBlack),
        Operation::Pack => ("PACK", AnsiColors::BrightBlack),
        Operation::Unknown => ("OTHER", AnsiColors::BrightBlack),
    }
}

/// `05:33:10.123` of `2026-11-23T05:33:10.123456Z`.
fn time_of_day(timestamp: &str) -> &str {
    timestamp
        .split_once('T')
        .and_then(|(_, time)| time.get(..12))
        .unwrap_or(timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_enough() {
        assert_eq!(time_of_day("2026-11-23T05:33:10.123456Z"), "05:33:10.123");
        assert_eq!(time_of_day("now"), "now");
    }
}
