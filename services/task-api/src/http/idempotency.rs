//! `Idempotency-Key`: a request that is sent again is answered as the first time.
//!
//! Every request that may change something can have a key. Only success is kept. A refusal has changed nothing, so the
//! key is given back with it. An answer that tells a secret is kept sealed, as other secrets are.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::hmac;
use rowcast_domain::Secret;
use rowcast_service::keyring;

use super::{REQUEST_TIMEOUT, body};
use crate::auth::Caller;
use crate::clock;
use crate::error::ApiError;
use crate::state::App;
use crate::store::idempotency::{self, Claim, Kept, KeptBody};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

pub(super) const KEY_CHARACTERS_MAX: usize = 128;

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

/// Answers a repeated request from what is stored.
pub(crate) async fn replay(
    State(app): State<App>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if request.method().is_safe() {
        return Ok(next.run(request).await);
    }
    let Some(key) = key(request.headers())? else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = body::read(body).await?;
    let tells_a_secret = tells_a_secret(parts.uri.path());
    let fingerprint = fingerprint(app.fingerprint_key(), &parts, &body);
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
            let sealed_for = tells_a_secret.then(|| sealed_for(&caller, &key));
            let response = next.run(request).await;
            keep(&app, &caller, &key, response, sealed_for).await
        }
        Claim::Answered(kept) => replayed(&app, kept, &sealed_for(&caller, &key)),
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

/// Tells requests with one key apart: by method, path, query, the version that is meant, and body.
fn fingerprint(key: &hmac::Key, parts: &Parts, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    if parts.method != Method::POST {
        context.update(parts.method.as_str().as_bytes());
        context.update(b" ");
        for version in parts.headers.get_all(header::IF_MATCH) {
            context.update(version.as_bytes());
            context.update(b" ");
        }
    }
    context.update(parts.uri.path().as_bytes());
    if let Some(query) = parts.uri.query() {
        context.update(b"?");
        context.update(query.as_bytes());
    }
    context.update(b"\0");
    context.update(body);
    context.sign()
}

fn sealed_for(caller: &Caller, key: &str) -> String {
    keyring::kept_answer(caller.key(), key)
}

/// Whether the answer must not be kept in the clear.
fn tells_a_secret(path: &str) -> bool {
    path == "/api/v1/tokens"
}

async fn keep(
    app: &App,
    caller: &Caller,
    key: &str,
    response: Response,
    sealed_for: Option<String>,
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
    let etag = parts.headers.get(header::ETAG);
    let kept = Kept {
        status: parts.status.as_u16(),
        etag: etag.and_then(|etag| Some(etag.to_str().ok()?.to_owned())),
        body: match sealed_for {
            Some(sealed_for) => {
                let secret = Secret::new(String::from_utf8_lossy(&answer));
                KeptBody::Sealed(app.keyring().seal(&secret, &sealed_for)?)
            }
            None => KeptBody::Plain(answer.to_vec()),
        },
    };
    idempotency::store_answer(app.pool(), caller.key(), key, &kept).await?;
    Ok(Response::from_parts(parts, Body::from(answer)))
}

fn replayed(app: &App, kept: Kept, sealed_for: &str) -> Result<Response, ApiError> {
    let status = StatusCode::from_u16(kept.status)
        .map_err(|error| ApiError::Unreadable(format!("stored status: {error}")))?;
    let answer = match kept.body {
        KeptBody::Plain(answer) => answer,
        KeptBody::Sealed(sealed) => {
            let secret = app.keyring().open(&sealed, sealed_for)?;
            secret.expose().as_bytes().to_vec()
        }
    };
    let is_empty = answer.is_empty();
    let mut response = (status, answer).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if !is_empty {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    if let Some(etag) = kept.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
