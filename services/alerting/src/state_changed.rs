//! Takes `TaskStateChanged`.

use chrono::{DateTime, Utc};
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::trace_context;
use rowcast_domain::IncidentId;
use rowcast_proto::message::{EventMeta, TaskStateChanged, TraceContext};
use rowcast_service::outbox;
use sqlx::{PgConnection, PgPool};

use crate::error::Error;
use crate::incident::{Action, Incident, StateChange, TASK_ABNORMAL, TASK_LOCKED, decide};
use crate::store::{incidents, seen_events};
use crate::{fact, notify};

/// Raises or resolves, and tells of it, all in one transaction; nothing where the event was taken
/// before.
///
/// # Errors
/// Where the event is malformed or the database did not do it; nothing is changed then.
pub(crate) async fn take(
    pool: &PgPool,
    wishes: &kv::Store,
    event: TaskStateChanged,
) -> Result<(), Error> {
    let now = Utc::now();
    let trace = trace_of(event.meta.as_ref());
    let change = StateChange::read(event, now)?;
    let contacts = notify::contacts(wishes, &change.task_id).await?;
    let mut transaction = pool.begin().await?;
    if !seen_events::insert(&mut transaction, &change.event_id, now).await? {
        tracing::debug!(event = change.event_id, "event was taken before");
        return Ok(());
    }
    let connection = &mut transaction;
    for rule in [TASK_ABNORMAL, TASK_LOCKED] {
        let open = incidents::find_open(connection, &change.task_id, None, rule.name).await?;
        match decide(open, &rule, &change, IncidentId::random()) {
            Action::Keep => {}
            Action::Raise(incident) => raise(connection, incident, &contacts, &trace).await?,
            Action::Resolve(incident) => resolve(connection, incident, change.at, &trace).await?,
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Stores a new incident, whom to tell, and the fact that tells of it.
///
/// # Errors
/// Those of the database.
pub(crate) async fn raise(
    connection: &mut PgConnection,
    incident: Incident,
    contacts: &[String],
    trace: &TraceContext,
) -> Result<(), Error> {
    incidents::insert(connection, &incident).await?;
    notify::raised(connection, &incident, contacts).await?;
    tracing::warn!(task = %incident.task_id, incident = %incident.id, rule = incident.rule, "incident raised");
    let fact = fact::raised(incident, trace.clone())?;
    outbox::append(connection, &fact).await?;
    Ok(())
}

/// Stores that an incident has ended, whom to tell, and the fact that tells of it. Clocks of two machines may differ;
/// an incident does not end before it begins.
///
/// # Errors
/// Those of the database.
pub(crate) async fn resolve(
    connection: &mut PgConnection,
    open: Incident,
    at: DateTime<Utc>,
    trace: &TraceContext,
) -> Result<(), Error> {
    let incident = Incident {
        resolved_at: Some(at.max(open.opened_at)),
        ..open
    };
    incidents::resolve(connection, &incident).await?;
    notify::resolved(connection, &incident).await?;
    tracing::info!(task = %incident.task_id, incident = %incident.id, "incident resolved");
    let fact = fact::resolved(incident, trace.clone())?;
    outbox::append(connection, &fact).await?;
    Ok(())
}

/// Our span continues the event's; where traces are off here, the event's own goes on.
pub(crate) fn trace_of(meta: Option<&EventMeta>) -> TraceContext {
    let current = trace_context::current();
    if !current.traceparent.is_empty() {
        return current;
    }
    meta.and_then(|meta| meta.trace.clone()).unwrap_or_default()
}
