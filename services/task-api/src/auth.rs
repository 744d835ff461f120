//! Who asks, and what they may.
//!
//! ```text
//! door ─▶ authenticate ─▶ pace ─▶ (audit) ─▶ permit ─▶ handler
//! ```

mod caller;
mod admin_token;
mod api_token;
mod pace;
mod door;
mod permit;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::clock;
use crate::error::ApiError;
use crate::state::App;
use crate::store::token;

pub(crate) use admin_token::AdminToken;
pub(crate) use api_token::ApiToken;
pub(crate) use caller::{ADMIN, Caller};
pub(crate) use door::{Door, RemoteAddress, keep_door};
pub use door::{ParseProxiesError, TrustedProxies};
pub(crate) use pace::{Pace, keep_pace};
pub(crate) use permit::{demand, permit};

/// Lets a request through that shows the admin token, or a token that was made by the API and still holds.
/// What comes behind finds the [`Caller`].
pub(crate) async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = caller(&app, request.headers()).await?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

async fn caller(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let given = bearer(headers).ok_or_else(unauthorized)?;
    if app.admin_token().is(given) {
        return Ok(Caller::admin());
    }
    let digest = ApiToken::digest_of(given).ok_or_else(unauthorized)?;
    let now = clock::now();
    let token = token::find(app.pool(), &digest, now).await?;
    let token = token.ok_or_else(unauthorized)?;
    if token.expires_at.is_some_and(|end| end <= now) {
        let detail = format!("the token {:?} has expired", token.name);
        let refused = ApiError::refused(StatusCode::UNAUTHORIZED, "token_expired", detail);
        return Err(refused.repair("Let an admin make a new one: POST /api/v1/tokens."));
    }
    Ok(Caller::of(token))
}

fn unauthorized() -> ApiError {
    let detail = "the request shows no token, or a wrong one";
    ApiError::refused(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        .repair("Send the header `Authorization: Bearer <token>`.")
}

/// The token of `Authorization: Bearer <token>` (RFC 6750); the scheme's case does not matter.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        headers.insert(header::AUTHORIZATION, "bEaReR x".parse().unwrap());
        assert_eq!(bearer(&headers), Some("x"));
        headers.insert(header::AUTHORIZATION, "Basic x".parse().unwrap());
        assert_eq!(bearer(&headers), None);
    }
}
