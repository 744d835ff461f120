//! `GET /sources`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::SourceList;

use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::source;

/// Lists the sources, oldest first.
#[utoipa::path(
    get,
    path = "/sources",
    tag = "sources",
    responses(
        (status = 200, description = "The sources", body = SourceList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_sources(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<SourceList>, ApiError> {
    let stored = source::list(app.pool()).await?;
    let sources = stored
        .into_iter()
        .map(|stored| stored.source)
        .filter(|source| caller.sees(source.resource_group.as_deref()))
        .collect();
    Ok(Json(SourceList { sources }))
}
