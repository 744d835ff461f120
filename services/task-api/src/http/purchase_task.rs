//! `POST /tasks/{id}/purchase`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use rowcast_bus::request::ask;
use rowcast_domain::{TaskCommand, TaskId, TaskState};
use rowcast_proto::message::PurchaseRequest;
use rowcast_proto::rest::{Instance, PurchaseTask};
use rowcast_proto::rpc::PurchaseInstance;

use super::body::{self, TaskPath};
use super::get_task::existing;
use super::{ASK_TIMEOUT, idempotency};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::{convert, lifecycle};

/// Buys an instance for a task that has passed its precheck, with no alert that is neither repaired nor ignored; repeated, with the same Idempotency-Key or twice without one, it buys once.
#[utoipa::path(
    post,
    path = "/tasks/{id}/purchase",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), ("Idempotency-Key" = Option<String>, Header, description = "The order's key; the task's id where absent")),
    request_body = PurchaseTask,
    responses(
        (status = 201, description = "What was bought", body = Instance),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn purchase_task(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    headers: HeaderMap,
    body::Json(wanted): body::Json<PurchaseTask>,
) -> Result<(StatusCode, Json<Instance>), ApiError> {
    let key = idempotency::key(&headers)?;
    may_be_bought(&app, &id).await?;
    let instance = bought(&app, &caller, id, &wanted, key).await?;
    Ok((StatusCode::CREATED, Json(instance)))
}

/// What could not be started is not sold.
///
/// # Errors
/// Where the task, as it is by now, has not passed its precheck, or alerts of it are neither repaired nor ignored.
pub(crate) async fn may_be_bought(app: &App, id: &TaskId) -> Result<(), ApiError> {
    let task = existing(app, id).await?;
    has_passed_precheck(task.state)?;
    let mut connection = app.pool().acquire().await?;
    lifecycle::without_open_alerts(&mut connection, &task).await
}

fn has_passed_precheck(state: TaskState) -> Result<(), ApiError> {
    if state.has_passed_precheck() {
        return Ok(());
    }
    let detail = format!("a task that is {state} has not passed a precheck");
    let refused = ApiError::refused(StatusCode::CONFLICT, "precheck_missing", detail);
    Err(refused
        .state(state)
        .repair("Run the precheck first: POST /api/v1/tasks/{id}/precheck."))
}

/// The instance that is bought for a task; `key` is the request's Idempotency-Key.
pub(crate) async fn bought(
    app: &App,
    caller: &Caller,
    id: TaskId,
    wanted: &PurchaseTask,
    key: Option<String>,
) -> Result<Instance, ApiError> {
    // A task has one instance: without a key of the buyer's, the task itself is the order. Another buyer's key
    // for another task is another order.
    let order_key = key.map_or_else(|| id.to_string(), |key| format!("{id}/{key}"));
    let task = existing(app, &id).await?;
    if task.state == TaskState::Released {
        ApiError::unless_taken(task.state, TaskCommand::Purchase)?;
    }
    let order = PurchaseRequest {
        task_id: id.into(),
        charge_type: convert::charge_type(wanted.charge_type).into(),
        order_key,
        actor: caller.actor(),
        months: wanted.months.unwrap_or_default(),
        auto_renew: wanted.auto_renew,
    };
    let bought = ask::<PurchaseInstance>(app.bus(), &order, ASK_TIMEOUT).await?;
    convert::instance(bought)
}
