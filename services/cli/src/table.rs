//! Tables for people.

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// A table without lines: columns that can be cut and searched.
pub(crate) fn plain_table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    table
}

/// One thing, a member a line.
pub(crate) fn description(members: Vec<(&str, String)>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    for (name, value) in members {
        table.add_row([name.to_owned(), value]);
    }
    table
}

/// To the second: nobody reads more.
pub(crate) fn time(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What is there, or a dash.
pub(crate) fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
