//! `rowcast task events`.

use crate::api::Api;
use crate::args::Format;
use crate::args::history::Events;
use crate::table::{plain_table, time};
use crate::{find, output};

/// What happened to a task, a line each.
pub(super) async fn run(api: &Api, wanted: Events) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let mut query = wanted.found.query();
    query.extend(wanted.limit.map(|limit| ("limit", limit.to_string())));
    let list = api.events(&task.id, &query).await?;
    if wanted.shown.output == Format::Json {
        return output::json(&list);
    }
    let mut table = plain_table(["AT", "FROM", "TO", "BY", "WHY"]);
    for event in list.events {
        table.add_row([
            time(&event.at),
            event.from.to_string(),
            event.to.to_string(),
            event.actor,
            event.reason,
        ]);
    }
    output::table(&table)?;
    if let Some(cursor) = &list.next_cursor {
        output::progress(format_args!("further steps: --cursor {cursor}"));
    }
    Ok(())
}
