//! `PATCH /sources/{id}`.

use axum::extract::State;
use rowcast_proto::rest::{PatchSource, Source};

use super::body::{self, SourcePath};
use super::tag::{IfMatch, Tagged};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::lifecycle;
use crate::state::App;

/// Changes a source. What reaches it another way, as a new password, comes to its running tasks at
/// once, and to stopped ones with their next start.
#[utoipa::path(
    patch,
    path = "/sources/{id}",
    tag = "sources",
    params(("id" = String, Path, description = "The source"), IfMatch),
    request_body = PatchSource,
    responses(
        (status = 200, description = "The source, without its password", body = Source),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch_source(
    State(app): State<App>,
    caller: Caller,
    SourcePath(id): SourcePath,
    expected: IfMatch,
    body::Json(wanted): body::Json<PatchSource>,
) -> Result<Tagged<Source>, ApiError> {
    if let Some(group) = &wanted.resource_group {
        caller.may_give_to(Some(group))?;
    }
    let stored = lifecycle::change_source(&app, &caller, &id, wanted, &expected).await?;
    Ok(Tagged(stored.version, stored.source))
}
