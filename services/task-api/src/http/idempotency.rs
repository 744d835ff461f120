//! `Idempotency-Key`: a request that is sent again is answered as the first time.
//!
//! Only success is kept. A refusal has changed nothing, so the key is given back with it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::hmac;

use super::{REQUEST_TIMEOUT, body};
use crate::auth::Caller;
use crate::clock;
use crate::error::ApiError;
use crate::state::App;
use crate::store::idempotency::{self, Claim};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const KEY_CHARACTERS_MAX: usize = 128;

/// A request that takes longer has lost its process.
const ABANDONED_AFTER: Duration = REQUEST_TIMEOUT.saturating_add(Duration::from_secs(15));

/// The request's key, if it has one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= KEY_CHARACTERS_MAX => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => {
            let detail = "Idempotency-Key must have 1 to 128 printable ASCII characters";
            let status = StatusCode::BAD_REQUEST;
            Err(ApiError::refused(status, "malformed_idempotency_key", detail)
                .field("Idempotency-Key")
                .repair("Send a new random UUID with each command, and the same one when repeating it."))
        }
    }
}

/// Answers a repeated POST from what is stored.
pub(crate) async fn replay(
    State(app): State<App>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if request.method() != Method::POST || tells_a_secret(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let Some(key) = key(request.headers())? else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = body::read(body).await?;
    let mut context = hmac::Context::with_key(app.fingerprint_key());
    context.update(parts.uri.path().as_bytes());
    if let Some(query) = parts.uri.query() {
        context.update(b"?");
        context.update(query.as_bytes());
    }
    context.update(b"\0");
    context.update(&body);
    let fingerprint = context.sign();

    let now = clock::now();
    let claim = idempotency::claim(
        app.pool(),
        caller.key(),
        &key,
        fingerprint.as_ref(),
        now,
        now - ABANDONED_AFTER,
    );
    match claim.await? {
        Claim::Ours => {
            let request = Request::from_parts(parts, Body::from(body));
            keep(&app, &caller, &key, next.run(request).await).await
        }
        Claim::Answered { status, answer } => replayed(status, answer),
        Claim::OtherRequest => {
            let detail = "the Idempotency-Key was used with another request";
            Err(
                ApiError::refused(StatusCode::CONFLICT, "idempotency_key_reused", detail)
                    .field("Idempotency-Key")
                    .repair("Use a new key for a new request."),
            )
        }
        Claim::InProgress => {
            let detail = "the same request is being answered";
            Err(
                ApiError::refused(StatusCode::CONFLICT, "request_in_progress", detail)
                    .repair("Try again in a few seconds."),
            )
        }
    }
}

/// Whether the answer must not be kept.
fn tells_a_secret(path: &str) -> bool {
    path == "/api/v1/tokens"
}

async fn keep(
    app: &App,
    caller: &Caller,
    key: &str,
    response: Response,
) -> Result<Response, ApiError> {
    let (parts, body) = response.into_parts();
    if !parts.status.is_success() {
        idempotency::give_back(app.pool(), caller.key(), key).await?;
        return Ok(Response::from_parts(parts, body));
    }
    // Our own answers: whole in memory, whatever their size.
    let answer = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|error| ApiError::Unreadable(format!("answer: {error}")))?;
    idempotency::store_answer(
        app.pool(),
        caller.key(),
        key,
        parts.status.as_u16(),
        &answer,
    )
    .await?;
    Ok(Response::from_parts(parts, Body::from(answer)))
}

fn replayed(status: i32, answer: Vec<u8>) -> Result<Response, ApiError> {
    let status = u16::try_from(status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| ApiError::Unreadable(format!("stored status {status}")))?;
    let json = HeaderValue::from_static("application/json");
    let replayed = HeaderValue::from_static("true");
    Ok((
        status,
        [(header::CONTENT_TYPE, json), (REPLAYED, replayed)],
        answer,
    )
        .into_response())
}
