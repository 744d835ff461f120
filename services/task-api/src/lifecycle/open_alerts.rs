//! Alerts that are neither repaired nor ignored: with them nothing is bought and nothing starts.
//!
//! Asked of a task that has passed its precheck and was not started since. One that was started and stopped, or
//! suspended, goes on whatever is found of its source meanwhile: its slot keeps WAL, and to leave it standing
//! would lose more than to go on. What a recheck finds is told to whoever watches the task instead.

use axum::http::StatusCode;
use rowcast_domain::TaskState;
use rowcast_proto::rest::{CheckItem, Precheck};
use sqlx::postgres::PgConnection;

use crate::error::ApiError;
use crate::store::precheck;
use crate::store::task::StoredTask;

/// Whether the task may be bought and started, as far as its last precheck says.
///
/// # Errors
/// Names each alert that is open, and what to do about it.
pub(crate) async fn without_open_alerts(
    connection: &mut PgConnection,
    task: &StoredTask,
) -> Result<(), ApiError> {
    if task.state != TaskState::PrecheckPassed {
        return Ok(());
    }
    let Some(mut report) = precheck::last(&mut *connection, &task.id).await? else {
        return Ok(());
    };
    precheck::mark_ignored(connection, &task.id, &mut report).await?;
    refused(&report)
}

fn refused(report: &Precheck) -> Result<(), ApiError> {
    let open: Vec<&CheckItem> = report.items.iter().filter(|item| item.is_open()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let named = open
        .iter()
        .map(|item| format!("{} ({})", item.code, item.title));
    let detail = format!(
        "alerts of the last precheck are neither repaired nor ignored: {}",
        named.collect::<Vec<_>>().join(", ")
    );
    let (may_be, must): (Vec<&CheckItem>, Vec<&CheckItem>) =
        open.into_iter().partition(|item| item.may_be_ignored());
    let mut repair =
        "Repair what GET /api/v1/tasks/{id}/precheck says of them and run the precheck again."
            .to_owned();
    if !may_be.is_empty() {
        repair.push_str(&format!(
            " Or answer for them: POST /api/v1/tasks/{{id}}/precheck/ignore, rowcast task ignore-alerts, with {}.",
            codes(&may_be)
        ));
    }
    if !must.is_empty() {
        repair.push_str(&format!(" Must be repaired: {}.", codes(&must)));
    }
    let refused = ApiError::refused(StatusCode::CONFLICT, "alerts_open", detail);
    Err(refused.repair(repair))
}

fn codes(items: &[&CheckItem]) -> String {
    let codes: Vec<&str> = items.iter().map(|item| item.code.as_str()).collect();
    codes.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(items: &serde_json::Value) -> Precheck {
        let mut items = items.clone();
        for item in items.as_array_mut().unwrap() {
            for member in ["ran", "saw", "cause", "repair"] {
                item[member] = json!("");
            }
            item["duration_ms"] = json!(1);
        }
        serde_json::from_value(json!({
            "id": "", "passed": true, "success_percent": 0, "items": items,
            "started_at": "2026-11-28T00:00:00Z", "finished_at": "2026-11-28T00:00:00Z"
        }))
        .unwrap()
    }

    #[test]
    fn what_is_open_is_named_and_what_nobody_can_answer_for_is_told_apart() {
        let answered = json!({"by": "ada", "reason": "known", "at": "2026-11-28T00:00:00Z"});
        let good = json!([
            {"code": "keys", "title": "Keys", "outcome": "pass"},
            {"code": "clock", "title": "Clocks", "outcome": "alert", "ignored": answered},
        ]);
        refused(&report(&good)).unwrap();
        let open = json!([
            {"code": "clock", "title": "Clocks", "outcome": "alert"},
            {"code": "existing_slot", "title": "The slot", "outcome": "alert", "ignorable": false},
        ]);
        let Err(ApiError::Refused(refused)) = refused(&report(&open)) else {
            panic!("it is let through");
        };
        assert_eq!(refused.code, "alerts_open");
        assert!(
            refused
                .detail
                .ends_with(": clock (Clocks), existing_slot (The slot)"),
            "{}",
            refused.detail
        );
        let repair = refused.repair.unwrap();
        assert!(repair.contains("with clock."), "{repair}");
        assert!(
            repair.ends_with("Must be repaired: existing_slot."),
            "{repair}"
        );
    }
}
