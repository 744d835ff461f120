//! Every request that may change something is on record before it is carried out: who, what, and from
//! where; then how it was answered. Bodies are not: they hold passwords.

use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use rowcast_bus::trace_context;
use serde::Deserialize;

use crate::auth::{Caller, RemoteAddress};
use crate::clock;
use crate::error::ApiError;
use crate::state::App;
use crate::store::audit::{self, Begun, Ended};

/// What an answer is about, as a path, where the path of its route does not tell.
#[derive(Debug, Clone)]
pub(crate) struct About(pub(crate) String);

/// Of an answer's body, what the log keeps.
#[derive(Default, Deserialize)]
struct Told {
    /// Of what was made.
    id: Option<String>,
    /// What was made beside its secret.
    token: Option<Made>,
    /// Of a problem.
    code: Option<String>,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

/// Keeps the record. A request that cannot be put on record is not carried out.
pub(crate) async fn record(
    State(app): State<App>,
    caller: Caller,
    route: MatchedPath,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let method = request.method().clone();
    if method.is_safe() {
        return Ok(next.run(request).await);
    }
    let address = request.extensions().get::<RemoteAddress>();
    let entry = Begun {
        at: clock::now(),
        actor: caller.actor(),
        token: caller.token(),
        address: address.map(|RemoteAddress(address)| address.to_string()),
        action: format!("{method} {}", route.as_str()),
        path: path(&route, parameters.ok().as_ref(), request.uri().path()),
        trace_id: trace_context::trace_id(&trace_context::current()).map(str::to_owned),
    };
    let id = audit::begin(app.pool(), entry).await?;
    let (response, how) = looked_at(next.run(request).await).await?;
    if let Err(error) = audit::end(app.pool(), id, how).await {
        // It was carried out, and the asker must hear how.
        tracing::error!(%error, entry = id, "audit entry stays without its end");
    }
    Ok(response)
}

/// The path with the ids that the handler reads, however they were written; as it is where they are no text.
fn path(route: &MatchedPath, parameters: Option<&RawPathParams>, written: &str) -> String {
    let Some(parameters) = parameters else {
        return written.to_owned();
    };
    let mut path = route.as_str().to_owned();
    for (name, value) in parameters {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    path
}

async fn looked_at(response: Response) -> Result<(Response, Ended), ApiError> {
    let status = response.status();
    let mut ended = Ended {
        status: status.as_u16(),
        path: response
            .extensions()
            .get::<About>()
            .map(|about| about.0.clone()),
        ..Ended::default()
    };
    if status != StatusCode::CREATED && status.is_success() {
        return Ok((response, ended));
    }
    let (mut parts, body) = response.into_parts();
    // Our own answers: whole in memory, whatever their size.
    let text = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|error| ApiError::Unreadable(format!("answer: {error}")))?;
    let told: Told = serde_json::from_slice(&text).unwrap_or_default();
    let made = told.id.or(told.token.map(|token| token.id));
    ended.created = made.filter(|_id| status == StatusCode::CREATED);
    ended.problem = told.code.filter(|_code| !status.is_success());
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok((Response::from_parts(parts, Body::from(text)), ended))
}
