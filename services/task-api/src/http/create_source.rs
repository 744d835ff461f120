//! `POST /sources`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::{Secret, SourceId};
use rowcast_proto::rest::{CreateSource, Source};
use rowcast_service::keyring;

use sqlx::postgres::PgConnection;

use super::body;
use super::tag::Tagged;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::source::{self, ClientCertificate, StoredSource};
use crate::{clock, validate};

/// Registers a source.
#[utoipa::path(
    post,
    path = "/sources",
    tag = "sources",
    request_body = CreateSource,
    responses(
        (status = 201, description = "The source, without its password", body = Source, headers(("ETag" = String, description = "The version that is shown"))),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_source(
    State(app): State<App>,
    caller: Caller,
    body::Json(wanted): body::Json<CreateSource>,
) -> Result<(StatusCode, Tagged<Source>), ApiError> {
    let stored = accepted(&app, &caller, wanted)?;
    register(&mut *app.pool().acquire().await?, &stored).await?;
    Ok((StatusCode::CREATED, Tagged(stored.version, stored.source)))
}

/// A new source, which is not registered yet.
///
/// # Errors
/// Where it cannot be taken, or not from this caller.
pub(crate) fn accepted(
    app: &App,
    caller: &Caller,
    wanted: CreateSource,
) -> Result<StoredSource, ApiError> {
    validate::source(&wanted)?;
    caller.may_give_to(wanted.resource_group.as_deref())?;
    sealed(app, wanted)
}

/// Registers a source that was accepted.
pub(crate) async fn register(
    connection: &mut PgConnection,
    stored: &StoredSource,
) -> Result<(), ApiError> {
    source::insert(connection, stored).await?;
    tracing::info!(source = %stored.source.id, "source registered");
    Ok(())
}

/// The source with an id of its own and its secrets sealed for it.
pub(crate) fn sealed(app: &App, wanted: CreateSource) -> Result<StoredSource, ApiError> {
    let CreateSource {
        name,
        host,
        port,
        database,
        account,
        password,
        sslmode,
        sslrootcert,
        sslcert,
        sslkey,
        tags,
        resource_group,
        kind,
        region,
        instance_id,
    } = wanted;
    let id = SourceId::random();
    let password = app.keyring().seal(
        &Secret::new(password),
        &keyring::source_password(id.as_str()),
    )?;
    let client = match (sslcert, sslkey) {
        (Some(chain), Some(key)) => Some(client_certificate(app, &id, chain, key)?),
        _ => None,
    };
    let source = Source {
        id,
        name,
        host,
        port,
        database,
        account,
        sslmode,
        client_certificate: client.is_some(),
        tags,
        resource_group,
        kind: kind.unwrap_or_default(),
        region,
        instance_id,
        created_at: clock::now(),
    };
    Ok(StoredSource {
        source,
        sslrootcert,
        password,
        client,
        own: false,
        version: 1,
    })
}

/// A client certificate with its key sealed for a source.
pub(crate) fn client_certificate(
    app: &App,
    id: &SourceId,
    chain: String,
    key: String,
) -> Result<ClientCertificate, ApiError> {
    let aad = keyring::source_key(id.as_str());
    let key = app.keyring().seal(&Secret::new(key), &aad)?;
    Ok(ClientCertificate { chain, key })
}
