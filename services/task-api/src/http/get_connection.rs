//! `GET /tasks/{id}/groups/{gid}/connection`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_proto::rest::{GroupConnection, Role};
use rowcast_proto::rpc::GetGroupConnection;

use super::ASK_TIMEOUT;
use super::body::GroupPath;
use super::get_group::question;
use super::get_task::existing;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Tells what a client of the group needs, but for the password. A viewer is not told to what clients of a push group subscribe.
#[utoipa::path(
    get,
    path = "/tasks/{id}/groups/{gid}/connection",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group")),
    responses(
        (status = 200, description = "How to connect", body = GroupConnection),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_connection(
    State(app): State<App>,
    caller: Caller,
    GroupPath(task, group): GroupPath,
) -> Result<Json<GroupConnection>, ApiError> {
    let network = existing(&app, &task).await?.definition.network;
    let question = question(&caller, task, group);
    let answer = ask::<GetGroupConnection>(app.bus(), &question, ASK_TIMEOUT).await?;
    let mut connection = convert::group_connection(answer)?;
    if let Some(name) = network {
        let network = app.client_networks().get(&name);
        connection.urls = network.ok_or_else(|| gone(&name))?.urls.clone();
    }
    // Who knows where changes are sent can have others sent there.
    if caller.role() == Role::Viewer {
        connection.deliver_subject = None;
        for of in &mut connection.consumers {
            of.deliver_subject = None;
        }
    }
    Ok(Json(connection))
}

/// Another address might lead clients by a way that their owner has not wanted.
fn gone(network: &str) -> ApiError {
    let detail = format!("the platform has no network {network:?} for clients any more");
    ApiError::refused(StatusCode::CONFLICT, "network_gone", detail)
        .repair("Whoever runs the platform gives it back: ROWCAST_CLIENT_NETWORKS of task-api.")
}
