//! `DELETE /tokens/{id}`.

use axum::extract::State;
use axum::http::StatusCode;

use super::body::TokenPath;
use crate::clock;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::token;

/// Revokes a token: the next request that shows it is refused.
#[utoipa::path(
    delete,
    path = "/tokens/{id}",
    tag = "access",
    params(("id" = String, Path, description = "The token")),
    responses(
        (status = 204, description = "It is revoked"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn revoke_token(
    State(app): State<App>,
    TokenPath(id): TokenPath,
) -> Result<StatusCode, ApiError> {
    if !token::revoke(app.pool(), &id, clock::now()).await? {
        return Err(ApiError::not_found("token", id.as_str()));
    }
    tracing::info!(token = %id, "token revoked");
    Ok(StatusCode::NO_CONTENT)
}
