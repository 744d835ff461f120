//! Takes `TaskStateChanged`.

use chrono::Utc;
use rowcast_bus::trace_context;
use rowcast_domain::IncidentId;
use rowcast_proto::message::{TaskStateChanged, TraceContext};
use rowcast_service::outbox;
use sqlx::PgPool;

use crate::error::Error;
use crate::fact;
use crate::incident::{Action, StateChange, TASK_ABNORMAL, decide};
use crate::store::{incidents, seen_events};

/// Raises or resolves, and tells of it, all in one transaction; nothing where the event was taken
/// before.
///
/// # Errors
/// Where the event is malformed or the database did not do it; nothing is changed then.
pub(crate) async fn take(pool: &PgPool, event: TaskStateChanged) -> Result<(), Error> {
    let now = Utc::now();
    let trace = trace_of(&event);
    let change = StateChange::read(event, now)?;
    let mut transaction = pool.begin().await?;
    if !seen_events::insert(&mut transaction, &change.event_id, now).await? {
        tracing::debug!(event = change.event_id, "event was taken before");
        return Ok(());
    }
    let open = incidents::find_open(&mut transaction, &change.task_id, TASK_ABNORMAL).await?;
    let fact = match decide(open, &change, IncidentId::random()) {
        Action::Keep => None,
        Action::Raise(incident) => {
            incidents::insert(&mut transaction, &incident).await?;
            tracing::warn!(task = %incident.task_id, incident = %incident.id, "incident raised");
            Some(fact::raised(incident, trace)?)
        }
        Action::Resolve(incident) => {
            incidents::resolve(&mut transaction, &incident).await?;
            tracing::info!(task = %incident.task_id, incident = %incident.id, "incident resolved");
            Some(fact::resolved(incident, trace)?)
        }
    };
    if let Some(fact) = fact {
        outbox::append(&mut transaction, &fact).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Our span continues the event's; where traces are off here, the event's own goes on.
fn trace_of(event: &TaskStateChanged) -> TraceContext {
    let current = trace_context::current();
    if !current.traceparent.is_empty() {
        return current;
    }
    event
        .meta
        .as_ref()
        .and_then(|meta| meta.trace.clone())
        .unwrap_or_default()
}
