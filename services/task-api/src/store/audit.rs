//! Table `audit`: every request that may have changed something, who logged in at NATS, and what was put away without a request.

use chrono::{DateTime, Utc};
use rowcast_domain::TokenId;
use rowcast_proto::rest::AuditEntry;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::{FromRow, QueryBuilder};

use super::{decoded, parsed};

#[derive(FromRow)]
struct Row {
    id: i64,
    at: DateTime<Utc>,
    actor: String,
    token_id: Option<String>,
    address: Option<String>,
    action: String,
    path: String,
    created: Option<String>,
    status: Option<i32>,
    problem: Option<String>,
    trace_id: Option<String>,
    times: Option<i32>,
    client_name: Option<String>,
    first_sequence: Option<i64>,
    last_sequence: Option<i64>,
}

impl TryFrom<Row> for AuditEntry {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        Ok(Self {
            id: decoded(u64::try_from(row.id))?,
            at: row.at,
            actor: row.actor,
            token_id: row.token_id.as_deref().map(parsed).transpose()?,
            address: row.address,
            action: row.action,
            path: row.path,
            created: row.created,
            status: row.status.map(u16::try_from).map(decoded).transpose()?,
            problem: row.problem,
            trace_id: row.trace_id,
            times: row.times.map(u32::try_from).map(decoded).transpose()?,
            client_name: row.client_name,
            first_sequence: row
                .first_sequence
                .map(u64::try_from)
                .map(decoded)
                .transpose()?,
            last_sequence: row
                .last_sequence
                .map(u64::try_from)
                .map(decoded)
                .transpose()?,
        })
    }
}

/// What is known of a request before it is answered.
#[derive(Debug)]
pub(crate) struct Begun<'a> {
    pub(crate) at: DateTime<Utc>,
    pub(crate) actor: String,
    pub(crate) token: Option<&'a TokenId>,
    pub(crate) address: Option<String>,
    pub(crate) action: String,
    pub(crate) path: String,
    pub(crate) trace_id: Option<String>,
}

/// How it was answered.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) status: u16,
    /// In the place of the path, where that did not tell what it was about.
    pub(crate) path: Option<String>,
    /// Id of what was made.
    pub(crate) created: Option<String>,
    /// Code of the problem.
    pub(crate) problem: Option<String>,
}

/// Writes an entry; answers its number.
pub(crate) async fn begin(pool: &PgPool, entry: Begun<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO audit (at, actor, token_id, address, action, path, trace_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         RETURNING id",
    )
    .bind(entry.at)
    .bind(entry.actor)
    .bind(entry.token.map(TokenId::as_str))
    .bind(entry.address)
    .bind(entry.action)
    .bind(entry.path)
    .bind(entry.trace_id)
    .fetch_one(pool)
    .await
}

/// Completes an entry.
pub(crate) async fn end(pool: &PgPool, id: i64, how: Ended) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE audit
         SET status = $2, created = $3, problem = $4, path = coalesce($5, path)
         WHERE id = $1",
    )
    .bind(id)
    .bind(i32::from(how.status))
    .bind(how.created)
    .bind(how.problem)
    .bind(how.path)
    .execute(pool)
    .await?;
    Ok(())
}

/// Logins of a minute that ended alike.
#[derive(Debug)]
pub(crate) struct Logins {
    /// Under which they are told of again.
    pub(crate) seen_as: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) actor: String,
    pub(crate) address: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) problem: Option<String>,
    pub(crate) times: u32,
    pub(crate) client_name: Option<String>,
}

/// Writes an entry about logins, or that there are more of them. What comes twice, or late, changes nothing.
pub(crate) async fn logins(pool: &PgPool, logins: Logins) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (at, actor, address, action, path, status, problem, times, client_name, seen_as)
         VALUES ($1, $2, $3, 'login', $4, $5, $6, $7, $8, $9)
         ON CONFLICT (seen_as) WHERE seen_as IS NOT NULL DO UPDATE
         SET times = greatest(audit.times, excluded.times)",
    )
    .bind(logins.at)
    .bind(logins.actor)
    .bind(logins.address)
    .bind(logins.path)
    .bind(i32::from(logins.status))
    .bind(logins.problem)
    .bind(i32::try_from(logins.times).unwrap_or(i32::MAX))
    .bind(logins.client_name)
    .bind(logins.seen_as)
    .execute(pool)
    .await?;
    Ok(())
}

/// Changes of a group that were put away without a request, for one cause, within some seconds.
#[derive(Debug)]
pub(crate) struct PutAway {
    /// Under which they may be told of again.
    pub(crate) seen_as: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) path: String,
    pub(crate) cause: &'static str,
    pub(crate) number: u64,
    pub(crate) first_sequence: u64,
    pub(crate) last_sequence: u64,
}

/// Writes an entry about dead letters. What comes twice changes nothing.
pub(crate) async fn put_away(pool: &PgPool, put_away: PutAway) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (at, actor, action, path, status, problem, times, first_sequence, last_sequence, seen_as)
         VALUES ($1, 'service:consumer-group', 'dead_letter', $2, 200, $3, $4, $5, $6, $7)
         ON CONFLICT (seen_as) WHERE seen_as IS NOT NULL DO NOTHING",
    )
    .bind(put_away.at)
    .bind(put_away.path)
    .bind(put_away.cause)
    .bind(i32::try_from(put_away.number).unwrap_or(i32::MAX))
    .bind(i64::try_from(put_away.first_sequence).unwrap_or(i64::MAX))
    .bind(i64::try_from(put_away.last_sequence).unwrap_or(i64::MAX))
    .bind(put_away.seen_as)
    .execute(pool)
    .await?;
    Ok(())
}

/// Which entries.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) actor: Option<String>,
    /// Named by the path, or made.
    pub(crate) about: Option<String>,
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) until: Option<DateTime<Utc>>,
    /// Only older ones than this.
    pub(crate) before: Option<i64>,
    pub(crate) limit: u32,
}

/// A page, newest first, and one entry more where there is a next page.
pub(crate) async fn list(pool: &PgPool, filter: &Filter) -> Result<Vec<AuditEntry>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT id, at, actor, token_id, address, action, path, created, status, problem, trace_id, times,
                client_name, first_sequence, last_sequence
         FROM audit
         WHERE true",
    );
    if let Some(actor) = &filter.actor {
        query.push(" AND actor = ").push_bind(actor);
    }
    if let Some(about) = &filter.about {
        query
            .push(" AND (created = ")
            .push_bind(about)
            .push(" OR string_to_array(path, '/') @> ARRAY[")
            .push_bind(about)
            .push("])");
    }
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(since);
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(until);
    }
    if let Some(before) = filter.before {
        query.push(" AND id < ").push_bind(before);
    }
    query
        .push(" ORDER BY id DESC LIMIT ")
        .push_bind(i64::from(filter.limit) + 1);
    let rows: Vec<Row> = query.build_query_as().fetch_all(pool).await?;
    rows.into_iter().map(AuditEntry::try_from).collect()
}

/// Forgets entries of before.
pub(crate) async fn forget(pool: &PgPool, before: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM audit WHERE at < $1")
        .bind(before)
        .execute(pool)
        .await?;
    Ok(())
}
