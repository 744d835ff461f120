//! The steps of a plan, by the API.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use rowcast_domain::{Secret, TaskState};
use rowcast_proto::rest::{
    Alerting, CreateContact, CreateGroup, CreateSource, CreateTask, PatchContact, PatchSource,
    PurchaseTask, RunPrecheck, StartTask, Task,
};

use super::document::{
    AlertingEntry, ContactEntry, Document, GroupEntry, IgnoredEntry, SecretFrom, SourceEntry,
    TaskEntry, WantedState,
};
use super::ignored;
use super::plan::Step;
use super::rule::RuleEntry;
use crate::api::Api;
use crate::args::Waiting;
use crate::failure::{Exit, Failure};
use crate::find;
use crate::source;
use crate::task::{precheck, wait};

pub(super) async fn carry_out(api: &Api, step: &Step, timeout: u64) -> anyhow::Result<()> {
    let waiting = Waiting {
        wait: true,
        timeout,
    };
    match step {
        Step::CreateSource { source, tags } => create_source(api, source, tags).await,
        Step::UpdateSource { source, patch, .. } => update_source(api, source, patch).await,
        Step::CreateContact(contact) => create_contact(api, contact).await,
        Step::UpdateContact { contact, patch, .. } => update_contact(api, contact, patch).await,
        Step::CreateRule(rule) => create_rule(api, rule).await,
        Step::UpdateRule { rule, .. } => update_rule(api, rule).await,
        Step::CreateTask { task, tags } => create_task(api, task, tags).await,
        Step::UpdateTask {
            task,
            patch,
            alerting,
            ..
        } => {
            let task = find::task(api, task).await?;
            let mut patch = patch.clone();
            patch.alerting = resolved(api, alerting.as_ref()).await?;
            let changed = api.patch_task(&task.id, &patch, None).await;
            changed.with_context(|| format!("the task {}", task.name))?;
            Ok(())
        }
        Step::ReplaceObjects { task, to, .. } => {
            let task = find::task(api, task).await?;
            api.replace_objects(&task.id, to).await?;
            Ok(())
        }
        Step::CreateGroup { task, group } => create_group(api, task, group).await,
        Step::UpdateGroup {
            task, group, patch, ..
        } => {
            let task = find::task(api, task).await?;
            let group = find::group(api, &task, group).await?;
            let changed = api.patch_group(&task.id, &group.id, patch).await;
            changed.with_context(|| format!("the group {}/{}", task.name, group.name))?;
            Ok(())
        }
        Step::Release(task) => release(api, task, &waiting).await,
        Step::DeleteSource(source) => {
            let deleted = api.delete_source(&source.id).await;
            deleted.with_context(|| format!("the source {}", source.name))
        }
        Step::IgnoreAlerts { task, checks } => {
            ignored::answer_for(api, &find::task(api, task).await?, checks).await
        }
        Step::Bring {
            task,
            to,
            purchase,
            ignored,
        } => {
            let task = find::task(api, task).await?;
            match to {
                WantedState::Running => run(api, task, purchase, ignored, &waiting).await,
                WantedState::Suspended => {
                    api.suspend(&task.id).await?;
                    Ok(())
                }
            }
        }
    }
}

async fn release(api: &Api, task: &Task, waiting: &Waiting) -> anyhow::Result<()> {
    let released = api.release(&task.id).await;
    let released = released.with_context(|| format!("the task {}", task.name))?;
    let watch = wait::Watch::of(&released, waiting);
    watch.until(api, &task.id, wait::is_gone).await?;
    Ok(())
}

/// Whether the secrets of a step can be read, before any step is done.
pub(super) fn check(step: &Step) -> anyhow::Result<()> {
    match step {
        Step::CreateSource { source, tags } => new_source(source, tags).map(drop),
        Step::CreateGroup { task, group } => group_password(task, group).map(drop),
        Step::CreateContact(contact) => contact_secret(contact).map(drop),
        Step::UpdateContact { contact, patch, .. } => resigned(contact, patch).map(drop),
        Step::UpdateSource { source, patch, .. } => complete(source, patch).map(drop),
        Step::CreateTask { .. }
        | Step::CreateRule(_)
        | Step::UpdateRule { .. }
        | Step::UpdateTask { .. }
        | Step::UpdateGroup { .. }
        | Step::ReplaceObjects { .. }
        | Step::IgnoreAlerts { .. }
        | Step::Bring { .. }
        | Step::Release(_)
        | Step::DeleteSource(_) => Ok(()),
    }
}

fn source_password(wanted: &SourceEntry) -> anyhow::Result<Secret> {
    SecretFrom::read(
        wanted.password.as_ref(),
        "password",
        &format!("the source {}", wanted.name),
    )
}

fn group_password(task: &str, wanted: &GroupEntry) -> anyhow::Result<Secret> {
    SecretFrom::read(
        wanted.password.as_ref(),
        "password",
        &format!("the group {task}/{}", wanted.name),
    )
}

/// Mail is not signed.
fn contact_secret(wanted: &ContactEntry) -> anyhow::Result<Option<String>> {
    if wanted.webhook.is_none() {
        return Ok(None);
    }
    let whose = format!("the contact {}", wanted.name);
    let secret = SecretFrom::read(wanted.secret.as_ref(), "secret", &whose)?;
    Ok(Some(secret.expose().to_owned()))
}

/// With the secret, where the API asks for it.
fn resigned(wanted: &ContactEntry, patch: &PatchContact) -> anyhow::Result<PatchContact> {
    let mut patch = patch.clone();
    if patch.url.is_some() {
        patch.secret = contact_secret(wanted)?;
    }
    Ok(patch)
}

async fn create_contact(api: &Api, wanted: &ContactEntry) -> anyhow::Result<()> {
    let body = CreateContact {
        name: wanted.name.clone(),
        kind: wanted.kind(),
        url: wanted.webhook.clone(),
        secret: contact_secret(wanted)?,
        address: wanted.email.clone(),
        resource_group: said(wanted.resource_group.as_ref()),
    };
    let created = api.create_contact(&body).await;
    created.with_context(|| format!("the contact {}", wanted.name))?;
    Ok(())
}

async fn update_contact(
    api: &Api,
    wanted: &ContactEntry,
    patch: &PatchContact,
) -> anyhow::Result<()> {
    let contact = find::contact(api, &wanted.name).await?;
    let changed = api
        .patch_contact(&contact.id, &resigned(wanted, patch)?)
        .await;
    changed.with_context(|| format!("the contact {}", wanted.name))?;
    Ok(())
}

async fn create_rule(api: &Api, wanted: &RuleEntry) -> anyhow::Result<()> {
    let tasks = find::tasks(api, &wanted.tasks).await?;
    let contacts = find::contacts(api, &wanted.contacts).await?;
    let created = api.create_rule(&wanted.create(tasks, contacts)).await;
    created.with_context(|| format!("the rule {}", wanted.name))?;
    Ok(())
}

async fn update_rule(api: &Api, wanted: &RuleEntry) -> anyhow::Result<()> {
    let there = find::rule(api, &wanted.name).await?;
    let covered = |name: &String| there.task_ids.iter().find(|id| id.as_str() == name);
    let (known, named): (Vec<_>, Vec<_>) =
        (wanted.tasks.iter().cloned()).partition(|name| covered(name).is_some());
    let mut tasks = find::tasks(api, &named).await?;
    tasks.extend(known.iter().filter_map(|name| covered(name).cloned()));
    let contacts = find::contacts(api, &wanted.contacts).await?;
    let patch = wanted.patch(tasks, contacts);
    let changed = api.patch_rule(&there.id, &patch).await;
    changed.with_context(|| format!("the rule {}", wanted.name))?;
    Ok(())
}

/// With the ids of its contacts, which are there by now.
async fn resolved(api: &Api, wanted: Option<&AlertingEntry>) -> anyhow::Result<Option<Alerting>> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    Ok(Some(Alerting {
        delay_seconds: wanted.delay_seconds,
        contacts: find::contacts(api, &wanted.contacts).await?,
    }))
}

fn new_source(
    wanted: &SourceEntry,
    tags: &BTreeMap<String, String>,
) -> anyhow::Result<CreateSource> {
    // A server that takes the certificate asks for no password.
    let password = match (&wanted.password, &wanted.sslcert) {
        (None, Some(_)) => Secret::new(""),
        _ => source_password(wanted)?,
    };
    Ok(CreateSource {
        name: wanted.name.clone(),
        kind: Some(wanted.kind).filter(|kind| !kind.is_postgresql()),
        region: said(wanted.region.as_ref()),
        instance_id: said(wanted.instance_id.as_ref()),
        host: wanted.host.clone(),
        port: wanted.port,
        database: wanted.database.clone(),
        account: wanted.account.clone(),
        password: password.expose().to_owned(),
        sslmode: wanted.sslmode,
        sslrootcert: source::pem(wanted.sslrootcert.as_deref())?,
        sslcert: source::pem(wanted.sslcert.as_deref())?,
        sslkey: source::pem(wanted.sslkey.as_deref())?,
        tags: tags.clone(),
        resource_group: said(wanted.resource_group.as_ref()),
    })
}

/// The one source of a file.
pub(crate) fn source_of(file: &Path) -> anyhow::Result<CreateSource> {
    let document = Document::read(file)?;
    let ([entry], []) = (&*document.sources, &*document.tasks) else {
        let sentence = format!("{}: must name one source, and no task", file.display());
        return Err(Failure::of(Exit::Usage, sentence));
    };
    new_source(entry, &entry.tags.clone().unwrap_or_default())
}

async fn create_source(
    api: &Api,
    wanted: &SourceEntry,
    tags: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let created = api.create_source(&new_source(wanted, tags)?).await;
    created.with_context(|| format!("the source {}", wanted.name))?;
    Ok(())
}

/// A file says by an empty text that there is none.
fn said(said: Option<&String>) -> Option<String> {
    said.filter(|name| !name.is_empty()).cloned()
}

async fn update_source(api: &Api, wanted: &SourceEntry, patch: &PatchSource) -> anyhow::Result<()> {
    let source = find::source(api, &wanted.name).await?;
    let changed = api
        .patch_source(&source.id, &complete(wanted, patch)?, None)
        .await;
    changed.with_context(|| format!("the source {}", wanted.name))?;
    Ok(())
}

/// With the password, where the API asks for it, and the certificates that the file names.
fn complete(wanted: &SourceEntry, patch: &PatchSource) -> anyhow::Result<PatchSource> {
    let mut patch = patch.clone();
    patch.sslrootcert = source::pem(wanted.sslrootcert.as_deref())?;
    patch.sslcert = source::pem(wanted.sslcert.as_deref())?;
    patch.sslkey = source::pem(wanted.sslkey.as_deref())?;
    let needs_password = source::needs_password(&patch);
    let may_need = source::leads_elsewhere(&patch) || patch.sslmode.is_some();
    if needs_password || (may_need && wanted.password.is_some()) {
        patch.password = Some(source_password(wanted)?.expose().to_owned());
    }
    Ok(patch)
}

async fn create_task(
    api: &Api,
    wanted: &TaskEntry,
    tags: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let source = find::source(api, &wanted.source).await?;
    let alerting = resolved(api, wanted.alerting.as_ref()).await?;
    let body = CreateTask {
        name: wanted.name.clone(),
        source_id: Some(source.id),
        source: None,
        database: wanted.database.clone(),
        objects: wanted.objects.clone(),
        change_types: wanted.change_types.clone(),
        retry_minutes: wanted.retry_minutes,
        retention: wanted.retention.clone().unwrap_or_default(),
        partitions: wanted.partitions,
        transactions: wanted.transactions,
        packing: wanted.packing,
        format: wanted.format,
        etl: wanted.etl.clone().filter(|etl| !etl.script.is_empty()),
        alerting: alerting.filter(|said| *said != Alerting::default()),
        network: wanted.network.clone(),
        tags: tags.clone(),
        resource_group: said(wanted.resource_group.as_ref()),
    };
    let created = api.create_task(&body).await;
    created.with_context(|| format!("the task {}", wanted.name))?;
    Ok(())
}

async fn create_group(api: &Api, task: &str, wanted: &GroupEntry) -> anyhow::Result<()> {
    let password = group_password(task, wanted)?;
    let task = find::task(api, task).await?;
    let body = CreateGroup {
        name: wanted.name.clone(),
        account: wanted.account.clone(),
        password: password.expose().to_owned(),
        mode: wanted.mode,
        etl: wanted.etl.clone().filter(|etl| !etl.script.is_empty()),
        format: wanted.format,
        max_deliver: wanted.max_deliver,
        on_exhausted: wanted.on_exhausted,
        delivery: wanted.delivery,
    };
    let created = api.create_group(&task.id, &body).await;
    created.with_context(|| format!("the group {}/{}", task.name, wanted.name))?;
    Ok(())
}

/// What was bought already stays as it is, however the file would buy it.
async fn buy(api: &Api, task: &Task, purchase: &PurchaseTask) -> anyhow::Result<()> {
    match api.instance(&task.id).await {
        Ok(_bought) => Ok(()),
        Err(error) if Failure::exit_of(&error) == Exit::NotFound => {
            let bought = api.purchase(&task.id, purchase).await;
            bought.with_context(|| format!("the task {}", task.name))?;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// From wherever it is, by whatever is missing, to where changes flow.
async fn run(
    api: &Api,
    mut task: Task,
    purchase: &PurchaseTask,
    ignored: &[IgnoredEntry],
    waiting: &Waiting,
) -> anyhow::Result<()> {
    if matches!(
        task.state,
        TaskState::NotConfigured
            | TaskState::NotStarted
            | TaskState::Prechecking
            | TaskState::PrecheckFailed
    ) {
        let report = precheck::report(api, &task, &RunPrecheck::default(), waiting).await?;
        precheck::passed(&task, &report)?;
        task = api.task(&task.id).await?;
    }
    if task.state == TaskState::PrecheckPassed {
        ignored::answer_for(api, &task, ignored).await?;
        buy(api, &task, purchase).await?;
    }
    let started = api.start(&task.id, &StartTask::default()).await?;
    let watch = wait::Watch::of(&started, waiting);
    watch.tell(started.state, None);
    watch.until(api, &task.id, wait::runs).await?;
    Ok(())
}
