//! Takes `TaskRechecked`.

use chrono::Utc;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::IncidentId;
use rowcast_proto::message::{CheckResult, TaskError, TaskRechecked};
use sqlx::PgPool;

use crate::error::Error;
use crate::incident::{About, Incident, SOURCE_DRIFTED};
use crate::notify;
use crate::state_changed::{raise, resolve, trace_of};
use crate::store::{incidents, seen_events};

/// Ends the task's open incident of this kind, and begins one where there are problems: other problems
/// are another incident.
///
/// # Errors
/// Where the event is malformed or the database did not do it; nothing is changed then.
pub(crate) async fn take(
    pool: &PgPool,
    wishes: &kv::Store,
    event: TaskRechecked,
) -> Result<(), Error> {
    let now = Utc::now();
    let trace = trace_of(event.meta.as_ref());
    let About {
        event_id,
        task_id,
        at,
    } = About::read(event.meta, event.task_id, now)?;
    let contacts = notify::contacts(wishes, &task_id).await?;
    let mut transaction = pool.begin().await?;
    if !seen_events::insert(&mut transaction, &event_id, now).await? {
        tracing::debug!(event = event_id, "event was taken before");
        return Ok(());
    }
    if let Some(open) =
        incidents::find_open(&mut transaction, &task_id, None, SOURCE_DRIFTED).await?
    {
        resolve(&mut transaction, open, at, &trace).await?;
    }
    if let Some((first, others)) = event.problems.split_first() {
        let incident = Incident {
            id: IncidentId::random(),
            task_id,
            summary: summary(&event.task_name, first, others),
            task_name: event.task_name,
            rule: SOURCE_DRIFTED.to_owned(),
            error: Some(TaskError {
                code: first.code.clone(),
                message: first.cause.clone(),
                advice: first.repair.clone(),
            }),
            opened_at: at,
            resolved_at: None,
            group: None,
            by: None,
        };
        raise(&mut transaction, incident, &contacts, &trace).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn summary(task: &str, first: &CheckResult, others: &[CheckResult]) -> String {
    let mut text = format!(
        "What task {task} needs has changed: {} ({})",
        first.cause, first.saw
    );
    if !others.is_empty() {
        let codes: Vec<&str> = others.iter().map(|item| item.code.as_str()).collect();
        text.push_str(&format!("; also {}", codes.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_problem_is_told_and_the_others_named() {
        let item = |code: &str| CheckResult {
            code: code.to_owned(),
            cause: "no key".to_owned(),
            saw: "public.orders".to_owned(),
            ..CheckResult::default()
        };
        assert_eq!(
            summary("orders", &item("keys"), &[item("clock"), item("objects")]),
            "What task orders needs has changed: no key (public.orders); also clock, objects"
        );
    }
}
