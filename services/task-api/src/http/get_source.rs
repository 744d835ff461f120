//! `GET /sources/{id}`.

use axum::extract::State;
use rowcast_domain::SourceId;
use rowcast_proto::rest::Source;

use super::body::SourcePath;
use super::tag::Tagged;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::source::{self, StoredSource};

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
