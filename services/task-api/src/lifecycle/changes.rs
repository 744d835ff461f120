//! What a task is otherwise: in its row, in its history, and, where capture must know, in a new version
//! of its wish.

mod fixed;

use std::collections::BTreeMap;

use rowcast_domain::{TaskCommand, TaskEvent, TaskId};
use rowcast_proto::rest::{Alerting, ChangeTypes, CreateTask, Etl, PatchChangeTypes, PatchTask};

use self::fixed::Fixed;
use super::{Step, knows_its_wish, record, wish_anew};
use crate::auth::Caller;
use crate::clock;
use crate::error::ApiError;
use crate::http::IfMatch;
use crate::state::App;
use crate::store::source;
use crate::store::task::{self, StoredTask};
use crate::validate;

/// Changes a task, in a transaction of its own. What it is already changes nothing.
///
/// # Errors
/// Where there is no such task, it is released, another version of it was meant, or what
/// its first start has fixed would change.
pub(crate) async fn change_task(
    app: &App,
    caller: &Caller,
    id: &TaskId,
    mut patch: PatchTask,
    expected: &IfMatch,
) -> Result<StoredTask, ApiError> {
    let mut transaction = app.pool().begin().await?;
    if let Some(source) = &patch.source_id {
        // Before the task, as everybody who locks both.
        source::lock(&mut transaction, source).await?;
    }
    let locked = task::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("task", id.as_str()))?;
    expected.holds(locked.version)?;
    ApiError::unless_taken(locked.state, TaskCommand::Change)?;
    let fixed = Fixed::take(&mut patch);
    let (mut task, mut changes) = changed(&locked, patch)?;
    let fixed = fixed::change(app, &mut transaction, caller, &mut task, fixed).await?;
    if changes.words.is_empty() && !fixed.is_empty() {
        task.version += 1;
    }
    changes.for_precheck |= fixed.iter().any(|field| fixed::is_prechecked(field));
    changes.words.extend(fixed.into_iter().map(str::to_owned));
    if changes.words.is_empty() {
        return Ok(locked);
    }
    let reason = format!("changed: {}", changes.words.join(", "));
    let step = Step::requested(TaskEvent::Configured, &caller.actor(), &reason);
    task.updated_at = clock::now().max(locked.updated_at);
    if changes.for_precheck {
        task.state = locked.state.transition(step.event).unwrap_or(locked.state);
    }
    if changes.for_capture && knows_its_wish(locked.state) {
        wish_anew(&mut task, &step);
    }
    task::update(&mut transaction, &task).await?;
    if changes.for_rules {
        // Capture need not know: it is the same version of the wish.
        task::wish_lost(&mut *transaction, id, task.generation).await?;
    }
    if is_told_otherwise(&locked, &task) {
        task.objects_since = None;
        task::replace_objects(&mut transaction, &task).await?;
    } else {
        task::redefine(&mut transaction, &task).await?;
    }
    if locked.definition.resource_group != task.definition.resource_group {
        let group = task.definition.resource_group.as_deref();
        source::give_own(&mut transaction, &task.source_id, group).await?;
    }
    record(&mut transaction, &locked, &task, step).await?;
    transaction.commit().await?;
    app.wish_changed().notify_one();
    Ok(task)
}

/// Whether capture has to say since when rows are told as they are to be.
fn is_told_otherwise(before: &StoredTask, after: &StoredTask) -> bool {
    let (before, after) = (&before.definition, &after.definition);
    before.etl != after.etl || before.change_types != after.change_types
}

/// What is otherwise.
#[derive(Debug, Default)]
struct Changes {
    /// Each for people.
    words: Vec<String>,
    /// Whether capture must know.
    for_capture: bool,
    /// Whether rules choose it by something else.
    for_rules: bool,
    /// Whether what was prechecked is no longer what would be started.
    for_precheck: bool,
}

/// The task with the changes.
fn changed(task: &StoredTask, patch: PatchTask) -> Result<(StoredTask, Changes), ApiError> {
    let PatchTask {
        // Taken out before.
        source_id: _,
        database: _,
        partitions: _,
        transactions: _,
        packing: _,
        format: _,
        network: _,
        name,
        retry_minutes,
        retention,
        change_types,
        etl,
        alerting,
        tags,
        resource_group,
    } = patch;
    let mut next = task.clone();
    let definition = &mut next.definition;
    let mut changes = Changes::default();
    if let Some(name) = name.filter(|name| *name != definition.name) {
        let words = format!("name {:?} → {name:?}", definition.name);
        changes.words.push(words);
        definition.name = name;
    }
    if let Some(minutes) = retry_minutes
        && minutes != definition.retry_minutes
    {
        let words = format!("retry_minutes {} → {minutes}", definition.retry_minutes);
        changes.words.push(words);
        definition.retry_minutes = minutes;
    }
    if let Some(retention) = retention
        && retention != definition.retention
    {
        changes.words.push("retention".to_owned());
        // Whether NATS has room for so much was prechecked.
        let is_other = retention.max_bytes != definition.retention.max_bytes;
        changes.for_precheck |= is_other && !task.was_started();
        definition.retention = retention;
    }
    if let Some(etl) = etl.and_then(|etl| other_policy(definition.etl.as_ref(), etl)) {
        changes.words.push("etl".to_owned());
        // Whether it fits the tables was prechecked.
        changes.for_precheck |= !task.was_started();
        definition.etl = etl;
    }
    if let Some(alerting) = alerting.and_then(|said| other_alerting(definition, said)) {
        changes.words.push("alerting".to_owned());
        definition.alerting = alerting;
    }
    changes.for_capture = !changes.words.is_empty();
    if let Some(types) = change_types.and_then(|patch| other_types(&definition.change_types, patch))
    {
        validate::changed_types(&types)?;
        changes.words.push("change_types".to_owned());
        changes.for_precheck |= !task.was_started();
        changes.for_capture = true;
        definition.change_types = types;
    }
    let labels = relabel(definition, tags, resource_group);
    changes.for_rules = !labels.is_empty();
    changes.words.extend(labels);
    if !changes.words.is_empty() {
        next.version += 1;
    }
    Ok((next, changes))
}

/// Gives it what only people and rules read; tells what of it is otherwise.
fn relabel(
    definition: &mut CreateTask,
    tags: Option<BTreeMap<String, String>>,
    resource_group: Option<String>,
) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(tags) = tags
        && tags != definition.tags
    {
        words.push("tags".to_owned());
        definition.tags = tags;
    }
    if let Some(group) = resource_group.map(|name| Some(name).filter(|name| !name.is_empty()))
        && group != definition.resource_group
    {
        words.push("resource_group".to_owned());
        definition.resource_group = group;
    }
    words
}

/// The policy that is wanted, or none where its script is empty; `None` where that is the present one.
fn other_policy(present: Option<&Etl>, wanted: Etl) -> Option<Option<Etl>> {
    let next = Some(wanted).filter(|etl| !etl.script.is_empty());
    (next.as_ref() != present).then_some(next)
}

/// What is to be told, or nothing of its own; `None` where that is so already.
fn other_alerting(present: &CreateTask, wanted: Alerting) -> Option<Option<Alerting>> {
    let next = Some(wanted).filter(|said| *said != Alerting::default());
    (next != present.alerting).then_some(next)
}

/// The types with the changes; `None` where they are the same, in whatever order.
fn other_types(present: &ChangeTypes, patch: PatchChangeTypes) -> Option<ChangeTypes> {
    let PatchChangeTypes { data, schema } = patch;
    let next = ChangeTypes {
        data: data.unwrap_or_else(|| present.data.clone()),
        schema: schema.unwrap_or(present.schema),
    };
    let same = next.schema == present.schema
        && next.data.len() == present.data.len()
        && next.data.iter().all(|kind| present.data.contains(kind));
    (!same).then_some(next)
}

#[cfg(test)]
mod tests {
    use rowcast_domain::TaskState;
    use rowcast_proto::message::DesiredState;
    use rowcast_proto::rest::DataChange;

    use super::super::tests::task;
    use super::*;

    fn patch(text: &str) -> PatchTask {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_changes_is_named_and_counted_once() {
        let before = task(TaskState::Running, DesiredState::Running);
        let both = r#"{"name": "sales", "retry_minutes": 60}"#;
        let (next, changes) = changed(&before, patch(both)).unwrap();
        assert!(changes.for_capture);
        assert_eq!(
            changes.words,
            ["name \"orders\" → \"sales\"", "retry_minutes 120 → 60"]
        );
        assert_eq!(next.version, 2);
        let same = r#"{"name": "orders", "retry_minutes": 120, "retention": {"hours": 24}}"#;
        let (next, changes) = changed(&before, patch(same)).unwrap();
        assert!(changes.words.is_empty());
        assert_eq!(next.version, 1);
    }

    #[test]
    fn other_retention_is_a_wish_and_prechecked_before_the_stream_is_made() {
        let retention = r#"{"retention": {"hours": 48}}"#;
        let fresh = task(TaskState::PrecheckPassed, DesiredState::Unspecified);
        let (next, _changes) = changed(&fresh, patch(retention)).unwrap();
        assert_eq!(next.definition.retention.hours, 48);
        let limited = r#"{"retention": {"hours": 24, "max_bytes": 1073741824}}"#;
        let (_next, changes) = changed(&fresh, patch(limited)).unwrap();
        assert!(changes.for_precheck);
        let running = task(TaskState::Running, DesiredState::Running);
        let (_next, changes) = changed(&running, patch(limited)).unwrap();
        assert!(changes.for_capture && !changes.for_precheck);
    }

    #[test]
    fn other_change_types_are_prechecked_before_the_start_and_a_wish_behind_it() {
        let patch = |text: &str| patch(&format!(r#"{{"change_types": {text}}}"#));
        let fresh = task(TaskState::PrecheckPassed, DesiredState::Unspecified);
        let (next, changes) = changed(&fresh, patch(r#"{"data": ["insert"]}"#)).unwrap();
        assert_eq!(next.definition.change_types.data, [DataChange::Insert]);
        assert!(changes.for_precheck);
        let (_next, changes) = changed(&next, patch(r#"{"schema": true}"#)).unwrap();
        assert_eq!(changes.words, ["change_types"]);
        assert!(changed(&fresh, patch(r#"{"data": []}"#)).is_err());

        let running = task(TaskState::Running, DesiredState::Running);
        let (_next, changes) = changed(&running, patch(r#"{"data": ["insert"]}"#)).unwrap();
        assert!(changes.for_capture && !changes.for_precheck);
        // The same in another order is no change.
        let same = r#"{"data": ["truncate", "delete", "update", "insert"], "schema": false}"#;
        let (_next, changes) = changed(&running, patch(same)).unwrap();
        assert!(changes.words.is_empty());
    }

    #[test]
    fn whom_to_tell_is_a_wish_and_nothing_is_prechecked_for_it() {
        let fresh = task(TaskState::PrecheckPassed, DesiredState::Unspecified);
        let (next, changes) =
            changed(&fresh, patch(r#"{"alerting": {"delay_seconds": 60}}"#)).unwrap();
        assert_eq!(changes.words, ["alerting"]);
        assert!(changes.for_capture && !changes.for_precheck);
        let (next, changes) = changed(&next, patch(r#"{"alerting": {}}"#)).unwrap();
        assert_eq!((next.definition.alerting, changes.words.len()), (None, 1));
    }

    #[test]
    fn what_only_people_and_rules_read_is_no_new_wish() {
        let running = task(TaskState::Running, DesiredState::Running);
        let tagged = r#"{"tags": {"env": "prod"}, "resource_group": "sales"}"#;
        let (next, changes) = changed(&running, patch(tagged)).unwrap();
        assert_eq!(changes.words, ["tags", "resource_group"]);
        assert!(!changes.for_capture && changes.for_rules);
        let (next, changes) = changed(&next, patch(r#"{"resource_group": ""}"#)).unwrap();
        assert_eq!(
            (next.definition.resource_group, changes.words.len()),
            (None, 1)
        );
    }
}
