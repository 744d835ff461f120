//! `GET /rules/{id}`.

use axum::extract::State;
use rowcast_proto::rest::Rule;

use super::body::RulePath;
use super::rules;
use super::tag::Tagged;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Shows a rule.
#[utoipa::path(
    get,
    path = "/rules/{id}",
    tag = "incidents",
    params(("id" = String, Path, description = "The rule")),
    responses(
        (status = 200, description = "The rule", body = Rule),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_rule(
    State(app): State<App>,
    caller: Caller,
    RulePath(id): RulePath,
) -> Result<Tagged<Rule>, ApiError> {
    let (version, rule) = rules::existing(&app, &caller, &id).await?;
    Ok(Tagged(version, rule))
}
