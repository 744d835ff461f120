//! Tells, for the audit log, which changes the service has put away by itself.
//!
//! ```text
//! exhausted, waiting, put_away ─▶ untold_letters ─▶ every group and cause after 10 s ─▶ outbox ─▶ dead_letter.put_away
//! ```
//!
//! A letter is noted once it is stored, and before what led to it is taken for done: so none stays untold, and one that is
//! put away again within some minutes, as after a crash, is counted once. What a person skips is a request, which the audit log has.

use std::time::Duration;

use rowcast_bus::event_meta;
use rowcast_proto::message::{self, DeadLettersPutAway};
use rowcast_proto::rest::DeadLetterCause;
use rowcast_service::{BoxError, CancellationToken};
use sqlx::postgres::PgPool;

use crate::outbox;
use crate::store::untold::{self, Untold};

/// How often it is looked for what is to be told.
const EVERY: Duration = Duration::from_secs(2);

/// What is put away of a group within this time is one fact: six a minute of a group that gives up all it reads.
const TOGETHER: Duration = Duration::from_secs(10);

/// What was told is known for this long: the same letter is put away again where the broker has answered late.
const REMEMBERED: Duration = Duration::from_mins(10);

/// Tells until told to stop.
pub(crate) async fn run(pool: PgPool, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        let told = stop.run_until_cancelled(Box::pin(tell(&pool))).await;
        if let Some(Err(error)) = told {
            tracing::warn!(%error, "dead letters not told to the audit log yet");
        }
    }
    Ok(())
}

async fn tell(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for untold in untold::take(&mut *transaction, TOGETHER).await? {
        outbox::append(&mut transaction, &fact(untold)).await?;
    }
    untold::forget(&mut *transaction, REMEMBERED).await?;
    transaction.commit().await
}

fn fact(untold: Untold) -> DeadLettersPutAway {
    // What a newer version wrote.
    let cause = DeadLetterCause::from_name(&untold.cause).unwrap_or(DeadLetterCause::Exhausted);
    DeadLettersPutAway {
        meta: Some(event_meta()),
        group_id: untold.group_id,
        group_name: untold.group_name,
        task_id: untold.task_id,
        cause: message::DeadLetterCause::from(cause).into(),
        number: untold.number.unsigned_abs(),
        first_sequence: untold.first_sequence.unsigned_abs(),
        last_sequence: untold.last_sequence.unsigned_abs(),
        first_at: Some(untold.first_at.into()),
    }
}
