//! `GET /sources/{id}`.

use axum::extract::State;
use rowcast_domain::SourceId;
use rowcast_proto::rest::{CreateSource, OWN_TAGS, Source};
use rowcast_service::keyring;

use super::body::SourcePath;
use super::tag::Tagged;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::source::{self, StoredSource};

/// Stands for a password, which is never told.
const PASSWORD_LEFT_OUT: &str = "<put the password of the source here>";

/// Stands for the key of a client certificate, which is never told.
const KEY_LEFT_OUT: &str = "<put the key of the client certificate here>";

/// Shows a source.
#[utoipa::path(
    get,
    path = "/sources/{id}",
    tag = "sources",
    params(("id" = String, Path, description = "The source")),
    responses(
        (status = 200, description = "The source, without its password", body = Source),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_source(
    State(app): State<App>,
    SourcePath(id): SourcePath,
) -> Result<Tagged<Source>, ApiError> {
    let stored = existing(&app, &id).await?;
    Ok(Tagged(stored.version, stored.source))
}

/// The source, or that there is none.
pub(crate) async fn existing(app: &App, id: &SourceId) -> Result<StoredSource, ApiError> {
    let mut connection = app.pool().acquire().await?;
    source::present(&mut connection, id)
        .await?
        .ok_or_else(|| ApiError::not_found("source", id.as_str()))
}

/// The name of a task's source, even if it was deleted; its id where it is not there for the caller.
pub(crate) async fn source_name(
    app: &App,
    caller: &Caller,
    id: &SourceId,
) -> Result<String, ApiError> {
    let mut connection = app.pool().acquire().await?;
    let source = source::get(&mut connection, id).await?;
    let seen = source.filter(|stored| caller.sees(stored.source.resource_group.as_deref()));
    Ok(seen.map_or_else(|| id.to_string(), |stored| stored.source.name))
}

/// What a task's own source can be made from again; `None` where the task shares a source with others, or the caller does
/// not see it. What stands for a secret says so.
pub(crate) async fn own_source(
    app: &App,
    caller: &Caller,
    id: &SourceId,
) -> Result<Option<CreateSource>, ApiError> {
    let mut connection = app.pool().acquire().await?;
    let stored = source::get(&mut connection, id).await?;
    let own = stored.filter(|stored| stored.own);
    let seen = own.filter(|stored| caller.sees(stored.source.resource_group.as_deref()));
    let Some(stored) = seen else {
        return Ok(None);
    };
    let has_password = !app
        .keyring()
        .open(&stored.password, &keyring::source_password(id.as_str()))?
        .expose()
        .is_empty();
    let Source {
        id: _,
        name,
        kind,
        region,
        instance_id,
        host,
        port,
        database,
        account,
        sslmode,
        client_certificate: _,
        mut tags,
        resource_group,
        created_at: _,
    } = stored.source;
    tags.retain(|key, _value| !key.starts_with(OWN_TAGS));
    let (sslcert, sslkey) = stored
        .client
        .map(|client| (client.chain, KEY_LEFT_OUT.to_owned()))
        .unzip();
    Ok(Some(CreateSource {
        name,
        kind: Some(kind),
        region,
        instance_id,
        host,
        port,
        database,
        account,
        password: if has_password {
            PASSWORD_LEFT_OUT.to_owned()
        } else {
            String::new()
        },
        sslmode,
        sslrootcert: stored.sslrootcert,
        sslcert,
        sslkey,
        tags,
        resource_group,
    }))
}
