//! Another way to a source: in its row, and in new versions of the wishes of its tasks.

use rowcast_domain::{Secret, SourceId, TaskEvent, TaskState};
use rowcast_proto::rest::{CreateSource, PatchSource};
use rowcast_service::keyring;
use sqlx::postgres::PgConnection;

use super::{Step, knows_its_wish, record, wish_anew};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::http::{IfMatch, client_certificate};
use crate::state::App;
use crate::store::source::{self, StoredSource};
use crate::store::task::{self, StoredTask};
use crate::{clock, validate};

/// Changes a source and tells its tasks, in one transaction.
///
/// Capture takes up a new version of the wish between two transactions of the source, so nothing is
/// lost. A server that is not the one that was read stops the task as `SourceReplaced`.
///
/// # Errors
/// Where there is no such source, another version of it was meant, or the values cannot be taken.
pub(crate) async fn change_source(
    app: &App,
    caller: &Caller,
    id: &SourceId,
    patch: PatchSource,
    expected: &IfMatch,
) -> Result<StoredSource, ApiError> {
    let mut transaction = app.pool().begin().await?;
    let before = source::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("source", id.as_str()))?;
    expected.holds(before.version)?;
    let mut changes = changes(&before, &patch);
    let next = changed(app, &before, patch, &mut changes)?;
    if changes.is_empty() {
        return Ok(before);
    }
    source::update(&mut transaction, &next).await?;
    if changes.iter().any(|&field| is_on_the_way(field)) {
        let reason = format!("source changed: {}", changes.join(", "));
        tell_tasks(&mut transaction, caller, id, &reason).await?;
    }
    transaction.commit().await?;
    tracing::info!(source = %id, changes = changes.join(", "), "source changed");
    app.wish_changed().notify_one();
    Ok(next)
}

/// The fields that will be different. Secrets always are: nobody compares them.
fn changes(before: &StoredSource, patch: &PatchSource) -> Vec<&'static str> {
    let source = &before.source;
    let differs = |given: &Option<String>, present: &str| {
        given.as_deref().is_some_and(|given| given != present)
    };
    let certificates = before.sslrootcert.as_deref().unwrap_or_default();
    let tags_differ = patch.tags.as_ref().is_some_and(|tags| *tags != source.tags);
    // Empty is none.
    let label_differs = |given: &Option<String>, present: &Option<String>| {
        differs(given, present.as_deref().unwrap_or_default())
    };
    let group_differs = label_differs(&patch.resource_group, &source.resource_group);
    let kind_differs = patch.kind.is_some_and(|kind| kind != source.kind);
    let mode_differs = patch.sslmode.is_some_and(|mode| mode != source.sslmode);
    let port_differs = patch.port.is_some_and(|port| port != source.port);
    [
        ("name", differs(&patch.name, &source.name)),
        ("host", differs(&patch.host, &source.host)),
        ("port", port_differs),
        ("database", differs(&patch.database, &source.database)),
        ("account", differs(&patch.account, &source.account)),
        ("password", patch.password.is_some()),
        ("sslmode", mode_differs),
        ("sslrootcert", differs(&patch.sslrootcert, certificates)),
        ("sslcert", patch.sslcert.is_some()),
        ("tags", tags_differ),
        ("resource_group", group_differs),
        ("kind", kind_differs),
        ("region", label_differs(&patch.region, &source.region)),
        (
            "instance_id",
            label_differs(&patch.instance_id, &source.instance_id),
        ),
    ]
    .into_iter()
    .filter_map(|(field, differs)| differs.then_some(field))
    .collect()
}

/// Whether tasks reach the source otherwise. Each has a database of its own.
fn is_on_the_way(field: &str) -> bool {
    const NOT: [&str; 7] = [
        "name",
        "database",
        "tags",
        "resource_group",
        "kind",
        "region",
        "instance_id",
    ];
    !NOT.contains(&field)
}

/// Fields of `changes` by which a password that is kept could go where it was not entered for: to another server, for
/// another role, or to whoever stands in for a server that is verified by less, or by others, from now on.
fn leads_elsewhere(
    before: &StoredSource,
    patch: &PatchSource,
    changes: &[&'static str],
) -> Vec<&'static str> {
    let is_weaker = patch
        .sslmode
        .is_some_and(|mode| mode < before.source.sslmode);
    let leads = |field: &&'static str| match *field {
        "host" | "port" | "account" | "sslrootcert" => true,
        "sslmode" => is_weaker,
        _ => false,
    };
    changes.iter().copied().filter(leads).collect()
}

/// The source with the changes; a password that is taken away for them is added to `changes`.
fn changed(
    app: &App,
    before: &StoredSource,
    patch: PatchSource,
    changes: &mut Vec<&'static str>,
) -> Result<StoredSource, ApiError> {
    /// Stands for the password that is kept, which was valid when it was entered.
    const KEPT: &str = "kept";

    let aad = keyring::source_password(before.source.id.as_str());
    // One that cannot be opened any more is repaired by another.
    let had_password = patch.password.is_some()
        || !app
            .keyring()
            .open(&before.password, &aad)?
            .expose()
            .is_empty();
    let elsewhere = leads_elsewhere(before, &patch, changes);
    let keeps_password = had_password && elsewhere.is_empty();
    let kept = if keeps_password { KEPT } else { "" };
    let merged = merged(before, &patch, kept);
    validate::source_patch(&patch, &merged, &elsewhere)?;
    if had_password && patch.password.is_none() && !keeps_password {
        changes.push("password");
    }
    let mut next = before.clone();
    let password = (!keeps_password || patch.password.is_some()).then_some(merged.password);
    take_secrets(app, &mut next, password, (patch.sslcert, patch.sslkey))?;
    next.source.name = merged.name;
    next.source.host = merged.host;
    next.source.port = merged.port;
    next.source.database = merged.database;
    next.source.account = merged.account;
    next.source.sslmode = merged.sslmode;
    next.source.tags = merged.tags;
    next.source.resource_group = merged.resource_group;
    next.source.kind = merged.kind.unwrap_or_default();
    next.source.region = merged.region;
    next.source.instance_id = merged.instance_id;
    next.sslrootcert = merged.sslrootcert;
    next.version += 1;
    Ok(next)
}

/// The source as it is to be; `kept_password` stands for the one that it has.
fn merged(before: &StoredSource, patch: &PatchSource, kept_password: &str) -> CreateSource {
    let present = before.source.clone();
    let certificates = match &patch.sslrootcert {
        Some(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        None => before.sslrootcert.clone(),
    };
    let label = |given: &Option<String>, present: Option<String>| match given {
        Some(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        None => present,
    };
    let resource_group = label(&patch.resource_group, present.resource_group);
    CreateSource {
        name: patch.name.clone().unwrap_or(present.name),
        kind: Some(patch.kind.unwrap_or(present.kind)),
        region: label(&patch.region, present.region),
        instance_id: label(&patch.instance_id, present.instance_id),
        host: patch.host.clone().unwrap_or(present.host),
        port: patch.port.unwrap_or(present.port),
        database: patch.database.clone().unwrap_or(present.database),
        account: patch.account.clone().unwrap_or(present.account),
        password: patch
            .password
            .clone()
            .unwrap_or_else(|| kept_password.to_owned()),
        sslmode: patch.sslmode.unwrap_or(present.sslmode),
        sslrootcert: certificates,
        sslcert: label(
            &patch.sslcert,
            before.client.as_ref().map(|client| client.chain.clone()),
        ),
        sslkey: label(
            &patch.sslkey,
            before
                .client
                .as_ref()
                .map(|_sealed| validate::KEPT_KEY.to_owned()),
        ),
        tags: patch.tags.clone().unwrap_or(present.tags),
        resource_group,
    }
}

/// Seals what is new: a password, or a client certificate with its key, which are empty for none.
fn take_secrets(
    app: &App,
    next: &mut StoredSource,
    password: Option<String>,
    client: (Option<String>, Option<String>),
) -> Result<(), ApiError> {
    let id = next.source.id.clone();
    if let (Some(chain), Some(key)) = client {
        let is_given = !chain.is_empty();
        let client = is_given.then(|| client_certificate(app, &id, chain, key));
        next.client = client.transpose()?;
        next.source.client_certificate = next.client.is_some();
    }
    if let Some(password) = password {
        let aad = keyring::source_password(id.as_str());
        next.password = app.keyring().seal(&Secret::new(password), &aad)?;
    }
    Ok(())
}

/// Gives a new version of the wish to every task that works with the source now. A stopped one gets
/// it with its next start, which is the user's decision; one that was never started must be
/// prechecked again.
async fn tell_tasks(
    connection: &mut PgConnection,
    caller: &Caller,
    id: &SourceId,
    reason: &str,
) -> Result<(), ApiError> {
    for locked in task::lock_of_source(connection, id).await? {
        let step = Step::requested(TaskEvent::Configured, &caller.actor(), reason);
        let mut task = locked.clone();
        if works_with_source(&locked) {
            wish_anew(&mut task, &step);
        } else {
            task.state = locked.state.transition(step.event).unwrap_or(locked.state);
            if task.state == locked.state {
                continue;
            }
        }
        task.updated_at = clock::now().max(locked.updated_at);
        task::update(connection, &task).await?;
        record(connection, &locked, &task, step).await?;
    }
    Ok(())
}

/// A release that fails is tried again until it succeeds.
fn works_with_source(task: &StoredTask) -> bool {
    let failed = task.error.is_some();
    let is_removed =
        task.state == TaskState::Resetting || (task.state == TaskState::Released && failed);
    knows_its_wish(task.state) || is_removed
}
