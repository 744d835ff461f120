//! `POST /dts`: operations of Alibaba Cloud DTS by their names, for scripts that were written for it.
//!
//! An alias does what a route of ours does, by the same functions; `DtsJobId` and `DtsInstanceId` are both
//! the id of a task. Success is answered in DTS's shape, a failure with our problem. Who asks is told by our
//! token: signatures and the other parameters that all operations of DTS share are taken and not read.

mod action;
mod answer;
mod channels;
mod configure;
mod db_list;
mod describe_jobs;
mod instance;
mod job;
mod page;
mod parameters;
mod precheck;
mod run_job;
mod status;
mod tag_resources;
mod wording;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use rowcast_domain::TaskId;

use self::action::Action;
use self::answer::{Answer, DtsAnswer};
use self::parameters::Parameters;
use super::audit::About;
use super::get_task::existing;
use super::idempotency;
use crate::auth::{self, Caller};
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::task::StoredTask;

/// One call of an operation.
struct Call<'a> {
    app: &'a App,
    caller: &'a Caller,
    parameters: &'a Parameters,
    /// The request's Idempotency-Key.
    key: Option<String>,
}

impl Call<'_> {
    /// The task that the call names, if it is there for the caller.
    async fn task(&self) -> Result<StoredTask, ApiError> {
        self.visible(&self.parameters.task()?).await
    }

    async fn visible(&self, id: &TaskId) -> Result<StoredTask, ApiError> {
        let task = existing(self.app, id).await?;
        if self.caller.sees(task.definition.resource_group.as_deref()) {
            Ok(task)
        } else {
            Err(ApiError::not_found("task", id.as_str()))
        }
    }
}

/// Carries out an operation of Alibaba Cloud DTS.
#[utoipa::path(
    post,
    path = "/dts",
    tag = "dts",
    params(("Action" = Option<String>, Query, description = "The operation, as `DescribeDtsJobs`. This and its other parameters may stand in the query or in the body.")),
    request_body(
        content = Option<HashMap<String, String>>,
        content_type = "application/x-www-form-urlencoded",
        description = "Parameters of the operation by the names that DTS gives them",
    ),
    responses(
        (status = 200, description = "Done; the members that DTS has for the operation stand beside these", body = DtsAnswer),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn dts(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let action = Action::asked_for(&parameters)?;
    let call = Call {
        app: &app,
        caller: &caller,
        parameters: &parameters,
        key: idempotency::key(&headers)?,
    };
    let done = match auth::demand(&caller, action.needed()) {
        Ok(()) => Box::pin(carry_out(&call, action)).await,
        Err(refused) => Err(refused),
    };
    let told = done.as_ref().ok().and_then(|answer| answer.task.clone());
    // An instance is bought for a `JobId`.
    let bought_for = || parameters.optional("JobId")?.parse().ok();
    let task = told.or_else(|| parameters.task().ok()).or_else(bought_for);
    let mut response = done.into_response();
    // Every operation has the same path: the audit log must tell which it was, and of what.
    let about = match task {
        Some(task) => format!("/api/v1/dts/{}/{task}", action.name()),
        None => format!("/api/v1/dts/{}", action.name()),
    };
    response.extensions_mut().insert(About(about));
    Ok(response)
}

async fn carry_out(call: &Call<'_>, action: Action) -> Result<Answer, ApiError> {
    match action {
        Action::DescribeDtsJobs => describe_jobs::list(call).await,
        Action::DescribeDtsJobDetail => describe_jobs::detail(call).await,
        Action::ConfigureSubscription => configure::configure(call).await,
        Action::ModifySubscription => configure::modify(call).await,
        Action::ModifyDtsJobName => run_job::rename(call).await,
        Action::DescribePreCheckStatus => precheck::describe(call).await,
        Action::SkipPreCheck => precheck::skip(call).await,
        Action::CreateDtsInstance => instance::order(call).await,
        Action::RenewInstance => instance::renew(call).await,
        Action::StartDtsJob => run_job::start(call).await,
        Action::SuspendDtsJob => run_job::suspend(call).await,
        Action::ResetDtsJob => run_job::reset(call).await,
        Action::DeleteDtsJob => run_job::delete(call).await,
        Action::CreateConsumerChannel => channels::create(call).await,
        Action::DescribeConsumerChannel => channels::describe(call).await,
        Action::ModifyConsumerChannel => channels::modify(call).await,
        Action::DeleteConsumerChannel => channels::delete(call).await,
        Action::ModifyConsumptionTimestamp => channels::seek(call).await,
        Action::TagResources => tag_resources::tag(call).await,
        Action::UntagResources => tag_resources::untag(call).await,
    }
}
