//! Table `sources`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rowcast_domain::SourceId;
use rowcast_proto::rest::{Source, SourceKind, SslMode};
use rowcast_service::keyring::Sealed;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::types::Json;

use super::{decoded, parsed};

/// A source with what is never shown of it.
#[derive(Debug, Clone)]
pub(crate) struct StoredSource {
    pub(crate) source: Source,
    pub(crate) sslrootcert: Option<String>,
    pub(crate) password: Sealed,
    pub(crate) client: Option<ClientCertificate>,
    /// It was given with a task, and goes with the last one that needs it.
    pub(crate) own: bool,
    /// Counts what users change of it.
    pub(crate) version: u64,
}

/// The client certificate of a source.
#[derive(Debug, Clone)]
pub(crate) struct ClientCertificate {
    /// PEM.
    pub(crate) chain: String,
    pub(crate) key: Sealed,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    host: String,
    port: i32,
    database: String,
    account: String,
    sslmode: String,
    sslrootcert: Option<String>,
    password_key_id: String,
    password_nonce: Vec<u8>,
    password_ciphertext: Vec<u8>,
    sslcert: Option<String>,
    sslkey_key_id: Option<String>,
    sslkey_nonce: Option<Vec<u8>>,
    sslkey_ciphertext: Option<Vec<u8>>,
    version: i64,
    tags: Json<BTreeMap<String, String>>,
    resource_group: Option<String>,
    kind: String,
    region: Option<String>,
    instance_id: Option<String>,
    own: bool,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for StoredSource {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let sslmode = SslMode::from_name(&row.sslmode)
            .ok_or_else(|| sqlx::Error::Decode(format!("sslmode {:?}", row.sslmode).into()))?;
        let kind = SourceKind::from_name(&row.kind)
            .ok_or_else(|| sqlx::Error::Decode(format!("kind {:?}", row.kind).into()))?;
        let client = client_certificate(
            row.sslcert,
            row.sslkey_key_id,
            row.sslkey_nonce,
            row.sslkey_ciphertext,
        );
        Ok(Self {
            source: Source {
                id: parsed(&row.id)?,
                name: row.name,
                host: row.host,
                port: decoded(u16::try_from(row.port))?,
                database: row.database,
                account: row.account,
                sslmode,
                client_certificate: client.is_some(),
                tags: row.tags.0,
                resource_group: row.resource_group,
                kind,
                region: row.region,
                instance_id: row.instance_id,
                created_at: row.created_at,
            },
            sslrootcert: row.sslrootcert,
            password: Sealed {
                key_id: row.password_key_id,
                nonce: row.password_nonce,
                ciphertext: row.password_ciphertext,
            },
            client,
            own: row.own,
            version: decoded(u64::try_from(row.version))?,
        })
    }
}

/// All four are there, or none.
fn client_certificate(
    chain: Option<String>,
    key_id: Option<String>,
    nonce: Option<Vec<u8>>,
    ciphertext: Option<Vec<u8>>,
) -> Option<ClientCertificate> {
    let key = Sealed {
        key_id: key_id?,
        nonce: nonce?,
        ciphertext: ciphertext?,
    };
    Some(ClientCertificate { chain: chain?, key })
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    stored: &StoredSource,
) -> Result<(), sqlx::Error> {
    let StoredSource {
        source,
        sslrootcert,
        password,
        client,
        own,
        version: _,
    } = stored;
    let key = client.as_ref().map(|client| &client.key);
    sqlx::query(
        "INSERT INTO sources (
             id, name, host, port, database, account, sslmode, sslrootcert,
             password_key_id, password_nonce, password_ciphertext, created_at, tags,
             resource_group, kind, region, instance_id,
             sslcert, sslkey_key_id, sslkey_nonce, sslkey_ciphertext, own)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
             $18, $19, $20, $21, $22)",
    )
    .bind(source.id.as_str())
    .bind(&source.name)
    .bind(&source.host)
    .bind(i32::from(source.port))
    .bind(&source.database)
    .bind(&source.account)
    .bind(source.sslmode.as_str())
    .bind(sslrootcert)
    .bind(&password.key_id)
    .bind(&password.nonce)
    .bind(&password.ciphertext)
    .bind(source.created_at)
    .bind(Json(&source.tags))
    .bind(&source.resource_group)
    .bind(source.kind.as_str())
    .bind(&source.region)
    .bind(&source.instance_id)
    .bind(client.as_ref().map(|client| &client.chain))
    .bind(key.map(|key| &key.key_id))
    .bind(key.map(|key| &key.nonce))
    .bind(key.map(|key| &key.ciphertext))
    .bind(own)
    .execute(connection)
    .await?;
    Ok(())
}

/// A source, even if it was deleted.
pub(crate) async fn get(
    connection: &mut PgConnection,
    id: &SourceId,
) -> Result<Option<StoredSource>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM sources WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.map(StoredSource::try_from).transpose()
}

/// A source that was not deleted.
pub(crate) async fn present(
    connection: &mut PgConnection,
    id: &SourceId,
) -> Result<Option<StoredSource>, sqlx::Error> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM sources WHERE id = $1 AND deleted_at IS NULL")
            .bind(id.as_str())
            .fetch_optional(connection)
            .await?;
    row.map(StoredSource::try_from).transpose()
}

/// Reads a source that was not deleted, and keeps it from being changed until the end of the
/// transaction.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    id: &SourceId,
) -> Result<Option<StoredSource>, sqlx::Error> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM sources WHERE id = $1 AND deleted_at IS NULL FOR UPDATE")
            .bind(id.as_str())
            .fetch_optional(connection)
            .await?;
    row.map(StoredSource::try_from).transpose()
}

/// Writes everything of a source that can change.
pub(crate) async fn update(
    connection: &mut PgConnection,
    stored: &StoredSource,
) -> Result<(), sqlx::Error> {
    let StoredSource {
        source,
        sslrootcert,
        password,
        client,
        own: _,
        version,
    } = stored;
    let key = client.as_ref().map(|client| &client.key);
    sqlx::query(
        "UPDATE sources
         SET name = $2, host = $3, port = $4, database = $5, account = $6, sslmode = $7,
             sslrootcert = $8, password_key_id = $9, password_nonce = $10,
             password_ciphertext = $11, version = $12, tags = $13,
             resource_group = $14, kind = $15, region = $16, instance_id = $17,
             sslcert = $18, sslkey_key_id = $19, sslkey_nonce = $20, sslkey_ciphertext = $21
         WHERE id = $1",
    )
    .bind(source.id.as_str())
    .bind(&source.name)
    .bind(&source.host)
    .bind(i32::from(source.port))
    .bind(&source.database)
    .bind(&source.account)
    .bind(source.sslmode.as_str())
    .bind(sslrootcert)
    .bind(&password.key_id)
    .bind(&password.nonce)
    .bind(&password.ciphertext)
    .bind(decoded(i64::try_from(*version))?)
    .bind(Json(&source.tags))
    .bind(&source.resource_group)
    .bind(source.kind.as_str())
    .bind(&source.region)
    .bind(&source.instance_id)
    .bind(client.as_ref().map(|client| &client.chain))
    .bind(key.map(|key| &key.key_id))
    .bind(key.map(|key| &key.nonce))
    .bind(key.map(|key| &key.ciphertext))
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes a source; its row stays without its secrets, for released tasks name it.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    id: &SourceId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE sources
         SET deleted_at = $2, password_key_id = '', password_nonce = '', password_ciphertext = '',
             sslkey_key_id = NULL, sslkey_nonce = NULL, sslkey_ciphertext = NULL
         WHERE id = $1",
    )
    .bind(id.as_str())
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a task's own source to another resource group, with the task; unless another one has it too.
pub(crate) async fn give_own(
    connection: &mut PgConnection,
    id: &SourceId,
    group: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE sources
         SET resource_group = $2
         WHERE id = $1
           AND own
           AND (SELECT count(*)
                FROM tasks AS t
                WHERE t.source_id = $1
                  AND t.state <> 'released') = 1",
    )
    .bind(id.as_str())
    .bind(group)
    .execute(connection)
    .await?;
    Ok(())
}

/// Those that users have registered, and tasks' own; oldest first.
pub(crate) async fn list_all(pool: &PgPool) -> Result<Vec<StoredSource>, sqlx::Error> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM sources WHERE deleted_at IS NULL ORDER BY created_at, id")
            .fetch_all(pool)
            .await?;
    rows.into_iter().map(StoredSource::try_from).collect()
}

/// The resource group of a source; `None` where there is no such source.
pub(crate) async fn resource_group(
    pool: &PgPool,
    id: &SourceId,
) -> Result<Option<Option<String>>, sqlx::Error> {
    sqlx::query_scalar("SELECT resource_group FROM sources WHERE id = $1 AND deleted_at IS NULL")
        .bind(id.as_str())
        .fetch_optional(pool)
        .await
}

/// Those that were given with a task which is all gone.
pub(crate) async fn unneeded(pool: &PgPool) -> Result<Vec<SourceId>, sqlx::Error> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT s.id
         FROM sources AS s
         WHERE s.own
           AND s.deleted_at IS NULL
           AND NOT EXISTS (SELECT 1
                           FROM tasks AS t
                           WHERE t.source_id = s.id
                             AND t.state <> 'released')",
    )
    .fetch_all(pool)
    .await?;
    ids.iter().map(|id| parsed(id)).collect()
}

/// Those that users have registered; oldest first.
pub(crate) async fn list(pool: &PgPool) -> Result<Vec<StoredSource>, sqlx::Error> {
    let mut sources = list_all(pool).await?;
    sources.retain(|source| !source.own);
    Ok(sources)
}
