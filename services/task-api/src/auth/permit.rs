//! What a caller may do: by its role, and to whose tasks and sources.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use rowcast_domain::{SourceId, TaskId};
use rowcast_proto::rest::Role;

use super::Caller;
use crate::error::ApiError;
use crate::http::body;
use crate::state::App;
use crate::store::{source, task};

/// Routes for admins, below `/api/v1`.
const FOR_ADMINS: [&str; 2] = ["tokens", "audit"];

/// The route whose parameters say whether it reads or changes something, and what: its handler asks
/// [`demand`], and whether the caller sees what is named.
const BY_PARAMETERS: &str = "dts";

/// Refuses what the caller's role does not allow, and hides what its scope does not hold.
pub(crate) async fn permit(
    State(app): State<App>,
    caller: Caller,
    route: MatchedPath,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    demand(
        &caller,
        needed(request.method(), segments(route.as_str()).next()),
    )?;
    let parameters = parameters.map_err(|error| body::unreadable_path(error.body_text()))?;
    let id = parameters.iter().find(|(name, _)| *name == "id");
    if let (Some(_bound), Some((_, id))) = (caller.scope(), id) {
        is_in_scope(&app, &caller, segments(route.as_str()).next(), id).await?;
    }
    Ok(next.run(request).await)
}

/// # Errors
/// Where the caller's role is less than this.
pub(crate) fn demand(caller: &Caller, needed: Role) -> Result<(), ApiError> {
    if caller.role() >= needed {
        return Ok(());
    }
    let (given, needed) = (caller.role().as_str(), needed.as_str());
    let detail = format!("this takes the role {needed}; the token has the role {given}");
    Err(
        ApiError::refused(StatusCode::FORBIDDEN, "role_forbids", detail)
            .repair("Ask with another token, or let an admin make one with that role."),
    )
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix("/api/v1/").unwrap_or_default().split('/')
}

fn needed(method: &Method, first: Option<&str>) -> Role {
    if first.is_some_and(|first| FOR_ADMINS.contains(&first)) {
        Role::Admin
    } else if method.is_safe() || first == Some(BY_PARAMETERS) {
        Role::Viewer
    } else {
        Role::Operator
    }
}

/// What is not in the caller's scope is not there. `id` is the one that the handler will read: what it is,
/// not how the path has written it.
async fn is_in_scope(
    app: &App,
    caller: &Caller,
    what: Option<&str>,
    id: &str,
) -> Result<(), ApiError> {
    let (what, group) = match what {
        Some("tasks") => {
            let task = body::id::<TaskId>("task", id)?;
            ("task", task::resource_group(app.pool(), &task).await?)
        }
        Some("sources") => {
            let source = body::id::<SourceId>("source", id)?;
            ("source", source::resource_group(app.pool(), &source).await?)
        }
        _ => return Ok(()),
    };
    // Where there is none, the handler says so in the same words.
    match group {
        Some(group) if !caller.sees(group.as_deref()) => Err(ApiError::not_found(what, id)),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_takes_a_viewer_and_commands_an_operator() {
        let needed = |method, route: &str| needed(&method, segments(route).next());
        assert_eq!(needed(Method::GET, "/api/v1/tasks/{id}"), Role::Viewer);
        assert_eq!(needed(Method::POST, "/api/v1/tasks"), Role::Operator);
        assert_eq!(
            needed(Method::DELETE, "/api/v1/sources/{id}"),
            Role::Operator
        );
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert_eq!(needed(method, "/api/v1/tokens/{id}"), Role::Admin);
        }
        assert_eq!(needed(Method::GET, "/api/v1/audit"), Role::Admin);
        assert_eq!(needed(Method::POST, "/api/v1/dts"), Role::Viewer);
    }
}
