//! `POST /tasks/{id}/precheck/ignore`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::TaskId;
use rowcast_proto::rest::{CheckItem, CheckOutcome, IgnoreChecks, Ignored, Precheck};

use super::body::{self, TaskPath};
use super::get_precheck::last_report;
use super::get_task::existing;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::recheck;
use crate::{clock, lifecycle, validate};

/// Ignores alerts of the last precheck: who answers for it and why is kept, and told with every report
/// that finds the same.
#[utoipa::path(
    post,
    path = "/tasks/{id}/precheck/ignore",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    request_body = IgnoreChecks,
    responses(
        (status = 200, description = "The last report", body = Precheck),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn ignore_checks(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    body::Json(wanted): body::Json<IgnoreChecks>,
) -> Result<Json<Precheck>, ApiError> {
    ignored(&app, &caller, &id, wanted).await.map(Json)
}

/// The last report, once these alerts of it are ignored.
pub(crate) async fn ignored(
    app: &App,
    caller: &Caller,
    id: &TaskId,
    wanted: IgnoreChecks,
) -> Result<Precheck, ApiError> {
    validate::ignored_checks(&wanted)?;
    existing(app, id).await?;
    let report = last_report(app, id).await?;
    let mut connection = app.pool().acquire().await?;
    let recheck = recheck::last(&mut connection, id).await?;
    drop(connection);
    // What a started task was told since.
    let told_since = |code: &str| {
        let mut items = recheck.iter().flat_map(|found| &found.report.items);
        items.find(|item| item.code == code && item.outcome == CheckOutcome::Alert)
    };
    let alerts = wanted
        .codes
        .iter()
        .map(|code| told_since(code).map_or_else(|| alert(&report, code), Ok))
        .map(|found| found.and_then(ignorable))
        .collect::<Result<Vec<_>, _>>()?;
    let ignored = Ignored {
        by: wanted.by,
        reason: wanted.reason,
        at: clock::now(),
    };
    lifecycle::ignore_checks(app, caller, id, &alerts, &ignored).await?;
    last_report(app, id).await
}

/// # Errors
/// Says why nobody can answer for it, and its repair.
fn ignorable(item: &CheckItem) -> Result<&CheckItem, ApiError> {
    if item.may_be_ignored() {
        return Ok(item);
    }
    let CheckItem { code, cause, .. } = item;
    let detail = format!("{code} must be repaired, nobody can answer for it: {cause}");
    let refused = ApiError::refused(StatusCode::CONFLICT, "check_not_ignorable", detail);
    let repair = format!("{} Then run the precheck again.", item.repair);
    Err(refused.field("codes").repair(repair))
}

fn alert<'a>(report: &'a Precheck, code: &str) -> Result<&'a CheckItem, ApiError> {
    let alerts = || {
        report
            .items
            .iter()
            .filter(|item| item.outcome == CheckOutcome::Alert)
    };
    if let Some(item) = alerts().find(|item| item.code == code) {
        return Ok(item);
    }
    let outcome = report.items.iter().find(|item| item.code == code);
    let detail = match outcome.map(|item| item.outcome) {
        Some(CheckOutcome::Fail) => format!("{code} has failed: it must be repaired"),
        Some(CheckOutcome::Skipped) => format!("{code} was skipped: what it finds is not known"),
        Some(CheckOutcome::Pass | CheckOutcome::Alert) => format!("{code} has passed"),
        None => format!("the last precheck has no check {code:?}"),
    };
    let names = alerts().filter(|item| item.may_be_ignored());
    let names: Vec<&str> = names.map(|item| item.code.as_str()).collect();
    let repair = if names.is_empty() {
        "The last precheck has no alert to ignore.".to_owned()
    } else {
        format!("These can be ignored: {}.", names.join(", "))
    };
    let refused = ApiError::refused(StatusCode::CONFLICT, "check_not_ignorable", detail);
    Err(refused.field("codes").repair(repair))
}
