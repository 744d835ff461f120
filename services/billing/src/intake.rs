//! Changes of state become intervals of billable time.
//!
//! An interval lasts from one change of state to the task's next one. A change that comes late is put
//! between its neighbours by the time it occurred: it ends the interval that lasts over it, and its
//! own ends where the next known change occurred. The intervals are the same in whatever order the
//! changes come. Hours that are closed by then keep their lines.

use chrono::{DateTime, Utc};
use rowcast_bus::{Bus, Outcome, consume};
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::message::TaskStateChanged;
use rowcast_proto::stream::EVENTS;
use rowcast_service::{BoxError, CancellationToken};
use sqlx::postgres::{PgConnection, PgPool};

use crate::meter::Interval;
use crate::store;

/// The durable consumer, shared by the copies of this service.
const DURABLE: &str = "billing";

/// A change of state that can be used.
#[derive(Debug)]
struct Change {
    event_id: String,
    task_id: TaskId,
    state: TaskState,
    occurred_at: DateTime<Utc>,
}

/// Why an event can never be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the event has no id")]
    NoId,
    #[error("the event has no time, or one out of range")]
    NoTime,
    #[error(transparent)]
    Task(#[from] rowcast_domain::ParseIdError),
    #[error("{0:?} is no state that this version knows")]
    State(String),
}

/// Takes changes of state until told to stop.
pub(crate) async fn run(bus: Bus, pool: PgPool, stop: CancellationToken) -> Result<(), BoxError> {
    let consuming = consume(bus, DURABLE, stop, move |event| {
        let pool = pool.clone();
        async move { take(&pool, event).await }
    });
    // On the heap: the states of its queries and requests make it a large one.
    Box::pin(consuming).await
}

/// Whether every event that is stored by now has been taken.
pub(crate) async fn is_caught_up(bus: &Bus) -> Result<bool, BoxError> {
    let stream = bus.jetstream().get_stream_no_info(EVENTS.name).await?;
    let info = stream.consumer_info(DURABLE).await?;
    Ok(info.num_pending == 0 && info.num_ack_pending == 0)
}

async fn take(pool: &PgPool, event: TaskStateChanged) -> Result<(), Outcome> {
    let change = Change::try_from(event).map_err(|error| Outcome::Park(error.into()))?;
    apply(pool, &change, Utc::now())
        .await
        .map_err(|error| Outcome::Retry(error.into()))
}

async fn apply(pool: &PgPool, change: &Change, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    store::lock_task(&mut transaction, change.task_id.as_str()).await?;
    let new = store::seen_event::insert(
        &mut transaction,
        &change.event_id,
        change.task_id.as_str(),
        change.occurred_at,
        now,
    )
    .await?;
    if new {
        write_interval(&mut transaction, change).await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn write_interval(connection: &mut PgConnection, change: &Change) -> Result<(), sqlx::Error> {
    let task_id = change.task_id.as_str();
    let at = change.occurred_at;
    if change.state == TaskState::Released {
        store::instance::end(connection, task_id, at).await?;
    }
    let next = store::seen_event::next_change(connection, &change.event_id, task_id, at).await?;
    if next == Some(at) {
        // Left in the moment it was entered.
        return Ok(());
    }
    if let Some(instance) = store::instance::of_task(&mut *connection, task_id).await?
        && at < instance.metered_until
    {
        tracing::warn!(
            task = task_id,
            event = change.event_id,
            occurred_at = %at,
            closed_until = %instance.metered_until,
            "change of state came after its hour was closed, whose line stays"
        );
    }
    store::interval::cut(connection, task_id, at).await?;
    if change.state.is_billable() {
        let interval = Interval {
            started_at: at,
            ended_at: next,
        };
        store::interval::insert(connection, task_id, interval).await?;
    }
    Ok(())
}

impl TryFrom<TaskStateChanged> for Change {
    type Error = Unusable;

    fn try_from(event: TaskStateChanged) -> Result<Self, Unusable> {
        let meta = event.meta.unwrap_or_default();
        if meta.id.is_empty() {
            return Err(Unusable::NoId);
        }
        let occurred_at = meta
            .occurred_at
            .and_then(|at| DateTime::try_from(at).ok())
            .ok_or(Unusable::NoTime)?;
        let state =
            TaskState::from_name(&event.to).ok_or_else(|| Unusable::State(event.to.clone()))?;
        Ok(Self {
            event_id: meta.id,
            task_id: event.task_id.parse()?,
            state,
            // PostgreSQL keeps microseconds: what is compared with stored times must too.
            occurred_at: DateTime::from_timestamp_micros(occurred_at.timestamp_micros())
                .ok_or(Unusable::NoTime)?,
        })
    }
}
