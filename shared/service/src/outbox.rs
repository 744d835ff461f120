//! Facts written with the state that they report, and sent afterwards.
//!
//! A service inserts the fact in the transaction that changes its state. The relay sends facts in
//! the order of their ids and deletes them once they are stored. A crash between the two sends a
//! fact again under the same event id; consumers do nothing with an id they have seen.
//!
//! The table, in each service's first migration:
//!
//! ```sql
//! CREATE TABLE outbox (
//!     id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
//!     event_id    text NOT NULL UNIQUE,
//!     subject     text NOT NULL,
//!     payload     bytea NOT NULL,
//!     traceparent text NOT NULL,
//!     tracestate  text NOT NULL,
//!     created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
//! );
//! ```

use std::time::Duration;

use futures::FutureExt as _;
use rowcast_domain::{Backoff, Fact};
use sqlx::postgres::{PgConnection, PgListener, PgPool};
use tokio_util::sync::CancellationToken;

use crate::BoxError;

/// Facts sent under one lock; bounds what a crash sends again.
const BATCH: i64 = 100;

/// A notification can be lost with its connection; the relay looks by itself this often.
const POLL: Duration = Duration::from_secs(1);

/// Adds a fact to the transaction, and wakes the relay when it commits.
///
/// # Errors
/// Those of the database.
pub async fn append(connection: &mut PgConnection, fact: &Fact) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO outbox (event_id, subject, payload, traceparent, tracestate)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&fact.event_id)
    .bind(&fact.subject)
    .bind(&fact.payload)
    .bind(&fact.traceparent)
    .bind(&fact.tracestate)
    .execute(&mut *connection)
    .await?;
    sqlx::query("SELECT pg_notify(current_schema() || '_outbox', '')")
        .execute(connection)
        .await?;
    Ok(())
}

/// Sends facts until told to stop. `schema` is the service's; `publish` returns once the fact is stored.
///
/// One relay of a schema works at a time: a second one waits for the lock, so that order holds.
///
/// # Errors
/// None while the database and the broker can come back: those failures are retried.
pub async fn relay<P>(
    pool: PgPool,
    schema: &str,
    stop: CancellationToken,
    publish: P,
) -> Result<(), BoxError>
where
    P: AsyncFn(Fact) -> Result<(), BoxError>,
{
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    while !stop.is_cancelled() {
        let Err(error) = relay_until_failure(&pool, schema, &stop, &publish).await else {
            break;
        };
        tracing::warn!(%error, "outbox relay interrupted");
        let wait = backoff.next_wait();
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
    Ok(())
}

async fn relay_until_failure<P>(
    pool: &PgPool,
    schema: &str,
    stop: &CancellationToken,
    publish: &P,
) -> Result<(), BoxError>
where
    P: AsyncFn(Fact) -> Result<(), BoxError>,
{
    // Listening before looking: a fact committed in between is seen by one of the two.
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(&format!("{schema}_outbox")).await?;
    while !stop.is_cancelled() {
        let sent = send_batch(pool, publish).await?;
        if sent == 0 {
            tokio::select! {
                () = stop.cancelled() => {}
                woken = listener.recv() => { woken?; }
                () = tokio::time::sleep(POLL) => {}
            }
            // Many commits wake once.
            while let Some(woken) = listener.recv().now_or_never() {
                woken?;
            }
        }
    }
    Ok(())
}

async fn send_batch<P>(pool: &PgPool, publish: &P) -> Result<usize, BoxError>
where
    P: AsyncFn(Fact) -> Result<(), BoxError>,
{
    let mut transaction = pool.begin().await?;
    let locked: bool = sqlx::query_scalar(
        "SELECT pg_try_advisory_xact_lock(hashtext(current_schema()), hashtext('outbox'))",
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !locked {
        return Ok(0);
    }
    let rows: Vec<(String, String, Vec<u8>, String, String)> = sqlx::query_as(
        "SELECT event_id, subject, payload, traceparent, tracestate
         FROM outbox
         ORDER BY id
         LIMIT $1",
    )
    .bind(BATCH)
    .fetch_all(&mut *transaction)
    .await?;
    let count = rows.len();
    for (event_id, subject, payload, traceparent, tracestate) in rows {
        publish(Fact {
            event_id: event_id.clone(),
            subject,
            payload,
            traceparent,
            tracestate,
        })
        .await?;
        sqlx::query("DELETE FROM outbox WHERE event_id = $1")
            .bind(&event_id)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(count)
}
