//! Who may ask: whoever shows the admin token.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use ring::hmac;
use ring::rand::SystemRandom;
use rowcast_domain::Secret;
use rowcast_service::BoxError;

use crate::error::ApiError;
use crate::state::App;

/// Who does what the admin token asks for.
pub(crate) const USER: &str = "user:admin";

/// Knows the admin token without holding it.
///
/// The SHA-256 is keyed per process: `ring` compares such a digest in constant time.
#[derive(Debug)]
pub(crate) struct TokenDigest {
    key: hmac::Key,
    digest: hmac::Tag,
}

impl TokenDigest {
    pub(crate) fn of(token: &Secret) -> Result<Self, BoxError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_unspecified| "the system gives no random bytes")?;
        let digest = hmac::sign(&key, token.expose().as_bytes());
        Ok(Self { key, digest })
    }

    fn is(&self, given: &str) -> bool {
        hmac::verify(&self.key, given.as_bytes(), self.digest.as_ref()).is_ok()
    }
}

/// Lets a request through that shows the token.
pub(crate) async fn require_token(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if bearer(request.headers()).is_some_and(|token| app.token().is(token)) {
        return Ok(next.run(request).await);
    }
    let detail = "the request shows no token, or a wrong one";
    Err(
        ApiError::refused(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .repair("Send the header `Authorization: Bearer <admin token>`."),
    )
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
    fn only_the_token_itself_is_the_token() {
        let digest = TokenDigest::of(&Secret::new("letmein")).unwrap();
        assert!(digest.is("letmein"));
        for wrong in ["", "letmei", "letmein ", "LETMEIN"] {
            assert!(!digest.is(wrong), "{wrong:?}");
        }
    }

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
