//! `rowcast incident`.

use crate::api::Api;
use crate::args::{Format, incident::Command, incident::List};
use crate::table::{or_dash, plain_table, time};
use crate::{find, output};

pub(crate) async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(wanted) => list(api, wanted).await,
    }
}

async fn list(api: &Api, wanted: List) -> anyhow::Result<()> {
    let task = match &wanted.task {
        Some(task) => Some(find::task(api, task).await?.id),
        None => None,
    };
    let list = api.incidents(task.as_ref(), wanted.open).await?;
    if wanted.shown.output == Format::Json {
        return output::json(&list);
    }
    let mut table = plain_table(["ID", "TASK", "OPENED", "RESOLVED", "RULE", "SUMMARY"]);
    for incident in list.incidents {
        table.add_row([
            incident.id.to_string(),
            incident.task_name,
            time(&incident.opened_at),
            or_dash(incident.resolved_at.as_ref().map(time)),
            incident.rule_name.unwrap_or(incident.rule),
            incident.summary,
        ]);
    }
    output::table(&table)
}
