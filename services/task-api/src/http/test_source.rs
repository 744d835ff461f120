//! `POST /sources/{id}/test`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::TestSourceRequest;
use rowcast_proto::rest::SourceTest;
use rowcast_proto::rpc::TestSource;

use super::TEST_TIMEOUT;
use super::body::SourcePath;
use super::get_source::existing;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::source::StoredSource;

/// Goes to a source step by step: each step tells what was seen, and what repairs it.
#[utoipa::path(
    post,
    path = "/sources/{id}/test",
    tag = "sources",
    params(("id" = String, Path, description = "The source")),
    responses(
        (status = 200, description = "How far the way leads", body = SourceTest),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn test_source(
    State(app): State<App>,
    SourcePath(id): SourcePath,
) -> Result<Json<SourceTest>, ApiError> {
    let stored = existing(&app, &id).await?;
    tested(&app, stored).await.map(Json)
}

/// How far the way to this source leads.
pub(crate) async fn tested(app: &App, stored: StoredSource) -> Result<SourceTest, ApiError> {
    let question = TestSourceRequest {
        kind: convert::kind(stored.source.kind),
        source: Some(convert::connection(stored, None)),
    };
    convert::source_test(ask::<TestSource>(app.bus(), &question, TEST_TIMEOUT).await?)
}
