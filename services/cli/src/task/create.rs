//! `rowcast task create`.

use rowcast_proto::rest::{CreateTask, Retention, Task, TaskList};

use super::{list, show};
use crate::api::Api;
use crate::args::task::Create;
use crate::failure::{Exit, Failure};
use crate::{apply, find, output};

/// A task tracks one database; several are several tasks, named after them.
pub(super) async fn run(api: &Api, wanted: Create) -> anyhow::Result<()> {
    let Some(objects) = wanted.objects.objects()? else {
        let sentence = "say what to track: --all, --schema or --table";
        return Err(Failure::of(Exit::Usage, sentence));
    };
    let source_id = match &wanted.source {
        Some(name) => Some(find::source(api, name).await?.id),
        None => None,
    };
    let source = wanted.own_source.as_deref().map(apply::source_of);
    let mut body = CreateTask {
        packing: wanted.packing(),
        format: wanted.format.into(),
        name: wanted.name.unwrap_or_default(),
        source_id,
        source: source.transpose()?.map(Box::new),
        database: None,
        objects,
        change_types: wanted.changes.types(),
        retry_minutes: wanted.retry_minutes,
        retention: Retention {
            hours: wanted.retention_hours,
            max_bytes: wanted.retention_bytes,
        },
        partitions: wanted.partitions,
        transactions: wanted.transactions,
        etl: wanted.etl.policy(None)?,
        alerting: wanted.alerting.alerting(api).await?,
        network: wanted.network,
        tags: wanted.tags.into_iter().collect(),
        resource_group: wanted.resource_group,
    };
    let format = wanted.shown.output;
    let mut databases = wanted.databases;
    let twice = databases.iter().enumerate();
    let twice = twice
        .clone()
        .find(|(nth, name)| databases[..*nth].contains(name));
    if let Some((_, name)) = twice {
        let sentence = format!("--database {name} is said twice");
        return Err(Failure::of(Exit::Usage, sentence));
    }
    if databases.len() < 2 {
        body.database = databases.pop();
        return show::one(&api.create_task(&body).await?, format);
    }
    let tasks = several(api, &body, databases).await?;
    let created = TaskList {
        tasks,
        next_cursor: None,
    };
    list::show(&created, format)
}

/// A task for each database. What was created before a refusal stays, and is told.
async fn several(
    api: &Api,
    like: &CreateTask,
    databases: Vec<String>,
) -> anyhow::Result<Vec<Task>> {
    let mut tasks = Vec::with_capacity(databases.len());
    for database in databases {
        let mut body = like.clone();
        if !like.name.is_empty() {
            body.name = format!("{}-{database}", like.name);
        }
        if let Some(own) = &mut body.source {
            own.name = format!("{}-{database}", own.name);
        }
        body.database = Some(database);
        match api.create_task(&body).await {
            Ok(task) => tasks.push(task),
            Err(error) => {
                for task in &tasks {
                    output::trouble(format_args!("task {} ({}) was created", task.name, task.id));
                }
                return Err(error);
            }
        }
    }
    Ok(tasks)
}
