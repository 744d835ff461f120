//! `DELETE /rules/{id}`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_proto::message::RuleRequest;
use rowcast_proto::rpc::DeleteRule;

use super::body::RulePath;
use super::{ASK_TIMEOUT, rules};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Deletes a rule. Its open incidents end within seconds.
#[utoipa::path(
    delete,
    path = "/rules/{id}",
    tag = "incidents",
    params(("id" = String, Path, description = "The rule")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_rule(
    State(app): State<App>,
    caller: Caller,
    RulePath(id): RulePath,
) -> Result<StatusCode, ApiError> {
    rules::existing(&app, &caller, &id).await?;
    let question = RuleRequest {
        rule_id: id.to_string(),
    };
    ask::<DeleteRule>(app.bus(), &question, ASK_TIMEOUT).await?;
    Ok(StatusCode::NO_CONTENT)
}
