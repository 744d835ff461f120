//! `rowcast task rename`, `rowcast task update`.

use rowcast_proto::rest::{
    DataChange, Etl, OnRowError, PatchChangeTypes, PatchTask, Retention, Task,
};

use super::show;
use crate::api::{Api, Versioned};
use crate::apply::is_fresh;
use crate::args::Shown;
use crate::args::task::{Limit, Update};
use crate::failure::{Exit, Failure};
use crate::{confirm, find, tags};

pub(super) async fn rename(
    api: &Api,
    task: &str,
    name: String,
    shown: &Shown,
) -> anyhow::Result<()> {
    let task = find::task(api, task).await?;
    let patch = PatchTask {
        name: Some(name),
        ..PatchTask::default()
    };
    show::one(&api.patch_task(&task.id, &patch, None).await?, shown.output)
}

pub(super) async fn run(api: &Api, wanted: Update) -> anyhow::Result<()> {
    let found = find::task(api, &wanted.task).await?;
    let Versioned { thing, version } = api.task_version(&found.id).await?;
    let mut patch = patch(&wanted, &thing)?;
    let alerting = wanted
        .alerting
        .alerting(api, thing.alerting.as_ref())
        .await?;
    patch.alerting = alerting;
    if let Some(source) = &wanted.fixed.source {
        patch.source_id = Some(find::source(api, source).await?.id);
    }
    if patch == PatchTask::default() {
        let sentence = "say what to change: see rowcast task update --help";
        return Err(Failure::of(Exit::Usage, sentence));
    }
    let shorter = |retention: &Retention| retention.keeps_less_than(&thing.retention);
    if !is_fresh(thing.state) && patch.retention.as_ref().is_some_and(shorter) {
        let deed = format!(
            "keep less of the task {} ({}), and remove what is older at once",
            thing.name, thing.id
        );
        confirm::agreed(&deed, wanted.agreement.yes)?;
    }
    let changed = api.patch_task(&thing.id, &patch, version.as_ref()).await?;
    show::one(&changed, wanted.shown.output)
}

/// The API takes a retention and tags as a whole: what was not said is that of the task.
fn patch(wanted: &Update, task: &Task) -> anyhow::Result<PatchTask> {
    let mut retention = None;
    if wanted.retention_hours.is_some() || wanted.retention_bytes.is_some() {
        let there = &task.retention;
        retention = Some(Retention {
            hours: wanted.retention_hours.unwrap_or(there.hours),
            max_bytes: wanted
                .retention_bytes
                .map_or(there.max_bytes, |Limit(bytes)| bytes),
        });
    }
    let mut types = None;
    if !wanted.changes.is_empty() || wanted.schema_changes.is_some() {
        let kinds = wanted.changes.iter().copied().map(DataChange::from);
        types = Some(PatchChangeTypes {
            data: Some(kinds.collect()).filter(|kinds: &Vec<_>| !kinds.is_empty()),
            schema: wanted.schema_changes,
        });
    }
    let no_etl = wanted.no_etl.then(|| Etl {
        script: String::new(),
        on_error: OnRowError::default(),
    });
    let etl = match no_etl {
        None => wanted.etl.policy(task.etl.as_ref())?,
        none => none,
    };
    Ok(PatchTask {
        name: wanted.name.clone(),
        retry_minutes: wanted.retry_minutes,
        retention,
        change_types: types,
        etl,
        // Contacts are found by the API.
        alerting: None,
        tags: tags::changed(&task.tags, &wanted.tags, &wanted.untagged),
        resource_group: wanted.sharing.patch(),
        ..wanted.fixed.patch()
    })
}
