//! Every route on one screen.
//!
//! ```text
//! span ─▶ address ─▶ panics ─▶ time-out ─▶ token ─▶ pace ─▶ audit ─▶ permission ─▶ Idempotency-Key ─▶ handler
//! ```

pub(crate) mod body;
pub(crate) mod beside;
mod json_path;
mod query;
mod tag;
mod versioned;
mod idempotency;
mod trace;
mod audit;
mod create_source;
mod get_source;
mod list_sources;
mod test_source;
mod test_new_source;
mod list_objects;
mod patch_source;
pub(crate) mod delete_source;
mod create_task;
mod clone_task;
mod preview_task;
pub(crate) mod get_task;
mod list_tasks;
mod patch_task;
mod run_precheck;
mod get_precheck;
mod follow_precheck;
pub(crate) mod rerun;
mod recheck_task;
mod ignore_checks;
mod purchase_task;
mod renew_task;
mod get_instance;
mod patch_instance;
mod get_prices;
mod start_task;
mod suspend_task;
mod resume_task;
mod reset_task;
mod release_task;
mod plan_release;
mod replace_objects;
mod change_objects;
mod list_events;
mod list_log;
mod get_usage;
mod list_incidents;
mod contacts;
mod create_contact;
mod list_contacts;
mod get_contact;
mod patch_contact;
mod delete_contact;
mod test_contact;
mod rules;
mod create_rule;
mod list_rules;
mod get_rule;
mod patch_rule;
mod delete_rule;
mod create_group;
mod list_groups;
mod get_group;
mod get_connection;
mod patch_group;
mod delete_group;
mod move_group;
mod get_group_history;
mod skip_change;
mod list_dead_letters;
mod get_dead_letter;
mod redrive_dead_letters;
mod discard_dead_letters;
mod create_token;
mod list_tokens;
mod revoke_token;
mod list_audit;
mod get_system;
mod describe;
mod reference;
mod dts;

pub(crate) use create_source::client_certificate;
pub(crate) use create_task::{network_is_there, registered_source};
pub(crate) use list_objects::Browse;
pub(crate) use list_tasks::Wanted as ListedTasks;
pub(crate) use tag::IfMatch;

use std::any::Any;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth;
use crate::error::ApiError;
use crate::state::App;

/// How long another service may take to answer.
pub(crate) const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a move of a group's position may take: a transaction is searched for some seconds, and members are cut off.
const MOVE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a precheck may take: it makes several connections to a server that may be slow.
pub(crate) const PRECHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a test of a source may take: each of its steps has a few seconds.
const TEST_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a page of a source's objects may take.
const BROWSE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long any request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(75);

/// Where the description of the API is.
const OPENAPI: &str = "/api/v1/openapi.json";

/// The API, ready to be served.
pub(crate) fn router(app: App) -> Router {
    let (api, mut document) = OpenApiRouter::new()
        .nest("/api/v1", routes())
        .split_for_parts();
    describe::describe(&mut document);
    api.route_layer(from_fn_with_state(app.clone(), idempotency::replay))
        .route_layer(from_fn_with_state(app.clone(), auth::permit))
        .route_layer(from_fn_with_state(app.clone(), audit::record))
        .route_layer(from_fn_with_state(app.clone(), auth::keep_pace))
        .route_layer(from_fn_with_state(app.clone(), auth::authenticate))
        .route(OPENAPI, get(async || Json(document)))
        .merge(reference::routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(in_time))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(TaskTracker::new(), to_its_end))
        .layer(from_fn_with_state(app.clone(), auth::keep_door))
        .layer(from_fn(trace::within_span))
        .with_state(app)
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(
            create_source::create_source,
            list_sources::list_sources
        ))
        .routes(routes!(
            get_source::get_source,
            patch_source::patch_source,
            delete_source::delete_source
        ))
        .routes(routes!(test_source::test_source))
        .routes(routes!(test_new_source::test_new_source))
        .routes(routes!(list_objects::list_objects))
        .routes(routes!(create_task::create_task, list_tasks::list_tasks))
        .routes(routes!(clone_task::clone_task))
        .routes(routes!(preview_task::preview_task))
        .routes(routes!(get_task::get_task, patch_task::patch_task))
        .routes(routes!(
            run_precheck::run_precheck,
            get_precheck::get_precheck
        ))
        .routes(routes!(follow_precheck::follow_precheck))
        .routes(routes!(ignore_checks::ignore_checks))
        .routes(routes!(
            recheck_task::recheck_task,
            recheck_task::get_recheck
        ))
        .routes(routes!(start_task::start_task))
        .routes(routes!(suspend_task::suspend_task))
        .routes(routes!(resume_task::resume_task))
        .routes(routes!(reset_task::reset_task))
        .routes(routes!(
            release_task::release_task,
            plan_release::plan_release
        ))
        .routes(routes!(
            replace_objects::replace_objects,
            change_objects::change_objects
        ))
        .routes(routes!(change_objects::preview_objects))
        .routes(routes!(list_events::list_events))
        .routes(routes!(list_log::list_log))
        .merge(routes_of_billing())
        .merge(routes_of_incidents())
        .merge(routes_of_groups())
        .routes(routes!(
            create_token::create_token,
            list_tokens::list_tokens
        ))
        .routes(routes!(revoke_token::revoke_token))
        .routes(routes!(list_audit::list_audit))
        .routes(routes!(get_system::get_system))
        .routes(routes!(dts::dts))
}

fn routes_of_groups() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(
            create_group::create_group,
            list_groups::list_groups
        ))
        .routes(routes!(
            get_group::get_group,
            patch_group::patch_group,
            delete_group::delete_group
        ))
        .routes(routes!(get_connection::get_connection))
        .routes(routes!(move_group::move_group))
        .routes(routes!(get_group_history::get_group_history))
        .routes(routes!(skip_change::skip_change))
        .routes(routes!(list_dead_letters::list_dead_letters))
        .routes(routes!(
            get_dead_letter::get_dead_letter,
            discard_dead_letters::discard_dead_letter
        ))
        .routes(routes!(redrive_dead_letters::redrive_dead_letter))
        .routes(routes!(redrive_dead_letters::redrive_dead_letters))
        .routes(routes!(discard_dead_letters::discard_dead_letters))
}

fn routes_of_billing() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_prices::get_prices))
        .routes(routes!(purchase_task::purchase_task))
        .routes(routes!(renew_task::renew_task))
        .routes(routes!(
            get_instance::get_instance,
            patch_instance::patch_instance
        ))
        .routes(routes!(get_usage::get_usage))
}

fn routes_of_incidents() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_incidents::list_incidents))
        .routes(routes!(
            create_contact::create_contact,
            list_contacts::list_contacts
        ))
        .routes(routes!(
            get_contact::get_contact,
            patch_contact::patch_contact,
            delete_contact::delete_contact
        ))
        .routes(routes!(test_contact::test_contact))
        .routes(routes!(create_rule::create_rule, list_rules::list_rules))
        .routes(routes!(
            get_rule::get_rule,
            patch_rule::patch_rule,
            delete_rule::delete_rule
        ))
}

async fn no_such_route(uri: Uri) -> ApiError {
    let detail = format!("there is no route {}", uri.path());
    ApiError::refused(StatusCode::NOT_FOUND, "no_such_route", detail)
        .repair("See /api/v1/docs/ for all routes.")
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let detail = format!("{} does not take {method}", uri.path());
    ApiError::refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        .repair("See /api/v1/openapi.json for the methods of each route.")
}

/// A command goes on where its client does not wait for it: half done, it would leave a task between
/// two states and an Idempotency-Key without its answer.
async fn to_its_end(State(running): State<TaskTracker>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let answer = running.spawn(next.run(request).in_current_span());
    answer
        .await
        .unwrap_or_else(|_cut_off| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn in_time(request: Request, next: Next) -> Result<Response, ApiError> {
    let answered = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    answered.map_err(|_elapsed| {
        let detail = format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
        ApiError::refused(StatusCode::GATEWAY_TIMEOUT, "timeout", detail)
            .repair("Look at the task before trying again: it may have been done.")
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer gives the panic away"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(message, "a handler panicked");
    ApiError::Panicked.into_response()
}
