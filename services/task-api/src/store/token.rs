//! Table `api_tokens`.

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_domain::TokenId;
use rowcast_proto::rest::{Role, Token};
use sqlx::postgres::PgPool;
use sqlx::types::Json;

use super::parsed;

/// How exact the time of the last use is: a busy token is not written with each request.
const USE_NOTED_EVERY: TimeDelta = TimeDelta::minutes(1);

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    role: String,
    resource_groups: Option<Json<Vec<String>>>,
    created_by: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Token {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let role = Role::from_name(&row.role)
            .ok_or_else(|| sqlx::Error::Decode(format!("role {:?}", row.role).into()))?;
        Ok(Self {
            id: parsed(&row.id)?,
            name: row.name,
            role,
            resource_groups: row.resource_groups.map(|Json(groups)| groups),
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        })
    }
}

/// Whether it was stored: not where another token has its name.
pub(crate) async fn insert(
    pool: &PgPool,
    token: &Token,
    digest: &[u8],
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO api_tokens (
             id, name, role, resource_groups, digest, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (lower(name)) WHERE revoked_at IS NULL DO NOTHING",
    )
    .bind(token.id.as_str())
    .bind(&token.name)
    .bind(token.role.as_str())
    .bind(token.resource_groups.as_ref().map(Json))
    .bind(digest)
    .bind(&token.created_by)
    .bind(token.created_at)
    .bind(token.expires_at)
    .execute(pool)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The token with this digest that was not revoked, even if it has expired. Notes its use.
pub(crate) async fn find(
    pool: &PgPool,
    digest: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<Token>, sqlx::Error> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM api_tokens WHERE digest = $1 AND revoked_at IS NULL")
            .bind(digest)
            .fetch_optional(pool)
            .await?;
    let token = row.map(Token::try_from).transpose()?;
    if let Some(token) = &token
        && token
            .last_used_at
            .is_none_or(|last| last < now - USE_NOTED_EVERY)
    {
        sqlx::query("UPDATE api_tokens SET last_used_at = $2 WHERE id = $1")
            .bind(token.id.as_str())
            .bind(now)
            .execute(pool)
            .await?;
    }
    Ok(token)
}

/// Those that were not revoked, oldest first.
pub(crate) async fn list(pool: &PgPool) -> Result<Vec<Token>, sqlx::Error> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM api_tokens WHERE revoked_at IS NULL ORDER BY created_at, id")
            .fetch_all(pool)
            .await?;
    rows.into_iter().map(Token::try_from).collect()
}

/// Whether there was such a token; its row stays, for the audit log names it.
pub(crate) async fn revoke(
    pool: &PgPool,
    id: &TokenId,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let revoked =
        sqlx::query("UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(id.as_str())
            .bind(now)
            .execute(pool)
            .await?;
    Ok(revoked.rows_affected() == 1)
}
