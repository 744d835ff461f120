//! Table `idempotency_keys`.

use chrono::{DateTime, Utc};
use rowcast_service::keyring::Sealed;
use sqlx::postgres::PgPool;

use super::decoded;

/// What is known of a key.
#[derive(Debug)]
pub(crate) enum Claim {
    /// This request is the one that is to be answered.
    Ours,
    /// The key was used with another request.
    OtherRequest,
    /// The same request is being answered now.
    InProgress,
    /// The same request was answered like this.
    Answered(Kept),
}

/// An answer that is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) status: u16,
    /// Its `ETag`, if it has one.
    pub(crate) etag: Option<String>,
    pub(crate) body: KeptBody,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum KeptBody {
    Plain(Vec<u8>),
    /// It tells a secret.
    Sealed(Sealed),
}

#[derive(sqlx::FromRow)]
struct Row {
    fingerprint: Vec<u8>,
    status: Option<i32>,
    answer: Option<Vec<u8>>,
    etag: Option<String>,
    sealed_key_id: Option<String>,
    sealed_nonce: Option<Vec<u8>>,
}

/// Takes a caller's key for a request; a claim made before `abandoned_before` without an answer is taken over.
pub(crate) async fn claim(
    pool: &PgPool,
    caller: &str,
    key: &str,
    fingerprint: &[u8],
    now: DateTime<Utc>,
    abandoned_before: DateTime<Utc>,
) -> Result<Claim, sqlx::Error> {
    let claimed = sqlx::query(
        "INSERT INTO idempotency_keys (key, fingerprint, claimed_at, caller)
         VALUES ($1, $2, $3, $5)
         ON CONFLICT (caller, key) DO UPDATE
         SET claimed_at = $3
         WHERE idempotency_keys.fingerprint = $2
           AND idempotency_keys.status IS NULL
           AND idempotency_keys.claimed_at < $4",
    )
    .bind(key)
    .bind(fingerprint)
    .bind(now)
    .bind(abandoned_before)
    .bind(caller)
    .execute(pool)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(Claim::Ours);
    }
    let known: Option<Row> = sqlx::query_as(
        "SELECT fingerprint, status, answer, etag, sealed_key_id, sealed_nonce
         FROM idempotency_keys
         WHERE caller = $1
           AND key = $2",
    )
    .bind(caller)
    .bind(key)
    .fetch_optional(pool)
    .await?;
    Ok(match known {
        Some(row) if row.fingerprint != fingerprint => Claim::OtherRequest,
        Some(Row {
            status: Some(status),
            answer: Some(answer),
            etag,
            sealed_key_id,
            sealed_nonce,
            ..
        }) => Claim::Answered(Kept {
            status: decoded(u16::try_from(status))?,
            etag,
            body: match sealed_key_id.zip(sealed_nonce) {
                Some((key_id, nonce)) => KeptBody::Sealed(Sealed {
                    key_id,
                    nonce,
                    ciphertext: answer,
                }),
                None => KeptBody::Plain(answer),
            },
        }),
        // Given back between the two statements: the asker tries again.
        Some(_) | None => Claim::InProgress,
    })
}

/// Keeps the answer for the next request with the key.
pub(crate) async fn store_answer(
    pool: &PgPool,
    caller: &str,
    key: &str,
    kept: &Kept,
) -> Result<(), sqlx::Error> {
    let (answer, sealed) = match &kept.body {
        KeptBody::Plain(answer) => (answer, None),
        KeptBody::Sealed(sealed) => (&sealed.ciphertext, Some(sealed)),
    };
    sqlx::query(
        "UPDATE idempotency_keys
         SET status = $2, answer = $3, etag = $5, sealed_key_id = $6, sealed_nonce = $7
         WHERE key = $1
           AND caller = $4",
    )
    .bind(key)
    .bind(i32::from(kept.status))
    .bind(answer)
    .bind(caller)
    .bind(&kept.etag)
    .bind(sealed.map(|sealed| &sealed.key_id))
    .bind(sealed.map(|sealed| &sealed.nonce))
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives the key back: the request was refused, and may be made again.
pub(crate) async fn give_back(pool: &PgPool, caller: &str, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM idempotency_keys WHERE caller = $1 AND key = $2 AND status IS NULL")
        .bind(caller)
        .bind(key)
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets keys taken before `before`.
pub(crate) async fn forget(pool: &PgPool, before: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM idempotency_keys WHERE claimed_at < $1")
        .bind(before)
        .execute(pool)
        .await?;
    Ok(())
}
