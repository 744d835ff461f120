//! `GET /tokens`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::TokenList;

use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::token;

/// Lists the tokens that were not revoked, oldest first; the admin token of the settings is not among them.
#[utoipa::path(
    get,
    path = "/tokens",
    tag = "access",
    responses(
        (status = 200, description = "The tokens, without their secrets", body = TokenList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_tokens(State(app): State<App>) -> Result<Json<TokenList>, ApiError> {
    let tokens = token::list(app.pool()).await?;
    Ok(Json(TokenList { tokens }))
}
