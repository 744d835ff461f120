//! `rowcast export`: what `rowcast apply` reads.
//!
//! Passwords are not there to be written: each is named by a variable that `apply` will ask for where it
//! has to create what it belongs to. Certificates of sources are not there either.

use std::collections::{BTreeMap, BTreeSet};

use rowcast_domain::{ContactId, TaskState};
use rowcast_proto::rest::{
    Alerting, ChargeType, Contact, Group, OWN_TAGS, OnExhausted, PurchaseTask, Source, Task,
};

use crate::api::Api;
use crate::apply::document::{
    AlertingEntry, ContactEntry, Document, GroupEntry, SecretFrom, SourceEntry, TaskEntry,
    WantedState,
};
use crate::apply::ignored;
use crate::apply::rule::RuleEntry;
use crate::args::Export;
use crate::failure::{Exit, Failure};
use crate::{find, output};

pub(crate) async fn run(api: &Api, wanted: &Export) -> anyhow::Result<()> {
    let tasks = tasks(api, &wanted.tasks).await?;
    let mut sources = find::sources_of(api, &tasks).await?;
    if !wanted.tasks.is_empty() {
        sources.retain(|source| tasks.iter().any(|task| task.source_id == source.id));
    }
    warn_of_twins("source", sources.iter().map(|source| &source.name));
    warn_of_twins("task", tasks.iter().map(|task| &task.name));
    let contacts = contacts(api, &wanted.tasks, &tasks).await?;
    warn_of_twins("contact", contacts.iter().map(|contact| &contact.name));
    let told: BTreeMap<_, _> = contacts
        .iter()
        .map(|contact| (contact.id.to_string(), contact.name.clone()))
        .collect();
    let names: BTreeMap<_, _> = sources
        .iter()
        .map(|source| (source.id.to_string(), source.name.clone()))
        .collect();
    let mut document = Document {
        set: None,
        sources: sources.into_iter().map(source_entry).collect(),
        contacts: contacts.into_iter().map(contact_entry).collect(),
        tasks: Vec::new(),
        rules: rules(api, &wanted.tasks, &tasks, &told).await?,
    };
    for task in tasks {
        let groups = api.groups(&task.id).await?.groups;
        let id = task.source_id.to_string();
        let source = names.get(&id).cloned().unwrap_or(id);
        let purchase = purchase(api, &task).await?;
        let alerting = task
            .alerting
            .as_ref()
            .map(|alerting| alerting_entry(alerting, &told));
        let ignored_checks = ignored::declared(api, &task).await?;
        let entry = task_entry(task, source, purchase, groups);
        document.tasks.push(TaskEntry {
            alerting,
            ignored_checks,
            ..entry
        });
    }
    Ok(output::text(document.to_yaml()?)?)
}

async fn tasks(api: &Api, wanted: &[String]) -> anyhow::Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for name in wanted {
        tasks.push(find::task(api, name).await?);
    }
    if wanted.is_empty() {
        tasks = api.tasks().await?.tasks;
        tasks.retain(|task| task.state != TaskState::Released);
    }
    Ok(tasks)
}

/// All, or where tasks are named those that they name.
async fn contacts(api: &Api, named: &[String], tasks: &[Task]) -> anyhow::Result<Vec<Contact>> {
    let told = tasks.iter().filter_map(|task| task.alerting.as_ref());
    let told: Vec<&ContactId> = told.flat_map(|alerting| &alerting.contacts).collect();
    if !named.is_empty() && told.is_empty() {
        return Ok(Vec::new());
    }
    let mut contacts = api.contacts().await?.contacts;
    contacts.retain(|contact| named.is_empty() || told.contains(&&contact.id));
    Ok(contacts)
}

/// All; none where tasks are named: a rule watches whatever has its tags.
async fn rules(
    api: &Api,
    named: &[String],
    tasks: &[Task],
    contacts: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<RuleEntry>> {
    if !named.is_empty() {
        return Ok(Vec::new());
    }
    let rules = api.rules().await?.rules;
    warn_of_twins("rule", rules.iter().map(|rule| &rule.name));
    let names = tasks.iter();
    let names = names.map(|task| (task.id.to_string(), task.name.clone()));
    let names: BTreeMap<_, _> = names.collect();
    let rules = rules.into_iter();
    Ok(rules
        .map(|rule| RuleEntry::of(rule, &names, contacts))
        .collect())
}

/// `apply` finds things by their names.
fn warn_of_twins<'a>(what: &str, names: impl Iterator<Item = &'a String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            output::trouble(format_args!(
                "more than one {what} is named {name:?}: `rowcast apply` will refuse this file"
            ));
        }
    }
}

fn source_entry(source: Source) -> SourceEntry {
    SourceEntry {
        password: Some(SecretFrom::password_of(&[&source.name])),
        name: source.name,
        kind: source.kind,
        region: source.region,
        instance_id: source.instance_id,
        host: source.host,
        port: source.port,
        database: source.database,
        account: source.account,
        sslmode: source.sslmode,
        sslrootcert: None,
        sslcert: None,
        sslkey: None,
        tags: without_own(source.tags),
        resource_group: source.resource_group,
    }
}

fn contact_entry(contact: Contact) -> ContactEntry {
    ContactEntry {
        secret: contact
            .url
            .is_some()
            .then(|| SecretFrom::secret_of(&contact.name)),
        name: contact.name,
        webhook: contact.url,
        email: contact.address,
        resource_group: contact.resource_group,
    }
}

/// `names` of contacts by their ids.
fn alerting_entry(alerting: &Alerting, names: &BTreeMap<String, String>) -> AlertingEntry {
    let name = |id: String| names.get(&id).cloned().unwrap_or(id);
    let ids = alerting.contacts.iter().map(ToString::to_string);
    AlertingEntry {
        delay_seconds: alerting.delay_seconds,
        contacts: ids.map(name).collect(),
    }
}

/// How its subscription was bought; `None` where it is paid by the hour, or not bought.
async fn purchase(api: &Api, task: &Task) -> anyhow::Result<Option<PurchaseTask>> {
    let instance = match api.instance(&task.id).await {
        Ok(instance) => instance,
        Err(error) if Failure::exit_of(&error) == Exit::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(instance.subscription.map(|subscription| PurchaseTask {
        charge_type: ChargeType::Subscription,
        months: Some(subscription.months),
        auto_renew: subscription.auto_renew,
    }))
}

fn task_entry(
    task: Task,
    source: String,
    purchase: Option<PurchaseTask>,
    groups: Vec<Group>,
) -> TaskEntry {
    let groups = groups.into_iter().map(|group| GroupEntry {
        password: Some(SecretFrom::password_of(&[&task.name, &group.name])),
        name: group.name,
        account: group.account,
        mode: Some(group.mode).filter(|mode| !mode.is_ordered()),
        max_deliver: group.max_deliver,
        on_exhausted: group
            .on_exhausted
            .filter(|one| *one != OnExhausted::of(group.mode)),
        etl: group.etl,
        format: group.format,
        delivery: Some(group.delivery).filter(|delivery| !delivery.is_pull()),
    });
    TaskEntry {
        groups: groups.collect(),
        source,
        purchase,
        state: wanted_state(task.state),
        name: task.name,
        database: Some(task.database),
        objects: task.objects,
        change_types: task.change_types,
        retry_minutes: task.retry_minutes,
        retention: Some(task.retention),
        partitions: Some(task.partitions),
        transactions: task.transactions,
        packing: task.packing,
        format: task.format,
        etl: task.etl,
        alerting: None,
        ignored_checks: Vec::new(),
        network: task.network,
        tags: without_own(task.tags),
        resource_group: task.resource_group,
    }
}

/// Marks are given by what applies the file.
fn without_own(mut tags: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    tags.retain(|key, _value| !key.starts_with(OWN_TAGS));
    Some(tags).filter(|tags| !tags.is_empty())
}

/// Where a new task of this definition should be brought.
const fn wanted_state(state: TaskState) -> Option<WantedState> {
    match state {
        TaskState::Starting | TaskState::Running | TaskState::Retrying => {
            Some(WantedState::Running)
        }
        TaskState::NotConfigured
        | TaskState::NotStarted
        | TaskState::Prechecking
        | TaskState::PrecheckFailed
        | TaskState::PrecheckPassed
        // A new task cannot be brought there without having run.
        | TaskState::Suspended
        // Whether these go on is a decision that no file can take.
        | TaskState::Abnormal
        | TaskState::Locked
        | TaskState::Resetting
        | TaskState::Released => None,
    }
}
