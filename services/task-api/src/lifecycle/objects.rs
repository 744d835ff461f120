//! Other objects for a task: in its row, in a new version of its wish, and in its history.

mod merge;

use std::collections::BTreeSet;
use std::fmt;

use rowcast_domain::{TaskCommand, TaskEvent, TaskId};
use rowcast_proto::rest::{ChangeObjects, Objects, ObjectsPlan};

use super::{Step, knows_its_wish, record, wish_anew};
use crate::auth::Caller;
use crate::clock;
use crate::error::ApiError;
use crate::http::IfMatch;
use crate::state::App;
use crate::store::task::{self, StoredTask};

/// How many objects of each side a reason names.
const NAMED_MAX: usize = 10;

/// Gives a task other objects, in a transaction of its own. The same ones again change nothing.
///
/// # Errors
/// Where there is no such task, it is released, another version of it was meant, or the change cannot be
/// made of what it tracks.
pub(crate) async fn change_objects(
    app: &App,
    caller: &Caller,
    id: &TaskId,
    wanted: &ChangeObjects,
    expected: &IfMatch,
) -> Result<StoredTask, ApiError> {
    let mut transaction = app.pool().begin().await?;
    let locked = task::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("task", id.as_str()))?;
    expected.holds(locked.version)?;
    ApiError::unless_taken(locked.state, TaskCommand::ChangeObjects)?;
    let objects = merge::changed(&locked.definition.objects, wanted)?;
    let Some(reason) = reason(&locked.definition.objects, &objects) else {
        return Ok(locked);
    };
    let step = Step::requested(TaskEvent::Configured, &caller.actor(), &reason);
    let task = with_objects(&locked, objects, &step);
    task::update(&mut transaction, &task).await?;
    task::replace_objects(&mut transaction, &task).await?;
    record(&mut transaction, &locked, &task, step).await?;
    transaction.commit().await?;
    app.wish_changed().notify_one();
    Ok(task)
}

/// What the change would do.
///
/// # Errors
/// Where the task is released, or the change cannot be made of what it tracks.
pub(crate) fn plan_objects(
    task: &StoredTask,
    wanted: &ChangeObjects,
) -> Result<ObjectsPlan, ApiError> {
    ApiError::unless_taken(task.state, TaskCommand::ChangeObjects)?;
    let objects = merge::changed(&task.definition.objects, wanted)?;
    let (before, after) = (pieces(&task.definition.objects), pieces(&objects));
    let names =
        |pieces: &mut dyn Iterator<Item = &Piece<'_>>| pieces.map(Piece::to_string).collect();
    let changes = before != after;
    Ok(ObjectsPlan {
        added: names(&mut after.difference(&before)),
        removed: names(&mut before.difference(&after)),
        needs_precheck: changes && task.state.transition(TaskEvent::Configured).is_ok(),
        objects: objects.clone(),
    })
}

/// The task once it has these objects.
///
/// Before the first start it must be prechecked again. Afterwards the state stays; capture learns of
/// the objects at once, except where it has stopped: it takes a new version of a wish to run for the
/// decision to try again, which is the user's, so the next start brings them.
fn with_objects(task: &StoredTask, objects: Objects, step: &Step) -> StoredTask {
    let mut next = task.clone();
    next.definition.objects = objects;
    next.version += 1;
    next.objects_since = None;
    next.state = task.state.transition(step.event).unwrap_or(task.state);
    next.updated_at = clock::now().max(task.updated_at);
    if knows_its_wish(task.state) {
        wish_anew(&mut next, step);
    }
    next
}

/// One thing that a selection names.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    Everything,
    SchemasLike(&'a str),
    Schema(&'a str),
    Table(&'a str, &'a str),
    TablesLike(&'a str, &'a str),
}

impl fmt::Display for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("all"),
            Self::SchemasLike(name) | Self::Schema(name) => write!(f, "{name}.*"),
            Self::Table(schema, name) | Self::TablesLike(schema, name) => {
                write!(f, "{schema}.{name}")
            }
        }
    }
}

fn pieces(objects: &Objects) -> BTreeSet<Piece<'_>> {
    let all = objects.all.then_some(Piece::Everything);
    let like = objects.schema_patterns.iter();
    let mut pieces: BTreeSet<_> = all
        .into_iter()
        .chain(like.map(|pattern| Piece::SchemasLike(pattern)))
        .collect();
    for schema in &objects.schemas {
        let name = schema.name.as_str();
        pieces.extend(schema.all.then_some(Piece::Schema(name)));
        let tables = schema.tables.iter();
        pieces.extend(tables.map(|table| Piece::Table(name, table)));
        let patterns = schema.patterns.iter();
        pieces.extend(patterns.map(|pattern| Piece::TablesLike(name, pattern)));
    }
    pieces
}

/// What comes and goes, for people; `None` where both select the same, in whatever order.
fn reason(before: &Objects, after: &Objects) -> Option<String> {
    let (before, after) = (pieces(before), pieces(after));
    if before == after {
        return None;
    }
    let added = named('+', after.difference(&before));
    let removed = named('−', before.difference(&after));
    let changes: Vec<String> = added.into_iter().chain(removed).collect();
    Some(format!("objects replaced: {}", changes.join(" ")))
}

/// The first few with their sign, then how many more there are.
fn named<'a>(sign: char, pieces: impl Iterator<Item = &'a Piece<'a>>) -> Vec<String> {
    let mut pieces = pieces.map(|piece| format!("{sign}{piece}"));
    let mut named: Vec<String> = pieces.by_ref().take(NAMED_MAX).collect();
    let more = pieces.count();
    if more > 0 {
        named.push(format!("{sign}{more} more"));
    }
    named
}

#[cfg(test)]
mod tests {
    use rowcast_domain::TaskState;
    use rowcast_proto::message::DesiredState;
    use rowcast_proto::rest::AcceptableStop;
    use serde_json::{Value, json};

    use super::super::tests::task;
    use super::*;

    fn objects(body: Value) -> Objects {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn what_comes_and_goes_is_named() {
        let before = objects(json!({"schemas": [
            {"name": "shop", "tables": ["items"], "patterns": ["log_*"]}
        ]}));
        let after = objects(json!({"schemas": [
            {"name": "shop", "tables": ["orders", "items"]}, {"name": "crm", "all": true}
        ], "schema_patterns": ["tenant_?"]}));
        assert_eq!(
            reason(&before, &after).unwrap(),
            "objects replaced: +tenant_?.* +crm.* +shop.orders −shop.log_*"
        );
        assert_eq!(
            reason(&before, &objects(json!({"all": true}))).unwrap(),
            "objects replaced: +all −shop.items −shop.log_*"
        );
    }

    #[test]
    fn the_order_does_not_matter() {
        let one = objects(json!({"schemas": [
            {"name": "a", "tables": ["x", "y"]}, {"name": "b", "all": true}
        ]}));
        let other = objects(json!({"schemas": [
            {"name": "b", "all": true}, {"name": "a", "tables": ["y", "x"]}
        ]}));
        assert_eq!(reason(&one, &other), None);
    }

    #[test]
    fn a_table_and_a_pattern_of_the_same_text_are_not_the_same() {
        let table = objects(json!({"schemas": [{"name": "a", "tables": ["x*"]}]}));
        let pattern = objects(json!({"schemas": [{"name": "a", "patterns": ["x*"]}]}));
        assert!(reason(&table, &pattern).is_some());
    }

    #[test]
    fn a_long_difference_is_cut() {
        let tables: Vec<String> = (0..13).map(|number| format!("t{number:02}")).collect();
        let before = objects(json!({"schemas": [{"name": "a", "tables": ["t00"]}]}));
        let after = objects(json!({"schemas": [{"name": "a", "tables": tables}]}));
        let reason = reason(&before, &after).unwrap();
        assert!(reason.ends_with("+a.t10 +2 more"), "{reason}");
    }

    fn replaced(state: TaskState, desired: DesiredState) -> StoredTask {
        let mut before = task(state, desired);
        before.accepted_stop = Some(AcceptableStop::Gap);
        let step = Step::requested(TaskEvent::Configured, "user:test", "replaced");
        with_objects(
            &before,
            objects(json!({"schemas": [{"name": "a", "all": true}]})),
            &step,
        )
    }

    #[test]
    fn a_task_that_was_started_stays_as_it_is_with_a_new_wish() {
        for state in [TaskState::Running, TaskState::Retrying, TaskState::Starting] {
            let next = replaced(state, DesiredState::Running);
            assert_eq!(
                (next.state, next.generation, next.accepted_stop),
                (state, 4, None)
            );
        }
        let next = replaced(TaskState::Suspended, DesiredState::Suspended);
        assert_eq!(
            (next.state, next.desired, next.generation),
            (TaskState::Suspended, DesiredState::Suspended, 4)
        );
    }

    #[test]
    fn a_task_that_was_not_started_must_be_prechecked_again() {
        for state in [TaskState::PrecheckPassed, TaskState::PrecheckFailed] {
            let next = replaced(state, DesiredState::Unspecified);
            assert_eq!((next.state, next.generation), (TaskState::NotStarted, 3));
        }
        let next = replaced(TaskState::Prechecking, DesiredState::Unspecified);
        assert_eq!(next.state, TaskState::Prechecking);
    }

    #[test]
    fn a_stopped_task_is_not_woken() {
        let next = replaced(TaskState::Abnormal, DesiredState::Running);
        assert_eq!((next.state, next.generation), (TaskState::Abnormal, 3));
    }
}
