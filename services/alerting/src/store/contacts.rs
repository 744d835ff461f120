//! Whom incidents are told.

use chrono::{DateTime, Utc};
use rowcast_domain::{ContactId, ParseIdError};
use rowcast_service::keyring::Sealed;
use sqlx::PgExecutor;

/// A contact.
#[derive(Debug, Clone)]
pub(crate) struct Contact {
    pub(crate) id: ContactId,
    pub(crate) name: String,
    pub(crate) resource_group: Option<String>,
    pub(crate) target: Target,
    pub(crate) created_at: DateTime<Utc>,
}

/// How a contact is told.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// By a webhook.
    Webhook {
        /// Where.
        url: String,
        /// Signs what it is told.
        secret: Sealed,
    },
    /// By a mail to this address.
    Mail(String),
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    resource_group: Option<String>,
    url: Option<String>,
    secret_key_id: Option<String>,
    secret_nonce: Option<Vec<u8>>,
    secret_ciphertext: Option<Vec<u8>>,
    address: Option<String>,
    created_at: DateTime<Utc>,
}

impl Row {
    fn target(&mut self) -> Option<Target> {
        if let Some(address) = self.address.take() {
            return Some(Target::Mail(address));
        }
        Some(Target::Webhook {
            url: self.url.take()?,
            secret: Sealed {
                key_id: self.secret_key_id.take()?,
                nonce: self.secret_nonce.take()?,
                ciphertext: self.secret_ciphertext.take()?,
            },
        })
    }
}

impl TryFrom<Row> for Contact {
    type Error = sqlx::Error;

    fn try_from(mut row: Row) -> Result<Self, Self::Error> {
        let target = row.target();
        let target =
            target.ok_or_else(|| sqlx::Error::Decode("a contact that is told nowhere".into()))?;
        let not_an_id = |error: ParseIdError| sqlx::Error::Decode(error.into());
        Ok(Self {
            id: row.id.try_into().map_err(not_an_id)?,
            name: row.name,
            resource_group: row.resource_group,
            target,
            created_at: row.created_at,
        })
    }
}

/// Stores a contact, in the place of the one with its id if there is one.
///
/// # Errors
/// Those of the database.
pub(crate) async fn put(
    executor: impl PgExecutor<'_>,
    contact: &Contact,
) -> Result<(), sqlx::Error> {
    let Contact {
        id,
        name,
        resource_group,
        target,
        created_at,
    } = contact;
    let (url, secret, address) = match target {
        Target::Webhook { url, secret } => (Some(url), Some(secret), None),
        Target::Mail(address) => (None, None, Some(address)),
    };
    sqlx::query(
        "INSERT INTO contacts (id, name, resource_group, url, secret_key_id, secret_nonce,
                               secret_ciphertext, created_at, address)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE
         SET name = $2, resource_group = $3, url = $4, secret_key_id = $5, secret_nonce = $6,
             secret_ciphertext = $7, address = $9",
    )
    .bind(id.as_str())
    .bind(name)
    .bind(resource_group)
    .bind(url)
    .bind(secret.map(|secret| &secret.key_id))
    .bind(secret.map(|secret| &secret.nonce))
    .bind(secret.map(|secret| &secret.ciphertext))
    .bind(created_at)
    .bind(address)
    .execute(executor)
    .await?;
    Ok(())
}

/// The contact of this id.
///
/// # Errors
/// Those of the database.
pub(crate) async fn get(
    executor: impl PgExecutor<'_>,
    id: &ContactId,
) -> Result<Option<Contact>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM contacts WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(executor)
        .await?;
    row.map(Contact::try_from).transpose()
}

/// All, oldest first.
///
/// # Errors
/// Those of the database.
pub(crate) async fn list(executor: impl PgExecutor<'_>) -> Result<Vec<Contact>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as("SELECT * FROM contacts ORDER BY created_at, id")
        .fetch_all(executor)
        .await?;
    rows.into_iter().map(Contact::try_from).collect()
}

/// Deletes a contact and what it was still to be told; `false` where there is none.
///
/// # Errors
/// Those of the database.
pub(crate) async fn delete(
    executor: impl PgExecutor<'_>,
    id: &ContactId,
) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query("DELETE FROM contacts WHERE id = $1")
        .bind(id.as_str())
        .execute(executor)
        .await?;
    Ok(deleted.rows_affected() == 1)
}
