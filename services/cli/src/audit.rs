//! `rowcast audit`.

use crate::api::Api;
use crate::args::Format;
use crate::args::token::Audit;
use crate::output;
use crate::table::{or_dash, plain_table, time};

pub(crate) async fn run(api: &Api, wanted: Audit) -> anyhow::Result<()> {
    let mut query = vec![("limit", wanted.limit.to_string())];
    query.extend(wanted.actor.map(|actor| ("actor", actor)));
    query.extend(wanted.about.map(|id| ("about", id)));
    query.extend(wanted.since.map(|since| ("since", since.to_rfc3339())));
    query.extend(wanted.until.map(|until| ("until", until.to_rfc3339())));
    let log = api.audit(&query).await?;
    if wanted.shown.output == Format::Json {
        return output::json(&log);
    }
    let mut table = plain_table([
        "AT",
        "ACTOR",
        "FROM",
        "ACTION",
        "PATH",
        "CREATED",
        "STATUS",
        "PROBLEM",
        "TIMES",
        "CLIENT",
        "SEQUENCES",
    ]);
    for entry in log.entries {
        table.add_row([
            time(&entry.at),
            entry.actor,
            or_dash(entry.address),
            entry.action,
            entry.path,
            or_dash(entry.created),
            or_dash(entry.status.map(|status| status.to_string())),
            or_dash(entry.problem),
            or_dash(entry.times.map(|times| times.to_string())),
            or_dash(entry.client_name),
            or_dash(sequences(entry.first_sequence, entry.last_sequence)),
        ]);
    }
    output::table(&table)
}

/// Between which sequences.
fn sequences(first: Option<u64>, last: Option<u64>) -> Option<String> {
    let (first, last) = first.zip(last)?;
    Some(if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    })
}
