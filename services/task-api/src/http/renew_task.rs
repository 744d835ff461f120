//! `POST /tasks/{id}/renew`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use rowcast_bus::request::ask;
use rowcast_domain::{TaskCommand, TaskId};
use rowcast_proto::message::RenewRequest;
use rowcast_proto::rest::{Instance, RenewTask};
use rowcast_proto::rpc::RenewInstance;
use uuid::Uuid;

use super::body::{self, TaskPath};
use super::get_task::existing;
use super::{ASK_TIMEOUT, idempotency};
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Pays further months of a task's subscription; a task that is locked goes on. Without an Idempotency-Key each
/// request is another order.
#[utoipa::path(
    post,
    path = "/tasks/{id}/renew",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), ("Idempotency-Key" = Option<String>, Header, description = "The order's key")),
    request_body = RenewTask,
    responses(
        (status = 200, description = "The instance with its further months", body = Instance),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn renew_task(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    headers: HeaderMap,
    body::Json(wanted): body::Json<RenewTask>,
) -> Result<Json<Instance>, ApiError> {
    let key = idempotency::key(&headers)?;
    let instance = renewed(&app, &caller, id, wanted.months, key).await?;
    Ok(Json(instance))
}

/// The instance with further months; `key` is the request's Idempotency-Key.
pub(crate) async fn renewed(
    app: &App,
    caller: &Caller,
    id: TaskId,
    months: u32,
    key: Option<String>,
) -> Result<Instance, ApiError> {
    let state = existing(app, &id).await?.state;
    ApiError::unless_taken(state, TaskCommand::Renew)?;
    let key = key.unwrap_or_else(|| Uuid::now_v7().to_string());
    let order = RenewRequest {
        // Other keys than those of purchases, which begin with the task.
        order_key: format!("renew/{id}/{key}"),
        task_id: id.into(),
        months,
        actor: caller.actor(),
    };
    let renewed = ask::<RenewInstance>(app.bus(), &order, ASK_TIMEOUT).await?;
    convert::instance(renewed)
}
