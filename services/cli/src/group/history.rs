//! `rowcast group history`.

use chrono::SecondsFormat;

use crate::api::Api;
use crate::args::Format;
use crate::args::group::History;
use crate::table::{or_dash, plain_table, time};
use crate::{find, output};

/// Shows the samples, oldest first.
pub(super) async fn run(api: &Api, wanted: History) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let group = find::group(api, &task, &wanted.group).await?;
    let mut query = vec![("points", wanted.points.to_string())];
    for (name, at) in [("since", wanted.since), ("until", wanted.until)] {
        query.extend(at.map(|at| (name, at.to_rfc3339_opts(SecondsFormat::Micros, true))));
    }
    let history = api.group_history(&task.id, &group.id, &query).await?;
    if wanted.shown.output == Format::Json {
        return output::json(&history);
    }
    let mut table = plain_table([
        "AT",
        "ACKNOWLEDGED",
        "UNREAD",
        "IN FLIGHT",
        "DELAY",
        "MEMBERS",
    ]);
    for sample in history.samples {
        table.add_row([
            time(&sample.at),
            sample.acknowledged_sequence.to_string(),
            sample.unread.to_string(),
            sample.in_flight.to_string(),
            format!("{} s", sample.delay_seconds),
            or_dash(sample.members.map(|members| members.to_string())),
        ]);
    }
    output::table(&table)
}
