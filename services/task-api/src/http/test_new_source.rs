//! `POST /sources/test`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::{CreateSource, SourceTest};

use super::body;
use super::create_source::sealed;
use super::test_source::tested;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::validate;

/// Tests a source before it is registered; nothing is stored.
#[utoipa::path(
    post,
    path = "/sources/test",
    tag = "sources",
    request_body = CreateSource,
    responses(
        (status = 200, description = "How far the way leads", body = SourceTest),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn test_new_source(
    State(app): State<App>,
    body::Json(wanted): body::Json<CreateSource>,
) -> Result<Json<SourceTest>, ApiError> {
    validate::source(&wanted)?;
    let unregistered = sealed(&app, wanted)?;
    tested(&app, unregistered).await.map(Json)
}
