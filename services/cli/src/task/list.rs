//! `rowcast task list`.

use rowcast_domain::TaskState;
use rowcast_proto::rest::TaskList;

use super::{measures, selection};
use crate::api::Api;
use crate::args::Format;
use crate::args::task::List;
use crate::table::{or_dash, plain_table};
use crate::{find, output, tags};

/// A line a task.
pub(super) async fn run(api: &Api, wanted: List) -> anyhow::Result<()> {
    let (format, wide) = (wanted.shown.output, wanted.wide);
    let list = api.queried_tasks(&query(api, wanted).await?).await?;
    if wide && format == Format::Table {
        measures::show(&list.tasks)?;
    } else {
        show(&list, format)?;
    }
    if let Some(cursor) = list.next_cursor.filter(|_| format == Format::Table) {
        output::progress(format_args!("further tasks: --cursor {cursor}"));
    }
    Ok(())
}

/// These tasks.
pub(super) fn show(list: &TaskList, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(list);
    }
    let mut table = plain_table([
        "ID", "NAME", "STATE", "DATABASE", "TRACKED", "LAG", "ERROR", "GROUP", "TAGS",
    ]);
    for task in &list.tasks {
        let lag = task
            .position
            .as_ref()
            .map(|position| format!("{} bytes", position.lag_bytes));
        table.add_row([
            task.id.to_string(),
            task.name.clone(),
            task.state.to_string(),
            task.database.clone(),
            selection::in_words(&task.objects),
            or_dash(lag),
            or_dash(task.error.as_ref().map(|error| error.code.clone())),
            or_dash(task.resource_group.clone()),
            or_dash(Some(tags::in_words(&task.tags)).filter(|words| !words.is_empty())),
        ]);
    }
    output::table(&table)
}

async fn query(api: &Api, wanted: List) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut query = vec![("sort", wanted.sort)];
    if wanted.wide {
        query.push(("with", "instance,consumption".to_owned()));
    }
    let live = TaskState::ALL
        .into_iter()
        .filter(|state| wanted.live && *state != TaskState::Released)
        .map(|state| state.to_string());
    let states: Vec<String> = wanted.states.into_iter().chain(live).collect();
    if !states.is_empty() {
        query.push(("state", states.join(",")));
    }
    if let Some(source) = &wanted.source {
        query.push(("source_id", find::source(api, source).await?.id.to_string()));
    }
    query.extend(wanted.search.map(|text| ("search", text)));
    if !wanted.tags.is_empty() {
        query.push(("tag", wanted.tags.join(",")));
    }
    query.extend(wanted.resource_group.map(|name| ("resource_group", name)));
    query.extend(wanted.limit.map(|limit| ("limit", limit.to_string())));
    query.extend(wanted.cursor.map(|cursor| ("cursor", cursor)));
    Ok(query)
}
