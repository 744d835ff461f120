//! What capture must make true: from the tasks' rows into the bucket of wishes.
//!
//! ```text
//! commit ─▶ notify ─┐
//!       every second ┴─▶ rows whose wish is not written ─▶ KV ─▶ note it in the row
//! ```
//!
//! Level-triggered: a notification that is lost, or a crash between the two writes, costs a second.

use std::time::Duration;

use async_nats::jetstream::kv;
use rowcast_bus::{async_nats, provision, trace_context};
use rowcast_domain::{Backoff, TaskId};
use rowcast_proto::message::TaskSpec;
use rowcast_proto::stream::TASKS;
use rowcast_service::{BoxError, CancellationToken};
use tracing::Instrument as _;

use crate::convert;
use crate::state::App;
use crate::store::source::{self, StoredSource};
use crate::store::task::{self, StoredTask};

/// How often the rows are looked at without a notification.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the bucket is compared with the rows.
const COMPARE_EVERY: Duration = Duration::from_secs(60);

/// Largest wish; the bucket also counts the key and headers.
const WISH_BYTES_MAX: usize = TASKS.max_value_bytes as usize - 1024;

/// Writes wishes until told to stop.
///
/// # Errors
/// None while the database and NATS can come back: those failures are retried.
pub(crate) async fn run(app: App, stop: CancellationToken) -> Result<(), BoxError> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    while !stop.is_cancelled() {
        let written = stop.run_until_cancelled(until_failure(&app)).await;
        let Some(Err(error)) = written else { break };
        tracing::warn!(error = %error, "wishes not written");
        stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait()))
            .await;
    }
    Ok(())
}

async fn until_failure(app: &App) -> Result<(), BoxError> {
    let store = provision::bucket(app.bus(), &TASKS).await?;
    let mut compare = tokio::time::interval(COMPARE_EVERY);
    loop {
        let mut left_out = Vec::new();
        loop {
            match write_one(app, &store, &left_out).await? {
                Round::Written => {}
                Round::TooLarge(task) => left_out.push(task),
                Round::Done => break,
            }
        }
        tokio::select! {
            () = app.wish_changed().notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = compare.tick() => write_lost_again(app, &store).await?,
        }
    }
}

/// Looks whether the bucket still holds what was written: it may have been made anew, or come back
/// from an older copy.
async fn write_lost_again(app: &App, store: &kv::Store) -> Result<(), BoxError> {
    for (id, generation) in task::written(app.pool()).await? {
        let held = store.get(id.as_str()).await?;
        let held: Option<TaskSpec> = held
            .map(|value| serde_json::from_slice(&value))
            .transpose()?;
        if held.is_none_or(|spec| spec.generation < generation) {
            tracing::warn!(task = %id, generation, "wish is gone from the bucket, written again");
            task::wish_lost(app.pool(), &id, generation).await?;
        }
    }
    Ok(())
}

/// What became of a look at the rows.
enum Round {
    /// One wish was written.
    Written,
    /// This task's wish does not fit in the bucket; those of others do.
    TooLarge(TaskId),
    /// None is left.
    Done,
}

/// Writes one wish, of another task than those.
///
/// The row stays locked while the bucket is written: of two copies of this service, one that is slow
/// cannot put an older version over a newer one.
async fn write_one(app: &App, store: &kv::Store, left_out: &[TaskId]) -> Result<Round, BoxError> {
    let mut transaction = app.pool().begin().await?;
    let Some(task) = task::lock_unwritten(&mut transaction, left_out).await? else {
        return Ok(Round::Done);
    };
    let source = source::get(&mut transaction, &task.source_id)
        .await?
        .ok_or("a task without its source")?;
    let span = tracing::info_span!("write wish", task = %task.id, generation = task.generation);
    trace_context::continue_from(&span, &task.wish_trace);
    async {
        let value = serde_json::to_vec(&spec(&task, source))?;
        if value.len() > WISH_BYTES_MAX {
            tracing::error!(
                bytes = value.len(),
                limit = WISH_BYTES_MAX,
                "wish too large to write"
            );
            return Ok(Round::TooLarge(task.id));
        }
        store.put(task.id.as_str(), value.into()).await?;
        task::wish_written(&mut transaction, &task).await?;
        transaction.commit().await?;
        tracing::info!(desired = task.desired.as_str_name(), "wish written");
        Ok(Round::Written)
    }
    .instrument(span)
    .await
}

fn spec(task: &StoredTask, source: StoredSource) -> TaskSpec {
    let definition = &task.definition;
    TaskSpec {
        task_id: task.id.to_string(),
        generation: task.generation,
        desired: task.desired.into(),
        source: Some(convert::connection(source, definition.database.clone())),
        objects: Some(convert::objects(definition.objects.clone())),
        change_types: Some(convert::change_types(&definition.change_types)),
        retry_minutes: definition.retry_minutes,
        retention: Some(convert::retention(&definition.retention)),
        partitions: definition.partitions(),
        transactions: definition.transactions,
        // That of the request itself: what capture does hangs below what the user asked for.
        trace: Some(task.wish_trace.clone()),
        name: definition.name.clone(),
        accepted_stop: task
            .accepted_stop
            .map_or_else(String::new, |stop| stop.as_str().to_owned()),
        packing: convert::packing(definition.packing).into(),
        format: convert::format(definition.format).into(),
        etl: definition.etl.clone().map(convert::etl),
        alerting: definition.alerting.as_ref().map(convert::alerting),
        tags: convert::tags(&definition.tags),
        resource_group: definition.resource_group.clone().unwrap_or_default(),
    }
}
