//! `POST /tokens`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::TokenId;
use rowcast_proto::rest::{CreateToken, NewToken, Token};

use super::body;
use crate::auth::{ADMIN, ApiToken, Caller};
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::token;
use crate::{clock, validate};

/// Makes a token. Its secret is told this once; to the same request with the same Idempotency-Key, for a day.
#[utoipa::path(
    post,
    path = "/tokens",
    tag = "access",
    request_body = CreateToken,
    responses(
        (status = 201, description = "The token and its secret", body = NewToken),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_token(
    State(app): State<App>,
    caller: Caller,
    body::Json(wanted): body::Json<CreateToken>,
) -> Result<(StatusCode, Json<NewToken>), ApiError> {
    let now = clock::now();
    validate::token(&wanted, now)?;
    let secret =
        ApiToken::random().ok_or_else(|| ApiError::Unreadable("no random bytes".to_owned()))?;
    let token = Token {
        id: TokenId::random(),
        name: wanted.name,
        role: wanted.role,
        resource_groups: wanted.resource_groups,
        created_by: caller.actor(),
        created_at: now,
        expires_at: wanted.expires_at,
        last_used_at: None,
    };
    let is_taken = token.name.eq_ignore_ascii_case(ADMIN)
        || !token::insert(app.pool(), &token, &secret.digest()).await?;
    if is_taken {
        let detail = format!("there is a token with the name {:?}", token.name);
        return Err(
            ApiError::refused(StatusCode::CONFLICT, "token_name_taken", detail)
                .field("name")
                .repair("Give another name, or revoke that token first."),
        );
    }
    tracing::info!(token = %token.id, name = token.name, "token made");
    let secret = secret.secret().expose().to_owned();
    Ok((StatusCode::CREATED, Json(NewToken { token, secret })))
}
