//! Another name, retry window or retention for a task: in its row, in a new version of its wish, and
//! in its history.

use axum::http::StatusCode;
use rowcast_domain::{TaskEvent, TaskId, TaskState};
use rowcast_proto::message::DesiredState;
use rowcast_proto::rest::{PatchTask, Retention};

use super::{Step, knows_its_wish, record, wish_anew};
use crate::auth::USER;
use crate::clock;
use crate::error::ApiError;
use crate::http::IfMatch;
use crate::state::App;
use crate::store::task::{self, StoredTask};

/// Changes a task, in a transaction of its own. What it is already changes nothing.
///
/// # Errors
/// Where there is no such task, it is released, another version of it was meant, or its stream was
/// made with another retention.
pub(crate) async fn change_task(
    app: &App,
    id: &TaskId,
    patch: PatchTask,
    expected: &IfMatch,
) -> Result<StoredTask, ApiError> {
    let mut transaction = app.pool().begin().await?;
    let locked = task::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("task", id.as_str()))?;
    expected.holds(locked.version)?;
    if locked.state == TaskState::Released {
        return Err(ApiError::state_forbids(locked.state, "changes"));
    }
    let (mut task, changes) = changed(&locked, patch)?;
    if changes.is_empty() {
        return Ok(locked);
    }
    let reason = format!("changed: {}", changes.join(", "));
    let step = Step::requested(TaskEvent::Configured, USER, &reason);
    task.updated_at = clock::now().max(locked.updated_at);
    if knows_its_wish(locked.state) {
        wish_anew(&mut task, &step);
    }
    task::update(&mut transaction, &task).await?;
    task::redefine(&mut transaction, &task).await?;
    record(&mut transaction, &locked, &task, step).await?;
    transaction.commit().await?;
    app.wish_changed().notify_one();
    Ok(task)
}

/// The task with the changes, and what they are, for people.
fn changed(task: &StoredTask, patch: PatchTask) -> Result<(StoredTask, Vec<String>), ApiError> {
    let PatchTask {
        name,
        retry_minutes,
        retention,
    } = patch;
    let mut next = task.clone();
    let definition = &mut next.definition;
    let mut changes = Vec::new();
    if let Some(name) = name
        && name != definition.name
    {
        changes.push(format!("name {:?} → {name:?}", definition.name));
        definition.name = name;
    }
    if let Some(minutes) = retry_minutes
        && minutes != definition.retry_minutes
    {
        changes.push(format!(
            "retry_minutes {} → {minutes}",
            definition.retry_minutes
        ));
        definition.retry_minutes = minutes;
    }
    if let Some(retention) = retention
        && retention != definition.retention
    {
        if task.desired != DesiredState::Unspecified {
            return Err(retention_is_fixed(&definition.retention));
        }
        changes.push("retention".to_owned());
        definition.retention = retention;
    }
    if !changes.is_empty() {
        next.version += 1;
    }
    Ok((next, changes))
}

/// Capture makes the stream once, and leaves limits alone that somebody has set since.
fn retention_is_fixed(present: &Retention) -> ApiError {
    let detail = format!(
        "the task was started, and its stream made to keep changes for {} hours",
        present.hours
    );
    ApiError::refused(StatusCode::CONFLICT, "retention_fixed", detail)
        .field("retention")
        .repair("Create another task with this retention, and release this one once it is read to its end.")
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            changes,
            ["name \"orders\" → \"sales\"", "retry_minutes 120 → 60"]
        );
        assert_eq!(next.version, 2);
        let same = r#"{"name": "orders", "retry_minutes": 120, "retention": {"hours": 24}}"#;
        let (next, changes) = changed(&before, patch(same)).unwrap();
        assert!(changes.is_empty());
        assert_eq!(next.version, 1);
    }

    #[test]
    fn retention_is_the_users_until_the_stream_is_made() {
        let retention = r#"{"retention": {"hours": 48}}"#;
        let fresh = task(TaskState::PrecheckPassed, DesiredState::Unspecified);
        let (next, _changes) = changed(&fresh, patch(retention)).unwrap();
        assert_eq!(next.definition.retention.hours, 48);
        let suspended = task(TaskState::Suspended, DesiredState::Suspended);
        assert!(changed(&suspended, patch(retention)).is_err());
    }
}
